"""What the switches hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.state import state_of
from emulator.engine.comparing import OFCTL, run
from emulator.engine.tracing import Tracer
from emulator.verdict import installed
from emulator.verdict.trace.legend import Legend

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine


class FlowTables:
    """Answers about installed flows."""

    def __init__(self, engine: Engine, tracer: Tracer) -> None:
        self._engine = engine
        self._tracer = tracer

    async def flows(self, body: JsonObject) -> JsonObject:
        """Answer `POST /mininetes/v1/flows`: the flows of a node or router, or of all."""
        legends = self.legends(body.get("node"))
        found: list[installed.Flow] = []
        for bridge, legend in legends.items():
            dump = await run(*OFCTL, "dump-flows", bridge)
            found += sorted(
                installed.flows(bridge, dump, legend),
                key=lambda flow: (flow.table, -flow.priority, flow.match),
            )
        items = [flow.as_json() for flow in found]
        return {"apiVersion": "mininetes.io/v1", "kind": "FlowList", "items": self.placed(items)}

    def legends(self, node: str | None) -> Mapping[str, Legend]:
        """What is computed for the switch of a node or router, or for all. Raises ApiError 404."""
        legends = self._tracer.legends(state_of(self._engine.snapshot()))
        if node is None:
            return legends
        places = {bridge.place: bridge.name for bridge in self._engine.wiring.bridges}
        name = next((places[place] for place in _meant(node) if place in places), node)
        if name not in legends:
            known = ", ".join(place.removeprefix("node/") for place in places)
            raise ApiError(404, "NotFound", f"no switch {node!r}; there are {known}")
        return {name: legends[name]}

    def placed(self, items: list[JsonObject]) -> list[JsonObject]:
        """With the place of each bridge."""
        places = {bridge.name: bridge.place.removeprefix("node/") for bridge in self._engine.wiring.bridges}
        return [{"node": places[item["bridge"]], **item} for item in items]


def _meant(node: str) -> Iterable[str]:
    return node, f"node/{node}", f"router/{node}"

"""What the switches hold, against what is computed; and putting it right."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from controllers.pipeline.impaired import ImpairedCompiler
from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.state import state_of
from emulator.engine import kernel_drift
from emulator.engine.comparing import OFCTL, Comparer, run
from emulator.engine.tracing import Tracer
from emulator.verdict import installed
from emulator.verdict.installed import Drift
from emulator.verdict.kernel_drift import KernelDrift
from emulator.verdict.trace.legend import Legend

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

HEAL_SECONDS = 30.0

log = logging.getLogger(__name__)


class FlowTables:
    """Answers about installed flows."""

    def __init__(self, engine: Engine, tracer: Tracer) -> None:
        self._engine = engine
        self._tracer = tracer
        self._impaired_compiler = ImpairedCompiler()
        self._comparer = Comparer()

    async def flows(self, body: JsonObject) -> JsonObject:
        """Answer `POST /mininetes/v1/flows`: the flows of a node or router, or of all."""
        legends = self._legends(body.get("node"))
        found: list[installed.Flow] = []
        for bridge, legend in legends.items():
            dump = await run(*OFCTL, "dump-flows", bridge)
            found += sorted(
                installed.flows(bridge, dump, legend),
                key=lambda flow: (flow.table, -flow.priority, flow.match),
            )
        items = [flow.as_json() for flow in found]
        return {"apiVersion": "mininetes.io/v1", "kind": "FlowList", "items": self._placed(items)}

    async def drift(self, body: JsonObject) -> JsonObject:
        """Answer `POST /mininetes/v1/drift`, flows and the kernel's part.

        With `heal`, all of the kernel's part is put right, and switches get their whole programs anew. Raises
        ApiError.
        """
        engine, node = self._engine, body.get("node")
        flows, kernel = await self._compare(node), await kernel_drift.found(engine, node)
        healed: list[JsonObject] = []
        if body.get("heal") and (flows or kernel):
            before = self._told(flows, kernel)
            seconds = float(body.get("timeout") or HEAL_SECONDS)
            if kernel:
                kernel = await kernel_drift.heal(engine, kernel, seconds)
            flows = await self._heal(seconds) if flows else await self._compare(None)
            left = self._told(flows, kernel)
            healed = [one for one in before if one not in left]
        return {
            "apiVersion": "mininetes.io/v1",
            "kind": "Drift",
            "items": self._told(flows, kernel),
            "healed": healed,
        }

    def _told(self, flows: Iterable[Drift], kernel: Iterable[KernelDrift]) -> list[JsonObject]:
        return [*self._placed([one.as_json() for one in flows]), *(one.as_json() for one in kernel)]

    async def _heal(self, seconds: float) -> tuple[Drift, ...]:
        """A switch that dials its controller again is given everything anew, in one bundle.

        Each bridge comes by itself, so whoever has been acknowledged is compared again until nothing differs
        but what active faults keep from being as computed.
        """
        engine = self._engine
        await asyncio.to_thread(engine.redial)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    said = engine.programming.acknowledged
                    if not await self._differ(self._impaired()):
                        break
                    await engine.pulse.until(lambda said=said: engine.programming.acknowledged != said)  # type: ignore[misc]
        except TimeoutError:
            log.warning("the switches do not hold what was computed within %g s", seconds)
        return await self._compare(None)

    async def _compare(self, node: str | None) -> tuple[Drift, ...]:
        return await self._differ(self._legends(node))

    def _impaired(self) -> Mapping[str, Legend]:
        """What the controller computes while faults are active."""
        snapshot = self._engine.snapshot()
        programs = self._impaired_compiler.compile(snapshot, state_of(snapshot))
        return {name: Legend(program) for name, program in programs.items()}

    async def _differ(self, legends: Mapping[str, Legend]) -> tuple[Drift, ...]:
        told = await asyncio.gather(
            *(self._comparer.differences(bridge, legend.program) for bridge, legend in legends.items())
        )
        found = (
            installed.drift(bridge, said, legend)
            for (bridge, legend), said in zip(legends.items(), told, strict=True)
        )
        return tuple(chain.from_iterable(found))

    def _legends(self, node: str | None) -> Mapping[str, Legend]:
        legends = self._tracer.legends(state_of(self._engine.snapshot()))
        if node is None:
            return legends
        places = {bridge.place: bridge.name for bridge in self._engine.wiring.bridges}
        name = next((places[place] for place in _meant(node) if place in places), node)
        if name not in legends:
            known = ", ".join(place.removeprefix("node/") for place in places)
            raise ApiError(404, "NotFound", f"no switch {node!r}; there are {known}")
        return {name: legends[name]}

    def _placed(self, items: list[JsonObject]) -> list[JsonObject]:
        """With the place of each bridge."""
        places = {bridge.name: bridge.place.removeprefix("node/") for bridge in self._engine.wiring.bridges}
        return [{"node": places[item["bridge"]], **item} for item in items]


def _meant(node: str) -> Iterable[str]:
    return node, f"node/{node}", f"router/{node}"

"""Faults of what tells the switches how to forward."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.api.errors import ApiError
from emulator.cluster.faults.effects import proxied_objects
from emulator.cluster.faults.fault import Fault
from emulator.cluster.faults.kind import Value
from emulator.cluster.state import state_of
from emulator.engine.faults.handler import Handler, Plan
from emulator.engine.faults.machines import node_named
from emulator.engine.faults.ofctl import ofctl
from emulator.engine.faults.waiting import PATIENCE, await_flows
from emulator.engine.tracing import Tracer
from emulator.verdict import installed
from emulator.verdict.trace.legend import Legend, stage_name

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine


class ProxyStopped(Handler):
    """The controller compiles the node's Services from what its kube-proxy saw last."""

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """Keep what it sees."""
        node = node_named(self.engine, arguments)
        did = f"stopped kube-proxy of node/{node.name}: its rules stay as they are"
        return Plan((did,), {"objects": proxied_objects(self.engine.snapshot())})

    async def impose(self, fault: Fault) -> None:
        """Close what it serves over HTTP; the controller reads of the rest."""
        await self.engine.kube_proxies.stop(str(fault.arguments["node"]))
        await await_flows(self.engine)

    async def clear(self, fault: Fault) -> None:
        """It starts, and looks at everything anew."""
        await self.engine.kube_proxies.start(str(fault.arguments["node"]))
        await await_flows(self.engine)

    async def resume(self, fault: Fault) -> None:
        """The controller knows."""
        await self.engine.kube_proxies.stop(str(fault.arguments["node"]))


class FlowsTouched(Handler):
    """Flows that somebody else than the controller deletes or alters."""

    def __init__(self, engine: Engine, verb: str, actions: str, did: str) -> None:
        super().__init__(engine)
        self._verb = verb
        self._actions = actions
        self._did = did

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """Choose them: the same ones of the same flows for the same seed."""
        node = node_named(self.engine, arguments)
        bridge = self.engine.wiring.bridge(node.bridge).name
        legend = self._legend(bridge)
        held = [flow for flow in await self._held(bridge) if not flow.learned]
        held = [flow for flow in held if legend.flow(flow.table, flow.priority, flow.match)]
        held.sort(key=lambda flow: (flow.table, flow.priority, flow.match))
        count = min(int(arguments["count"]), len(held))
        chosen = random.Random(int(arguments["seed"])).sample(held, count)
        flows = [_words(flow) for flow in chosen]
        computed = filter(None, (legend.flow(flow.table, flow.priority, flow.match) for flow in chosen))
        keys = [[flow.stage.number, flow.priority, str(flow.match)] for flow in computed]
        owners = [f"{flow.owner or 'nobody'} ({stage_name(flow.table)})" for flow in chosen]
        actions = [flow.actions for flow in chosen]
        memo = {"bridge": bridge, "flows": flows, "keys": keys, "actions": actions}
        did = (f"{self._did} a flow of node/{node.name} that belongs to {owner}" for owner in owners)
        return Plan(tuple(did), memo)

    async def impose(self, fault: Fault) -> None:
        """All at once. Where there is a controller, it knows by then which flows are to stay altered."""
        await await_flows(self.engine)
        changes = "".join(f"{self._verb} {flow}{self._actions}\n" for flow in fault.memo["flows"])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "changes"
            await asyncio.to_thread(file.write_text, changes)
            await ofctl("--bundle", "add-flows", fault.memo["bridge"], str(file))

    async def clear(self, fault: Fault) -> None:
        """Have the controller give everything anew. One that is down will do so when it comes."""
        engine = self.engine
        await await_flows(engine)
        if not engine.has_controller or await self._are_there(fault):
            return
        said = engine.programming.acknowledged
        await asyncio.to_thread(engine.redial, (fault.memo["bridge"],))
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._are_there(fault):
                    await engine.pulse.until(lambda said=said: engine.programming.acknowledged != said)  # type: ignore[misc]
                    said = engine.programming.acknowledged
        except TimeoutError:
            why = "the controller has not put the flows back in time; try again, or: mininetes diff --heal"
            raise ApiError(504, "Timeout", why) from None

    async def _are_there(self, fault: Fault) -> bool:
        """Whether the flows are as they were."""
        held = {(_words(flow), flow.actions) for flow in await self._held(fault.memo["bridge"])}
        return held.issuperset(zip(fault.memo["flows"], fault.memo["actions"], strict=True))

    async def _held(self, bridge: str) -> list[installed.Flow]:
        return list(installed.flows(bridge, await ofctl("dump-flows", bridge), self._legend(bridge)))

    def _legend(self, bridge: str) -> Legend:
        return Tracer().legends(state_of(self.engine.snapshot()))[bridge]

    async def resume(self, fault: Fault) -> None:
        """What is altered, the controller knows; whoever deleted flows did it once."""


def _words(flow: installed.Flow) -> str:
    """As `ovs-ofctl` takes it."""
    return ",".join(filter(None, (f"table={flow.table}", f"priority={flow.priority}", flow.match)))


RULES: Mapping[str, Callable[[Engine], Handler]] = {
    "kube-proxy-stopped": ProxyStopped,
    "flows-deleted": partial(FlowsTouched, verb="delete_strict", actions="", did="deleted"),
    "flows-altered": partial(FlowsTouched, verb="modify_strict", actions=",actions=drop", did="altered"),
}

"""How switches and the kernel differ from what is computed and planned, and putting it right."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from controllers.pipeline.impaired import ImpairedCompiler
from emulator.api.objects import JsonObject
from emulator.cluster.faults.fault import Fault
from emulator.cluster.state import state_of
from emulator.engine import kernel_drift
from emulator.engine.comparing import OFCTL, Comparer, run
from emulator.engine.flowtables import FlowTables
from emulator.network.kernel.facts import Fault as How
from emulator.verdict import beside_flows, installed
from emulator.verdict.beside_flows import GROUP, BesideFlows
from emulator.verdict.blame import blamed
from emulator.verdict.installed import Drift
from emulator.verdict.kernel_drift import KernelDrift
from emulator.verdict.trace.legend import Legend

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

HEAL_SECONDS = 30.0
BRIDGES_AT_ONCE = 4
REPAIRS_TOLD_SECONDS = 600.0

log = logging.getLogger(__name__)


_Key = tuple[str, int, int, str]


@dataclass(frozen=True, slots=True)
class _Found:
    """What differs."""

    flows: tuple[Drift, ...]
    """From what the objects ask for."""
    beside: tuple[BesideFlows, ...]
    kernel: tuple[KernelDrift, ...]
    beyond: frozenset[_Key]
    """Those of the flows that are not as they are computed while faults are active, either."""

    def __bool__(self) -> bool:
        return bool(self.flows or self.beside or self.kernel)


class Drifting:
    """Answers about drift."""

    def __init__(self, engine: Engine, tables: FlowTables) -> None:
        self._engine = engine
        self._tables = tables
        self._compiler = ImpairedCompiler()
        self._comparer, self._impaired_comparer = Comparer(), Comparer()
        self._turn = asyncio.Semaphore(BRIDGES_AT_ONCE)

    async def drift(self, body: JsonObject) -> JsonObject:
        """Answer `POST /mininetes/v1/drift`: flows, meters, groups, the kernel's part; of a node or of all.

        With `heal`, what differs is put right: the faults that made it are cleared, the kernel's part is
        written again, and switches that differ get their whole programs anew. Raises ApiError.
        """
        engine, node = self._engine, body.get("node")
        found = await self._find(node)
        before = self._told(found)
        healed: list[JsonObject] = []
        cleared: Sequence[Fault] = ()
        if body.get("heal") and found:
            seconds = float(body.get("timeout") or HEAL_SECONDS)
            while some := await self._clear({name for item in self._told(found) for name in item["by"]}):
                cleared = (*cleared, *some)
                found = await self._find(node)
            if found.kernel:
                await kernel_drift.heal(engine, found.kernel, seconds)
            if found.flows or found.beside:
                await self._heal(found, seconds)
            found = await self._find(node)
            left = [{**one, "by": []} for one in self._told(found)]
            healed = [one for one in before if {**one, "by": []} not in left]
        return {
            "apiVersion": "mininetes.io/v1",
            "kind": "Drift",
            "items": self._told(found),
            "healed": healed,
            "cleared": [fault.as_json() for fault in cleared],
            "repaired": self._repaired(node),
        }

    def _repaired(self, node: str | None) -> list[JsonObject]:
        """What nobody had to ask for."""
        bridges = self._tables.legends(node)
        lately = self._engine.programming.repairs(REPAIRS_TOLD_SECONDS)
        return self._tables.placed([one.as_json() for one in lately if one.bridge in bridges])

    async def forwarding(self) -> list[JsonObject]:
        """What differs of what decides where packets go: flows and the kernel's part. Raises ApiError."""
        return self._told(await self._forwarding(None))

    async def _find(self, node: str | None) -> _Found:
        beside = await asyncio.gather(*map(self._beside, self._tables.legends(node).values()))
        return replace(await self._forwarding(node), beside=tuple(chain.from_iterable(beside)))

    async def _forwarding(self, node: str | None) -> _Found:
        legends = self._tables.legends(node)
        flows = await self._differ(legends, self._comparer)
        beyond = flows
        if flows and self._engine.faults.active:
            beyond = await self._differ(self._impaired(legends), self._impaired_comparer)
        kernel = await kernel_drift.found(self._engine, node)
        return _Found(flows, (), kernel, frozenset(map(_key, beyond)))

    def _told(self, found: _Found) -> list[JsonObject]:
        active = self._engine.faults.active
        switches = [*(one.as_json() for one in found.flows), *(one.as_json() for one in found.beside)]
        items = [*self._tables.placed(switches), *(one.as_json() for one in found.kernel)]
        computed = [_key(one) not in found.beyond for one in found.flows]
        computed += [False] * (len(items) - len(computed))
        return [
            {**item, "by": blamed(item, active, as_faults_say=as_faults_say)}
            for item, as_faults_say in zip(items, computed, strict=True)
        ]

    async def _clear(self, names: Collection[str]) -> Sequence[Fault]:
        """End those of the faults that are still active."""
        active = [fault.name for fault in self._engine.faults.active if fault.name in names]
        return await self._engine.faults.clear(active) if active else ()

    async def _heal(self, found: _Found, seconds: float) -> None:
        """A switch that dials its controller again is given everything anew, in one bundle.

        Each bridge comes by itself, so whoever has been acknowledged is compared again until nothing differs
        but what active faults keep from being as computed.
        """
        engine = self._engine
        for one in found.beside:
            if one.fault is How.EXTRA:
                await _remove(one)
        bridges = {flow.bridge for flow in found.flows} | {one.bridge for one in found.beside}
        await asyncio.to_thread(engine.redial, bridges)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    said = engine.programming.acknowledged
                    impaired = self._impaired(bridges)
                    beside = await asyncio.gather(*map(self._beside, impaired.values()))
                    if not any((*beside, await self._differ(impaired, self._impaired_comparer))):
                        break
                    await engine.pulse.until(lambda said=said: engine.programming.acknowledged != said)  # type: ignore[misc]
        except TimeoutError:
            log.warning("the switches do not hold what was computed within %g s", seconds)

    def _impaired(self, bridges: Collection[str]) -> Mapping[str, Legend]:
        """What the controller computes while faults are active."""
        snapshot = self._engine.snapshot()
        programs = self._compiler.compile(snapshot, state_of(snapshot))
        return {name: Legend(program) for name, program in programs.items() if name in bridges}

    async def _differ(self, legends: Mapping[str, Legend], comparer: Comparer) -> tuple[Drift, ...]:
        told = await asyncio.gather(
            *(comparer.differences(bridge, legend.program) for bridge, legend in legends.items())
        )
        found = (
            installed.drift(bridge, said, legend)
            for (bridge, legend), said in zip(legends.items(), told, strict=True)
        )
        return tuple(chain.from_iterable(found))

    async def _beside(self, legend: Legend) -> tuple[BesideFlows, ...]:
        bridge = legend.program.bridge
        async with self._turn:
            meters = beside_flows.meters(await run(*OFCTL, "dump-meters", bridge))
            groups = beside_flows.groups(await run(*OFCTL, "dump-groups", bridge))
        return beside_flows.drift(bridge, meters, groups, legend.program)


def _key(one: Drift) -> _Key:
    return one.bridge, one.table, one.priority, one.match


async def _remove(one: BesideFlows) -> None:
    """Open vSwitch takes the flows along that use it: nobody's, or such as are given again."""
    if one.kind == GROUP:
        await run(*OFCTL, "del-groups", one.bridge, f"group_id={one.number}")
    else:
        await run(*OFCTL, "del-meter", one.bridge, f"meter={one.number}")

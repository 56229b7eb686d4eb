"""Compiles a cluster that suffers from faults: a node whose kube-proxy has stopped keeps its rules for
Services, a router that has lost routes forwards without them, and flows that are altered stay so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controllers.pipeline.compile import Compiler
from controllers.pipeline.flow import FlowProgram
from controllers.pipeline.stale import Frontends, frontends
from emulator.cluster.faults.effects import Effects, as_seen_by, effects_of, without_routes
from emulator.cluster.model import ClusterState
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import state_of
from emulator.cluster.wiring import Wiring


class ImpairedCompiler:
    """A `Compiler` for what is, which may be less than what ought to be.

    As that one it compiles only what has changed; the result depends on the snapshot alone.
    """

    def __init__(self) -> None:
        self._compiler = Compiler()
        self._stopped: dict[str, Compiler] = {}
        self._pruned: tuple[Wiring, Effects, Wiring] | None = None

    def compile(self, snapshot: Snapshot, state: ClusterState) -> Mapping[str, FlowProgram]:
        """The program of every bridge; `state` is the reading of `snapshot`. Raises as `Compiler.compile`."""
        effects = effects_of(snapshot)
        wiring = self._wiring(snapshot.wiring, effects)
        state = state if wiring is snapshot.wiring else replace(state, wiring=wiring)
        programs = dict(self._compiler.compile(state))
        self._stopped = {node: self._stopped.get(node) or Compiler() for node in effects.stopped}
        for node, compiler in self._stopped.items():
            seen = state_of(as_seen_by(snapshot, effects.stopped[node])).services
            bridge = wiring.node(node).bridge
            programs[bridge] = compiler.compile(replace(state, services=seen))[bridge]
        for bridge, keys in effects.altered.items():
            programs[bridge] = programs[bridge].dropping(keys)
        return programs

    def frontends(self, snapshot: Snapshot, state: ClusterState) -> Frontends:
        """Where stale UDP connections are looked for: a kube-proxy that has stopped looks for none."""
        found = frontends(state)
        bridges = (snapshot.wiring.node(node).bridge for node in effects_of(snapshot).stopped)
        zones = {snapshot.wiring.bridge(bridge).zone for bridge in bridges}
        nodes = {zone: addresses for zone, addresses in found.nodes.items() if zone not in zones}
        return replace(found, nodes=nodes) if zones else found

    def _wiring(self, whole: Wiring, effects: Effects) -> Wiring:
        """The plan without lost routes; the same object for as long as nothing changes."""
        if self._pruned is None or self._pruned[0] is not whole or self._pruned[1].removed != effects.removed:
            self._pruned = (whole, effects, without_routes(whole, effects.removed))
        return self._pruned[2]

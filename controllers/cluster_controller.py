"""The Ryu application that holds the switches to what the cluster's objects say.

It follows the objects, compiles them, sends each switch its change as one atomic bundle and
acknowledges a version once every bridge has confirmed it. A switch that connects, for the first time
or again, gets its whole program in one bundle: connections under way do not notice. The switches tell of
what somebody else does to their flows, and every second these are counted, as kube-proxy looks after its
rules: what was deleted, altered or added is put right.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eventlet import Timeout
from eventlet.event import Event
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    HANDSHAKE_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3

from controllers import flow_monitor, openflow, unixctl
from controllers.conntrack_cleanup import Cleaner
from controllers.packet_in import answer
from controllers.pipeline.flow import FlowProgram
from controllers.pipeline.impaired import ImpairedCompiler
from controllers.pipeline.registers import PUNT, Punt
from controllers.pipeline.stale import Frontends
from controllers.pipeline.stale_balanced import Balanced, balanced
from controllers.pipeline.stale_pods import Owners, owners
from controllers.switch import Outcome, Switch
from controllers.watch import LOST, Observed, follow
from emulator.api.client import Client
from emulator.cluster.state import state_of
from emulator.cluster.wiring import Bridge, Wiring

ANY_STATE = [HANDSHAKE_DISPATCHER, CONFIG_DISPATCHER, MAIN_DISPATCHER, DEAD_DISPATCHER]
CONFIRMATION_SECONDS = 15.0
ACKNOWLEDGEMENT_SECONDS = 5.0
RETRY_SECONDS = 0.1
AUDIT_SECONDS = 1.0
ROUNDS = 2
"""Of Open vSwitch's revalidators, after a change."""

log = logging.getLogger(__name__)


class Doorbell:
    """Wakes one waiting greenlet; rings while nobody waits are remembered as one."""

    def __init__(self) -> None:
        self._event = Event()

    def ring(self) -> None:
        """Let the waiting one, or the next one, go on."""
        if not self._event.ready():
            self._event.send()

    def wait(self) -> None:
        """Return after the next ring, or at once if there was one."""
        self._event.wait()
        self._event = Event()


class ClusterController(app_manager.RyuApp):  # type: ignore[misc]
    """Watch, compile, diff, bundle, barrier, acknowledge."""

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, socket: Path, round_number: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._objects = Client(socket)
        self._acknowledgements = Client(socket, timeout=ACKNOWLEDGEMENT_SECONDS)
        self._round = round_number
        self._switches: dict[int, Switch] = {}
        self._observed: Observed | None = None
        self._bridges: Mapping[int, Bridge] = {}
        self._in_force = False
        """Whether the engine believes that all switches hold some version."""
        self._compiler = ImpairedCompiler()
        self._cleaner = Cleaner()
        self._bell = Doorbell()
        self._stopping = Event()

    def start(self) -> Any:
        """Follow the objects and program the switches in greenlets of their own."""
        super().start()
        hub.spawn(_live_or_die, follow, self._objects, self._notice, self._pause)
        hub.spawn(_live_or_die, self._audit_for_ever)
        return hub.spawn(_live_or_die, self._program_for_ever)

    def close(self) -> None:
        """Ryu takes its leave."""
        self._stopping.send()

    def _notice(self, observed: Observed) -> None:
        self._observed = observed
        self._bell.ring()

    def _pause(self, seconds: float = RETRY_SECONDS) -> None:
        """Wait a moment, before the engine is asked again or switches are."""
        with Timeout(seconds, False):
            self._stopping.wait()

    def _audit_for_ever(self) -> None:
        while True:
            self._pause(AUDIT_SECONDS)
            for switch in list(self._switches.values()):
                switch.ask_for_count()

    # -- programming -------------------------------------------------------------------------------

    def _program_for_ever(self) -> None:
        compiled: Observed | None = None
        programs: Mapping[str, FlowProgram] = {}
        served, beyond = Frontends(), Balanced()
        pods: Owners = {}
        while True:
            self._bell.wait()
            observed = self._observed
            if observed is None:
                continue
            try:
                if observed is not compiled:
                    self._bridges = {
                        bridge.datapath_id: bridge for bridge in observed.snapshot.wiring.bridges
                    }
                    state = state_of(observed.snapshot)
                    programs, served = (
                        self._compiler.compile(observed.snapshot, state),
                        self._compiler.frontends(observed.snapshot, state),
                    )
                    beyond, pods = balanced(state), owners(state)
                    compiled = observed
                outcomes, missing = self._install(programs)
                if not missing:
                    self._forget_stale_connections(served, beyond, pods)
                self._acknowledge(observed.resource_version, outcomes, missing)
            except Exception as error:
                # Whatever is wrong with these objects, the next ones may be right again.
                log.exception("version %s could not be put in force", observed.resource_version)
                self._post(observed.resource_version, {}, [f"{type(error).__name__}: {error}"])

    def _install(self, programs: Mapping[str, FlowProgram]) -> tuple[dict[str, Outcome], list[str]]:
        """Bring all switches to their programs at once; tells what came of it, and who is missing."""
        under_way = []
        missing = []
        for program in programs.values():
            switch = self._switches.get(program.datapath_id)
            if switch is None:
                missing.append(program.bridge)
            else:
                under_way.append((switch, switch.begin(program), program))
        outcomes = {
            program.bridge: switch.finish(transaction, program, CONFIRMATION_SECONDS)
            for switch, transaction, program in under_way
        }
        if any(outcome.changed for outcome in outcomes.values()):
            _let_caches_follow(under_way[0][0])
        return outcomes, missing

    def _forget_stale_connections(self, served: Frontends, beyond: Balanced, pods: Owners) -> None:
        """What is acknowledged holds for clients that have asked before, too."""
        try:
            forgotten = self._cleaner.clean(served, beyond, pods)
        except (OSError, ValueError, unixctl.ControlError) as error:
            log.warning("stale connections could not be looked for: %s", error)
            return
        if forgotten:
            log.info("%d stale connections forgotten", forgotten)

    def _acknowledge(self, version: str, outcomes: Mapping[str, Outcome], missing: list[str]) -> None:
        if missing:
            log.info("not connected: %s", ", ".join(missing))
            if self._in_force:
                self._post("0", {}, [f"{bridge} is not connected" for bridge in missing])
            self._in_force = False
            return
        errors = [f"{bridge}: {error}" for bridge, outcome in outcomes.items() for error in outcome.errors]
        for error in errors:
            log.error("%s", error)
        bridges = {
            bridge: {
                "flows": outcome.flows,
                "added": outcome.added,
                "removed": outcome.removed,
                "repaired": [repair.as_json() for repair in outcome.repaired],
            }
            for bridge, outcome in outcomes.items()
        }
        self._post(version, bridges, errors)
        self._in_force = True

    def _post(self, version: str, bridges: Mapping[str, Mapping[str, object]], errors: list[str]) -> None:
        processes = sorted({switch.process for switch in self._switches.values()})
        body = {"resourceVersion": version, "bridges": bridges, "errors": errors, "processes": processes}
        try:
            self._acknowledgements.request("POST", "/mininetes/v1/programmed", body)
        except LOST as error:
            # A restarted engine sends everything again, and that is acknowledged.
            log.warning("version %s could not be acknowledged: %s", version, error)

    # -- switches ----------------------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])  # type: ignore[untyped-decorator]
    def _on_state(self, event: Any) -> None:
        datapath = event.datapath
        known = self._switches.get(datapath.id)
        if event.state == MAIN_DISPATCHER:
            if known is not None:
                known.lost()
            self._switches[datapath.id] = Switch(datapath, self._round, _process())
            self._bell.ring()
        elif known is not None and known.datapath is datapath:
            known.lost()
            del self._switches[datapath.id]
            self._bell.ring()

    @set_ev_cls(ofp_event.EventOFPErrorMsg, ANY_STATE)  # type: ignore[untyped-decorator]
    def _on_error(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None:
            switch.on_error(event.msg)

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_barrier(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None:
            switch.on_barrier(event.msg)

    @set_ev_cls(ofp_event.EventOFPAggregateStatsReply, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_count(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None and not switch.on_count(event.msg.body.flow_count):
            self._bell.ring()

    @set_ev_cls(ofp_event.EventOFPExperimenterStatsReply, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_changes(self, event: Any) -> None:
        switch = self._switches.get(event.msg.datapath.id)
        if switch is not None and not switch.on_changes(flow_monitor.changes(event.msg.body)):
            self._bell.ring()

    # -- packets -----------------------------------------------------------------------------------

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _on_packet(self, event: Any) -> None:
        message = event.msg
        wiring, bridge = self._wiring(), self._bridges.get(message.datapath.id)
        if wiring is None or bridge is None:
            return
        reason = message.match.get(PUNT.field.ryu, 0) & PUNT.mask
        ofport = message.match["in_port"]
        try:
            frame = answer(bytes(message.data), Punt(reason), wiring, bridge, ofport)
        except ValueError:
            log.warning("%s handed up a packet for no known reason (%d)", bridge.name, reason)
            return
        if frame is not None:
            message.datapath.send_msg(openflow.send(message.datapath, frame, ofport))

    def _wiring(self) -> Wiring | None:
        return None if self._observed is None else self._observed.snapshot.wiring


def _live_or_die(work: Callable[..., None], *arguments: Any) -> None:
    """Do work that never ends. Should it end all the same, so does the process, and a new one is started."""
    try:
        work(*arguments)
    except Exception:
        log.exception("the controller gives up")
    os._exit(1)


def _process() -> int:
    """The ovs-vswitchd that runs; 0 when that cannot be told."""
    try:
        return unixctl.process()
    except (OSError, ValueError):
        return 0


def _let_caches_follow(switch: Switch) -> None:
    """Return once the datapath's caches agree with the flow tables.

    A barrier reply says that the tables have changed; packets of flows already cached follow a moment later,
    when revalidators have gone through them. They go at every change and else twice a second, so they are
    sent once more while somebody waits. All bridges share the caches.

    What is waited for is the end of a round, also of one that was under way before the change: the round
    that ends after that one began after the change.
    """
    try:
        for _ in range(ROUNDS):
            with unixctl.asked("revalidator/wait") as done:
                switch.touch()
                done()
    except (OSError, ValueError, unixctl.ControlError) as error:
        log.warning("the datapath's caches could not be waited for: %s", error)

"""One connected switch: what it holds, and one change of it at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from eventlet import Timeout
from eventlet.event import Event

from controllers import flow_monitor, openflow
from controllers.audit import Repair, Suspects, foreign
from controllers.openflow import Datapath, Message, ofp
from controllers.pipeline.diff import Change, diff
from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.owner import ROUND_MASK, ROUND_SHIFT, cookie_of

BYTES_AT_ONCE = 1 << 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a change of a switch ended; no errors means that it is in force."""

    flows: int
    """How many flows the switch holds now."""
    added: int = 0
    removed: int = 0
    errors: tuple[str, ...] = ()
    changed: bool = True
    """False: there was nothing to do."""
    repaired: tuple[Repair, ...] = ()
    """What somebody else had done to it, and is undone."""


@dataclass
class _Transaction:
    """A bundle under way."""

    barrier: int
    flows: dict[int, Flow]
    """The flow that each message of the bundle is about, to name the owner of what is refused."""
    tolerated: frozenset[int]
    """Messages that may fail: meters that are there already, and a watch that a switch does not know."""
    suspects: Suspects
    """What somebody else did, and this bundle undoes."""
    errors: list[str] = field(default_factory=list)
    confirmed: Event = field(default_factory=Event)


class Switch:
    """Speaks to one switch over one connection; a new connection makes a new Switch."""

    def __init__(self, datapath: Datapath, round_number: int, process: int) -> None:
        self.datapath = datapath
        self.process = process
        """The id of the ovs-vswitchd at the other end: what it has confirmed dies with it."""
        self.installed: FlowProgram | None = None
        """What the switch has confirmed over this connection; None: not known."""
        self._sent: FlowProgram | None = None
        """What it was sent last."""
        self._round = round_number
        self._bundles = 0
        self._transaction: _Transaction | None = None
        self._suspects = Suspects()
        self._watched = False

    def begin(self, program: FlowProgram) -> _Transaction | None:
        """Send what is missing to hold `program`; None when the switch holds it already."""
        change = diff(self.installed, program)
        suspects = self._suspects
        if self.installed is not None and not change and not suspects:
            return None
        self._suspects = Suspects()
        before: list[Message] = []
        bundle: list[tuple[Message, Flow | None]] = []
        if self.installed is None or suspects.without_meter:
            before += openflow.give_meters(self.datapath, program.meters)
        if self.installed is None:
            # An earlier controller, or a user, may have left anything: the bundle replaces it all at once.
            before += self._watching()
            bundle.append((openflow.clear(self.datapath), None))
        else:
            bundle += self._undoing(program, suspects)
        bundle += self._messages(program, change)
        self._sent = program
        self._bundles += 1
        wrapped = list(openflow.bundle(self.datapath, self._bundles, [message for message, _ in bundle]))
        barrier = openflow.barrier(self.datapath)
        self._send([*before, *wrapped, barrier])
        about = zip(wrapped[1:-1], bundle, strict=True)
        self._transaction = _Transaction(
            barrier.xid,
            {message.xid: flow for message, (_, flow) in about if flow is not None},
            frozenset(message.xid for message in before),
            suspects,
        )
        return self._transaction

    def finish(self, transaction: _Transaction | None, program: FlowProgram, seconds: float) -> Outcome:
        """Wait for the switch's word, at most `seconds`."""
        before = self.installed
        if transaction is None:
            return Outcome(len(program), changed=False)
        with Timeout(seconds, False):
            transaction.confirmed.wait()
        self._transaction = None
        errors = tuple(transaction.errors)
        if not transaction.confirmed.ready():
            self.datapath.close()
            errors = (*errors, f"no confirmation within {seconds:g} s")
        if errors:
            self._suspects += transaction.suspects.changes
            return Outcome(len(before or ()), errors=errors)
        self.installed = program
        repaired = tuple(transaction.suspects.repairs(program))
        for repair in repaired:
            log.info("%s: put right what somebody else %s", program.bridge, repair)
        more = len(transaction.suspects.changes) - len(repaired)
        if more:
            log.info("%s: put right what somebody else did to %d flows more", program.bridge, more)
        change = diff(before, program)
        return Outcome(len(program), len(change.add), len(change.remove), repaired=repaired)

    def touch(self) -> None:
        """Write a flow once more as it is: Open vSwitch looks through its caches after any change."""
        for flow in islice(self.installed or (), 1):
            self._send([openflow.modify(self.datapath, flow)])

    def ask_for_count(self) -> None:
        """Ask how many of our flows the switch holds; `on_count` takes the answer."""
        if self.installed is not None and self._transaction is None:
            self._send([openflow.count(self.datapath, self._round << ROUND_SHIFT, ROUND_MASK)])

    def on_count(self, flows: int) -> bool:
        """Whether the switch still holds what it has confirmed; if not, the next `begin` puts it back.

        Answers come in the order of questions: one that comes while nothing is under way is about the
        program that is installed. Learned flows do not count, their cookies name no round.
        """
        if self.installed is None or self._transaction is not None or flows == len(self.installed):
            return True
        if self._suspects:
            # Why is known, and about to be undone; the next count tells whether that was all.
            return True
        log.info("%s holds %d flows, not %d", self.installed.bridge, flows, len(self.installed))
        # What is missing is added; what is too much can be found by nobody, so everything goes first.
        self.installed = replace(self.installed, units={}) if flows < len(self.installed) else None
        return False

    def on_changes(self, changes: Iterable[flow_monitor.Change]) -> bool:
        """Take word of what somebody else did; whether nothing of it has to be undone by the next `begin`."""
        if self._sent is not None:
            # While a change is under way, flows of either side of it may still learn.
            taught = self._sent.taught
            if self.installed is not None and self.installed is not self._sent:
                taught |= self.installed.taught
            self._suspects += foreign(changes, taught, self._round)
        return not self._suspects

    def on_error(self, message: Message) -> None:
        """The switch refused something."""
        transaction = self._transaction
        if transaction is None:
            log.error("a refusal out of turn: %s", describe(message))
        elif message.xid not in transaction.tolerated:
            flow = transaction.flows.get(message.xid)
            transaction.errors.append(f"{describe(message)}{f': {flow}' if flow else ''}")

    def on_barrier(self, message: Message) -> None:
        """The switch has done everything up to a barrier."""
        transaction = self._transaction
        if transaction is not None and transaction.barrier == message.xid:
            transaction.confirmed.send()

    def lost(self) -> None:
        """The connection has ended."""
        transaction = self._transaction
        if transaction is not None and not transaction.confirmed.ready():
            transaction.errors.append("the connection was lost")
            transaction.confirmed.send()

    def _watching(self) -> Iterable[Message]:
        """Ask once a connection; what fails is not asked again: flows are still counted."""
        if not self._watched:
            self._watched = True
            yield flow_monitor.watch(self.datapath)

    def _undoing(self, program: FlowProgram, suspects: Suspects) -> list[tuple[Message, Flow | None]]:
        to = self.datapath
        found: list[tuple[Message, Flow | None]] = [
            (openflow.remove_encoded(to, change.table, change.priority, change.match), None)
            for change in suspects.to_remove()
        ]
        if suspects:
            found += self._messages(program, Change(suspects.to_give_again(program), (), ()))
        return found

    def _messages(self, program: FlowProgram, change: Change) -> list[tuple[Message, Flow | None]]:
        def cookie(flow: Flow) -> int:
            return cookie_of(flow.owner, program.datapath_id, self._round)

        to = self.datapath
        found: list[tuple[Message, Flow | None]] = []
        found += [(openflow.add(to, flow, cookie(flow)), flow) for flow in change.add]
        found += [(openflow.modify(to, flow), flow) for flow in change.modify]
        found += [(openflow.remove(to, flow), flow) for flow in change.remove]
        return found

    def _send(self, messages: Iterable[Message]) -> None:
        """Few large writes: Ryu would make one of each message, and hold sixteen at most."""
        pending = bytearray()
        for message in messages:
            self.datapath.set_xid(message)
            message.serialize()
            pending += message.buf
            if len(pending) >= BYTES_AT_ONCE:
                self.datapath.send(bytes(pending))
                pending.clear()
        self.datapath.send(bytes(pending))


def describe(message: Message) -> str:
    """A refusal in words, as far as OpenFlow names it."""
    code = getattr(message, "code", None)
    if message.type == ofp.OFPET_EXPERIMENTER:
        return f"experimenter error {getattr(message, 'exp_type', code)}"
    return f"{ofp.ofp_error_type_to_str(message.type)} {ofp.ofp_error_code_to_str(message.type, code)}"

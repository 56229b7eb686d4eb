"""A new connection's first packet and its answer, followed from bridge to bridge.

On each bridge `ofproto/trace` says what the installed flows do; where a connection is tracked, the packet
is a new one on the way there and an answer on the way back. A trace knows no connections: what the switch
would remember of the first packet, to undo its translations, is remembered here instead, and such hops
are marked as derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from controllers.pipeline.registers import Punt
from controllers.pipeline.tables import CONNTRACK_STATE, CONNTRACK_ZONE, LOCAL_DELIVERY
from emulator.cluster.model import Ref
from emulator.cluster.outcome import Outcome
from emulator.cluster.wiring import IPAddress
from emulator.verdict.trace.atlas import Atlas, Entry, Nowhere, Onward, Router, Sender, Stack, Tunnel
from emulator.verdict.trace.legend import Legend, stage_name
from emulator.verdict.trace.model import Direction, Hop, Trace, Weight
from emulator.verdict.trace.packet import SOURCE_PORT, Ends, Packet, translations
from emulator.verdict.trace.text import Part, Step, parse

Ask = Callable[[str, str, tuple[str, ...]], str]
"""The text of `ofproto/trace BRIDGE FLOW --ct-next STATE...`."""

NEW, ANSWER = ("trk,new",) * 6, ("trk,est,rpl",) * 6
"""Connection states for as many recirculations as userspace Open vSwitch allows."""
LONGEST = 40
"""Bridges on a path, tunnels' included."""

LISTENS = "whether a process listens there, flow tables do not know"
DERIVED = (
    "the answer's way back through translations is derived from the first packet's: "
    "a trace knows no connections"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be traced."""

    source: str
    target: str
    protocol: str
    destination: IPAddress
    port: int = 0
    source_address: IPAddress | None = None
    source_port: int = SOURCE_PORT


@dataclass(frozen=True, slots=True)
class _Passage:
    """What a bridge did with the first packet."""

    before: Ends
    after: Ends
    owner: Ref | None


@dataclass(frozen=True, slots=True)
class _Crossing:
    """One packet's way through one bridge."""

    hops: tuple[Hop, ...]
    packet: Packet
    output: int | None
    outcome: Outcome
    """CONNECTED: it goes on, or a router itself has answered (no output)."""


@dataclass(frozen=True, slots=True)
class _Journey:
    """One packet's way through all of them."""

    hops: tuple[Hop, ...]
    packet: Packet
    outcome: Outcome
    place: str = ""


def trace(question: Question, atlas: Atlas, legends: Mapping[str, Legend], ask: Ask) -> Trace:
    """Follow a connection there and back. Raises NoSuchSenderError, and what `ask` raises."""
    sender = atlas.sender(question.source)
    local = _local(question, atlas, sender)
    if local is not None:
        return local
    packet = _first(question, atlas, sender)
    walker = _Walker(atlas, legends, ask, {}, Direction.FORWARD)
    there = walker.walk(sender.entry, packet)
    begun = Trace(there.outcome, there.hops, question.source, question.target, packet)
    if there.outcome is not Outcome.CONNECTED:
        return begun
    ends = there.packet.ends
    begun = replace(
        begun,
        endpoint=there.place,
        endpoint_port=ends.destination_port,
        source_seen=str(ends.source),
        notes=() if packet.protocol == "icmp" else (LISTENS,),
    )
    if there.place.startswith("router/"):
        return begun
    back = _answer(atlas, walker, there, question)
    hops = (*there.hops, *back.hops)
    notes = (*begun.notes, *((DERIVED,) if any(hop.derived for hop in back.hops) else ()))
    return replace(begun, outcome=back.outcome, hops=hops, notes=notes)


def _local(question: Question, atlas: Atlas, sender: Sender) -> Trace | None:
    """A stack that speaks to itself asks no bridge, unless a Service or a pod has the port of its node."""
    own = question.destination in sender.addresses or question.destination.is_loopback
    node = sender.place.startswith("node/")
    if not own or (node and atlas.is_claimed(sender.place, question.protocol, question.port)):
        return None
    hop = Hop(sender.place, "", "an address of its own: the packet never leaves", weight=Weight.CHANGE)
    return Trace(
        Outcome.CONNECTED,
        (hop,),
        question.source,
        question.target,
        _first(question, atlas, sender) if not question.destination.is_loopback else None,
        endpoint=sender.place,
        endpoint_port=question.port,
        source_seen=str(question.destination),
        notes=(LISTENS,),
    )


def _first(question: Question, atlas: Atlas, sender: Sender) -> Packet:
    destination = question.destination
    source = question.source_address
    if source is None:
        loops = destination.is_loopback
        source = destination if loops else atlas.source_address(sender, destination)
    icmp = question.protocol == "icmp"
    return Packet(
        question.protocol,
        source,
        destination,
        0 if icmp else question.source_port,
        0 if icmp else question.port,
        sender.mac,
        atlas.first_mac(sender, destination),
    )


def _answer(atlas: Atlas, walker: _Walker, there: _Journey, question: Question) -> _Journey:
    answerer = atlas.sender(there.place)
    ends = there.packet.ends.turned()
    mac = atlas.first_mac(answerer, ends.destination)
    packet = replace(there.packet, eth_source=answerer.mac, eth_destination=mac, is_reply=True, ttl=64)
    back = _Walker(atlas, walker.legends, walker.ask, walker.passages, Direction.REPLY)
    journey = back.walk(answerer.entry, packet.with_ends(ends))
    home = {question.source, atlas.sender(question.source).place}
    if journey.outcome is Outcome.CONNECTED and journey.place not in home:
        stray = Hop(journey.place, "", "the answer ends here, not at the client", direction=Direction.REPLY)
        return replace(
            journey, outcome=Outcome.DROPPED, hops=(*journey.hops, replace(stray, weight=Weight.CHANGE))
        )
    return journey


@dataclass(frozen=True, slots=True)
class _Walker:
    """Follows packets of one connection in one direction."""

    atlas: Atlas
    legends: Mapping[str, Legend]
    ask: Ask
    passages: dict[str, _Passage]
    """By bridge; filled on the way there, read on the way back."""
    direction: Direction

    def walk(self, entry: Entry, packet: Packet) -> _Journey:
        """From a bridge's port to a stack, or to where the packet ends."""
        hops: list[Hop] = []
        onward: Onward = entry
        for _ in range(LONGEST):
            match onward:
                case Entry():
                    crossing = self._cross(onward, packet)
                    hops += crossing.hops
                    packet = crossing.packet
                    place = onward.bridge.place
                    if crossing.output is None:
                        return _Journey(tuple(hops), packet, crossing.outcome, place)
                    onward = self.atlas.beyond(onward.bridge, crossing.output, packet)
                case Tunnel():
                    carried = self._carry(onward)
                    hops += carried.hops
                    if carried.outcome is not Outcome.CONNECTED:
                        return replace(carried, hops=tuple(hops), packet=packet)
                    onward = self.atlas.tunnel_end(onward.far)
                case Stack():
                    arrived = self._arrive(onward, packet)
                    return replace(arrived, hops=(*hops, *arrived.hops))
                case Router():
                    routed = self.atlas.routed(onward.router, packet)
                    if routed is not None:
                        hops.append(
                            self._hop(onward.router.place, "routes it, as the plan says", Weight.NOTE)
                        )
                        onward, packet = routed
                        continue
                    why = "a Linux router: its routes are its kernel's, and no flow table shows them"
                    hops.append(self._hop(onward.router.place, why, Weight.CHANGE))
                    return _Journey(tuple(hops), packet, Outcome.UNKNOWN)
                case Nowhere():
                    hops.append(self._hop(hops[-1].node if hops else "", onward.why, Weight.CHANGE))
                    return _Journey(tuple(hops), packet, Outcome.DROPPED)
        hops.append(self._hop(entry.bridge.place, "it goes round in circles", Weight.CHANGE))
        return _Journey(tuple(hops), packet, Outcome.DROPPED)

    def _hop(self, node: str, action: str, weight: Weight) -> Hop:
        return Hop(node, "", action, direction=self.direction, weight=weight)

    def _arrive(self, stack: Stack, packet: Packet) -> _Journey:
        if packet.destination not in stack.addresses and not packet.destination.is_loopback:
            hop = self._hop(
                stack.place, f"{packet.destination} is no address of {stack.place}", Weight.CHANGE
            )
            return _Journey((hop,), packet, Outcome.DROPPED)
        hop = self._hop(stack.place, str(packet), Weight.CHANGE)
        return _Journey((hop,), packet, Outcome.CONNECTED, stack.place)

    def _carry(self, tunnel: Tunnel) -> _Journey:
        """The way of the VXLAN packet over the fabric."""
        entry, outer = self.atlas.outer(tunnel)
        vni = self.atlas.state.wiring.vni
        wrapped = self._hop("vxlan", f"{outer.source} → {outer.destination}, vni {vni}", Weight.CHANGE)
        # Nobody tracks these packets, so nothing is to be remembered of them.
        journey = _Walker(self.atlas, self.legends, self.ask, {}, self.direction).walk(entry, outer)
        if journey.outcome is Outcome.CONNECTED:
            if journey.place == f"node/{tunnel.far.name}":
                under_way = tuple(replace(hop, weight=Weight.PASS) for hop in journey.hops)
                return replace(journey, hops=(wrapped, *under_way))
            journey = replace(journey, outcome=Outcome.DROPPED)
        return replace(journey, hops=(wrapped, *journey.hops))

    # -- one bridge ------------------------------------------------------------------------------------

    def _cross(self, entry: Entry, packet: Packet) -> _Crossing:
        passage = self.passages.get(entry.bridge.name) if self.direction is Direction.REPLY else None
        if passage is not None and packet.ends == passage.after.turned():
            return self._cross_back(entry, packet, passage)
        parts = self._trace(entry, packet, NEW)
        crossing = self._read(entry, packet, parts)
        if self.direction is Direction.FORWARD:
            owner = next((hop.owner for hop in crossing.hops if "⇒" in hop.action), None)
            self.passages[entry.bridge.name] = _Passage(packet.ends, crossing.packet.ends, owner)
        return crossing

    def _cross_back(self, entry: Entry, packet: Packet, passage: _Passage) -> _Crossing:
        """An answer: its translations are the first packet's, undone."""
        parts = self._trace(entry, packet, ANSWER)
        if passage.before == passage.after:
            return self._read(entry, packet, parts)
        looked_up = self._read(entry, packet, parts)
        upto = tuple(
            hop for hop in looked_up.hops if hop.table is not None and hop.table <= CONNTRACK_STATE.number
        )
        if not any(hop.stage == CONNTRACK_ZONE.name for hop in upto):
            return looked_up  # It was dropped before anybody looked for its connection.
        # Traced once more as it is after the lookup. Its source is exchanged only at the end: a pod that
        # answers with a Service's address would be a spoofer.
        ends = passage.before.turned()
        known = replace(packet, destination=ends.destination, destination_port=ends.destination_port)
        rest = self._read(entry, known, self._trace(entry, known, ANSWER))
        after = (
            tuple(hop for hop in rest.hops if hop.table is None or hop.table > CONNTRACK_STATE.number)
            or rest.hops[-1:]
        )
        undone = Hop(
            entry.bridge.place.removeprefix("node/"),
            CONNTRACK_ZONE.name,
            ", ".join(translations(packet.ends, ends)),
            passage.owner,
            Direction.REPLY,
            Weight.CHANGE,
            entry.bridge.name,
            derived=True,
        )
        translated = replace(rest.packet.with_ends(ends), is_reply=True)
        return _Crossing((*upto, undone, *after), translated, rest.output, rest.outcome)

    def _trace(self, entry: Entry, packet: Packet, states: tuple[str, ...]) -> tuple[Part, ...]:
        return parse(self.ask(entry.bridge.name, packet.to_flow(entry.ofport), states))

    def _read(self, entry: Entry, packet: Packet, parts: tuple[Part, ...]) -> _Crossing:
        hops: list[Hop] = []
        for index, part in enumerate(parts):
            following = parts[index + 1].before if index + 1 < len(parts) else part.after
            before, after = packet.changed(part.after).ends, packet.changed(following).ends
            for step in part.steps:
                is_last = step is part.steps[-1]
                changed = translations(before, after) if is_last else ()
                hops.append(self._describe(entry, step, changed))
        last = parts[-1]
        arrived = packet.changed(last.after)
        place = entry.bridge.place
        if last.punted:
            reason = Punt(int(last.after.get("reg6", "0"), 16) & 0xFF)
            words = f"refused: {reason.name.lower().replace('_', ' ')} ({hops[-1].action})"
            hops[-1] = replace(hops[-1], action=words, weight=Weight.CHANGE)
            return _Crossing(tuple(hops), arrived, None, Outcome.REJECTED)
        if last.returned and hops and hops[-1].table == LOCAL_DELIVERY.number:
            hops[-1] = replace(hops[-1], action=f"{place} answers", weight=Weight.CHANGE)
            return _Crossing(tuple(hops), arrived, None, Outcome.CONNECTED)
        output = entry.ofport if last.returned else next(iter(last.outputs), None)
        if output is None:
            words = "no flow: dropped" if not last.steps[-1].hit else f"dropped: {hops[-1].action}"
            hops[-1] = replace(hops[-1], action=words, weight=Weight.CHANGE)
            return _Crossing(tuple(hops), arrived, None, Outcome.DROPPED)
        hops[-1] = replace(hops[-1], action=f"out of port {self._port(entry, output)}", weight=Weight.NOTE)
        return _Crossing(tuple(hops), arrived, output, Outcome.CONNECTED)

    def _describe(self, entry: Entry, step: Step, changed: tuple[str, ...]) -> Hop:
        legend = self.legends[entry.bridge.name]
        owner = legend.owner(step.table, step.priority, step.match, step.cookie)
        weight = Weight.PASS if legend.is_plain(owner) else Weight.NOTE
        return Hop(
            entry.bridge.place.removeprefix("node/"),
            stage_name(step.table),
            ", ".join(changed) or legend.words(step),
            owner,
            self.direction,
            Weight.CHANGE if changed else weight,
            entry.bridge.name,
            step.table,
            step.priority,
            step.match,
            step.actions,
            step.cookie,
        )

    def _port(self, entry: Entry, ofport: int) -> str:
        named = next((port.name for port in entry.bridge.ports if port.ofport == ofport), None)
        return named or self.atlas.pod_interface(entry.bridge, ofport)

"""A new connection's first packet and its answer, followed from bridge to bridge.

On each bridge `ofproto/trace` says what the installed flows do; where a connection is tracked, the packet
is a new one on the way there and an answer on the way back. A trace knows no connections: what the switch
would remember of the first packet, to undo its translations, is remembered here instead, and such hops
are marked as derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile

from controllers.pipeline.tables import SERVICE_LB
from emulator.cluster.outcome import Outcome
from emulator.cluster.wiring import IPAddress
from emulator.verdict.trace.atlas import Atlas, Entry, Nowhere, Onward, Router, Sender, Stack, Tunnel
from emulator.verdict.trace.crossing import Crosser, Drawn, Passage, Silent, Talk, Telling
from emulator.verdict.trace.legend import Legend
from emulator.verdict.trace.model import Direction, Hop, Leg, Trace, Weight
from emulator.verdict.trace.packet import SOURCE_PORT, Packet
from emulator.verdict.trace.words import ways

Ask = Callable[[str, str, tuple[str, ...]], str]
"""Asks the switch, and gives its answer."""
LONGEST = 40
"""Bridges on a path, tunnels' included."""

LISTENS = "whether a process listens there, flow tables do not know"
MASQUERADED = "which port a masqueraded packet gets is chosen when it comes: a trace shows the first one"
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
    drawn: Drawn = field(default_factory=dict)
    """Source ports that translators are known to have given a real packet."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where the first packet of a connection ends."""

    outcome: Outcome
    place: str
    """Where it was delivered; empty when it was not."""


@dataclass(frozen=True, slots=True)
class _Journey:
    """One packet's way through all of them."""

    hops: tuple[Hop, ...]
    packet: Packet
    outcome: Outcome
    place: str = ""
    legs: tuple[Leg, ...] = ()


def trace(question: Question, atlas: Atlas, legends: Mapping[str, Legend], ask: Ask) -> Trace:
    """Follow a connection there and back. Raises NoSuchSenderError, and what `ask` raises."""
    talk = following(question, atlas, legends)
    try:
        asked = next(talk)
        while True:
            asked = talk.send(ask(*asked))
    except StopIteration as end:
        found: Trace = end.value
        return found


def following(question: Question, atlas: Atlas, legends: Mapping[str, Legend]) -> Talk[Trace]:
    """Follow a connection there and back. Raises NoSuchSenderError."""
    sender = atlas.sender(question.source)
    local = _local(question, atlas, sender)
    if local is not None:
        return local
    packet = _first(question, atlas, sender)
    walker = _Walker(Crosser(atlas, Telling(atlas, legends), [], Direction.FORWARD, question.drawn))
    there = yield from walker.walk(sender.entry, packet)
    unknown = _unknown_ports(question, walker.crosser.passages)
    choices = _choices_behind(unknown, there.hops)
    begun = Trace(
        there.outcome,
        there.hops,
        question.source,
        question.target,
        packet,
        legs=there.legs,
        notes=choices,
        is_open=bool(choices),
    )
    if there.outcome is not Outcome.CONNECTED:
        return begun
    begun = replace(
        begun,
        endpoint=there.place,
        endpoint_port=there.packet.destination_port,
        source_seen=str(there.packet.source),
        notes=(
            *((LISTENS,) if packet.protocol != "icmp" else ()),
            *((MASQUERADED,) if unknown else ()),
            *choices,
        ),
    )
    if there.place.startswith("router/"):
        return begun
    back = yield from _answer(atlas, walker, there, question)
    hops = (*there.hops, *back.hops)
    notes = (*begun.notes, *((DERIVED,) if any(hop.derived for hop in back.hops) else ()))
    return replace(begun, outcome=back.outcome, hops=hops, notes=notes, legs=(*there.legs, *back.legs))


def _unknown_ports(question: Question, passages: Sequence[Passage]) -> tuple[str, ...]:
    """Bridges that translate the source to a port which is drawn when a packet comes."""
    if question.protocol == "icmp":
        return ()
    return tuple(
        passed.bridge
        for passed in passages
        if passed.before.source != passed.after.source and passed.drawn_as not in question.drawn
    )


def _choices_behind(translators: Sequence[str], hops: Sequence[Hop]) -> tuple[str, ...]:
    """Whoever chooses by a port that is not known yet: a real packet may fare otherwise."""
    behind = dropwhile(lambda hop: hop.bridge not in translators, hops)
    choosing = (hop for hop in behind if hop.stage == SERVICE_LB.name and hop.bridge not in translators[:1])
    return tuple(
        f"{hop.node} chooses among {many} by a source port that is drawn when a packet comes: "
        "a real one may meet another than is shown here; --live follows one"
        for hop in choosing
        if (many := ways(hop.actions)) > 1
    )


def arriving(question: Question, atlas: Atlas) -> Talk[Arrival]:
    """Where the first packet ends, in a few questions and without a word about the way.

    What answers it gets back to its sender: an answer belongs to a known connection, whose translations are
    undone and which no policy judges. Raises NoSuchSenderError.
    """
    sender = atlas.sender(question.source)
    if _is_local(question, atlas, sender):
        return Arrival(Outcome.CONNECTED, sender.place)
    crosser = Crosser(atlas, Silent(), [], Direction.FORWARD)
    found = yield from _Walker(crosser).walk(sender.entry, _first(question, atlas, sender))
    return Arrival(found.outcome, found.place if found.outcome is Outcome.CONNECTED else "")


def _local(question: Question, atlas: Atlas, sender: Sender) -> Trace | None:
    """A stack that speaks to itself asks no bridge, unless a Service or a pod has the port of its node."""
    if not _is_local(question, atlas, sender):
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
        notes=(LISTENS,) if question.protocol != "icmp" else (),
    )


def _is_local(question: Question, atlas: Atlas, sender: Sender) -> bool:
    own = question.destination in sender.addresses or question.destination.is_loopback
    node = sender.place.startswith("node/")
    return own and not (node and atlas.is_claimed(sender.place, question.protocol, question.port))


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


def _answer(atlas: Atlas, walker: _Walker, there: _Journey, question: Question) -> Talk[_Journey]:
    answerer = atlas.sender(there.place)
    ends = there.packet.ends.turned()
    mac = atlas.first_mac(answerer, ends.destination)
    packet = replace(there.packet, eth_source=answerer.mac, eth_destination=mac, is_reply=True, ttl=64)
    back = _Walker(replace(walker.crosser, direction=Direction.REPLY))
    journey = yield from back.walk(answerer.entry, packet.with_ends(ends))
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

    crosser: Crosser

    @property
    def atlas(self) -> Atlas:
        """The plan."""
        return self.crosser.atlas

    @property
    def direction(self) -> Direction:
        """Which way they go."""
        return self.crosser.direction

    def walk(self, entry: Entry, packet: Packet) -> Talk[_Journey]:
        """From a bridge's port to a stack, or to where the packet ends."""
        hops: list[Hop] = []
        legs: list[Leg] = []
        onward: Onward = entry
        for _ in range(LONGEST):
            match onward:
                case Entry():
                    crossing = yield from self.crosser.cross(onward, packet)
                    hops += crossing.hops
                    legs += crossing.legs
                    packet = crossing.packet
                    if crossing.output is None:
                        place = onward.bridge.place
                        return _Journey(tuple(hops), packet, crossing.outcome, place, tuple(legs))
                    onward = self.atlas.beyond(onward.bridge, crossing.output, packet)
                case Tunnel():
                    carried = yield from self._carry(onward)
                    hops += carried.hops
                    legs += (replace(leg, packet=packet, outer=leg.packet) for leg in carried.legs)
                    if carried.outcome is not Outcome.CONNECTED:
                        return replace(carried, hops=tuple(hops), packet=packet, legs=tuple(legs))
                    onward = self.atlas.tunnel_end(onward.far)
                case Stack():
                    arrived = self._arrive(onward, packet)
                    return replace(arrived, hops=(*hops, *arrived.hops), legs=tuple(legs))
                case Router():
                    routed = self.atlas.routed(onward.router, packet)
                    if routed is not None:
                        words = "routes it, as the plan says"
                        hops.append(self._hop(onward.router.place, words, Weight.NOTE))
                        onward, packet = routed
                        continue
                    why = "a Linux router: its routes are its kernel's, and no flow table shows them"
                    hops.append(self._hop(onward.router.place, why, Weight.CHANGE))
                    return _Journey(tuple(hops), packet, Outcome.UNKNOWN, legs=tuple(legs))
                case Nowhere():
                    hops.append(self._hop(hops[-1].node if hops else "", onward.why, Weight.CHANGE))
                    return _Journey(tuple(hops), packet, Outcome.DROPPED, legs=tuple(legs))
        hops.append(self._hop(entry.bridge.place, "it goes round in circles", Weight.CHANGE))
        return _Journey(tuple(hops), packet, Outcome.DROPPED, legs=tuple(legs))

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

    def _carry(self, tunnel: Tunnel) -> Talk[_Journey]:
        """The way of the VXLAN packet over the fabric."""
        entry, outer = self.atlas.outer(tunnel)
        vni = self.atlas.state.wiring.vni
        wrapped = self._hop("vxlan", f"{outer.source} → {outer.destination}, vni {vni}", Weight.CHANGE)
        # Nobody tracks these packets, so nothing is to be remembered of them.
        journey = yield from _Walker(replace(self.crosser, passages=[])).walk(entry, outer)
        if journey.outcome is Outcome.CONNECTED:
            if journey.place == f"node/{tunnel.far.name}":
                under_way = tuple(replace(hop, weight=Weight.PASS) for hop in journey.hops)
                return replace(journey, hops=(wrapped, *under_way))
            journey = replace(journey, outcome=Outcome.DROPPED)
        return replace(journey, hops=(wrapped, *journey.hops))

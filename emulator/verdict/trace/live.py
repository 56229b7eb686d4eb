"""A packet that was sent, against the one that was traced: hop by hop, as captures saw it. Pure.

A leg of a trace is a packet at a port of a switch. What the capture there holds of the connection has to be
just that: these addresses and ports, this TTL, in this direction. Packets of the connection at other watched
ports were not predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import pairwise

from emulator.api.objects import JsonObject
from emulator.cluster.outcome import Outcome
from emulator.probes.capture import Direction as Side
from emulator.probes.capture import Record
from emulator.probes.headers import Datagram, Headers, datagram
from emulator.verdict.trace.crossing import Drawn
from emulator.verdict.trace.model import Direction, Leg, Trace
from emulator.verdict.trace.packet import Ends, Packet

_ICMP = {4: "icmp", 6: "icmpv6"}
_ECHOES = {"icmp": (8, 0), "icmpv6": (128, 129)}
_NOTHING = "nothing came"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet of the connection where a capture saw it."""

    interface: str
    enters: bool
    """It came into the switch."""
    time: int
    """Nanoseconds since 1970."""
    ends: Ends
    ttl: int
    is_wrapped: bool
    """It was inside a VXLAN packet."""

    @property
    def words(self) -> str:
        """`10.244.1.3:40000 → 10.244.2.4:80, ttl 62`."""
        return f"{self.ends}, ttl {self.ttl}"


@dataclass(frozen=True, slots=True)
class Match:
    """One leg and what was captured there."""

    leg: Leg
    seen: tuple[Sighting, ...]
    began: int
    """When the first packet of all was seen."""
    found: str = ""
    """What was there instead; empty where all is as traced."""
    is_expected: bool = True
    """False: no answer was sent, so that there was none to be seen."""

    @property
    def agrees(self) -> bool:
        """Whether the capture shows what was traced."""
        return not self.found or not self.is_expected

    def as_json(self) -> JsonObject:
        """One of `live.hops`."""
        leg = self.leg
        return {
            "node": leg.node,
            "interface": leg.interface,
            "side": "in" if leg.enters else "out",
            "direction": leg.direction.value,
            "packet": str(leg.packet),
            "ttl": leg.packet.ttl,
            "outer": str(leg.outer) if leg.outer else "",
            "seen": self.seen[0].words if self.seen else "",
            "packets": len(self.seen),
            "microseconds": round((self.seen[0].time - self.began) / 1000, 1) if self.seen else None,
            "found": self.found,
            "agrees": self.agrees,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All legs, and what nobody predicted."""

    matches: tuple[Match, ...]
    unpredicted: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every hop is as traced, and there is none beside."""
        return all(match.agrees for match in self.matches) and not self.unpredicted


def compare(trace: Trace, records: Iterable[Record]) -> Comparison:
    """Match each leg with what was captured there."""
    ours = _Ours(trace)
    seen = [sighting for record in records if (sighting := ours.recognise(record)) is not None]
    first = min((one.time for one in seen), default=0)
    answered = _is_answered(ours, seen)
    matches = tuple(_match(ours, leg, seen, first, answered=answered) for leg in trace.legs)
    strange = dict.fromkeys(
        f"{'into' if one.enters else 'out of'} {one.interface}: {one.words}"
        for one in seen
        if not any(ours.is_at(leg, one) for leg in trace.legs) and not ours.may_be_refusal(one)
    )
    return Comparison(matches, tuple(strange))


def drawn(trace: Trace, records: Iterable[Record]) -> Drawn:
    """Source ports that bridges on the traced way have given the packet, as captures saw it leave."""
    ours = _Ours(trace)
    seen = [sighting for record in records if (sighting := ours.recognise(record)) is not None]
    return {
        (leg.bridge, replace(leg.packet.ends, source_port=0)): one.ends.source_port
        for came, leg in pairwise(trace.legs)
        if leg.direction is Direction.FORWARD
        and not leg.enters
        and came.bridge == leg.bridge
        and came.packet.source != leg.packet.source
        for one in seen
        if ours.is_at(leg, one)
    }


def _match(ours: _Ours, leg: Leg, seen: Sequence[Sighting], first: int, *, answered: bool) -> Match:
    same = [one for one in seen if ours.is_at(leg, one) and one.is_wrapped == (leg.outer is not None)]
    expected = answered or leg.direction is Direction.FORWARD
    if not same:
        there = (one for one in seen if (one.interface, one.enters) == (leg.interface, leg.enters))
        return Match(leg, (), first, "; ".join(one.words for one in there) or _NOTHING, is_expected=expected)
    other = sorted({one.ttl for one in same} - {leg.packet.ttl})
    found = f"ttl {', '.join(map(str, other))}, not {leg.packet.ttl}" if other else ""
    return Match(leg, tuple(same), first, found)


def _is_answered(ours: _Ours, seen: Sequence[Sighting]) -> bool:
    """Whether the endpoint sent an answer at all. A connection's has to come; a datagram needs none."""
    begin = next((leg for leg in ours.trace.legs if leg.direction is Direction.REPLY), None)
    if begin is None or begin.packet.protocol == "tcp":
        return True
    return any(ours.is_at(begin, one) for one in seen)


class _Ours:
    """Recognises packets of a connection, however they are translated."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        patterns = {leg: _pattern(trace, leg) for leg in trace.legs}
        self._patterns = patterns
        forward = {ends for leg, ends in patterns.items() if leg.direction is Direction.FORWARD}
        self._answers = {ends.turned() for ends in forward}
        self._known = {*patterns.values(), *self._answers}

    def recognise(self, record: Record) -> Sighting | None:
        """The sighting that a captured packet is; None for what is none of the connection's beginning."""
        headers = record.headers
        prefix = "inner." if "vxlan.vni" in headers else ""
        packet, sent = datagram(headers, prefix), self.trace.packet
        if packet is None or sent is None or packet.protocol != _spoken(sent):
            return None
        if not _is_first(headers, prefix, packet.protocol):
            return None
        ends = _ends_of(packet)
        if not any(_fits(ends, known) for known in self._known):
            return None
        enters = record.direction is Side.IN
        return Sighting(record.interface, enters, record.time, ends, packet.ttl, is_wrapped=bool(prefix))

    def is_at(self, leg: Leg, sighting: Sighting) -> bool:
        """Whether it is the leg's packet, at the leg's port."""
        there = (sighting.interface, sighting.enters) == (leg.interface, leg.enters)
        return there and _fits(sighting.ends, self._patterns[leg])

    def may_be_refusal(self, sighting: Sighting) -> bool:
        """A reset on its way back to the client, where the trace says that it is refused."""
        refused = self.trace.outcome is Outcome.REJECTED
        return refused and any(_fits(sighting.ends, answer) for answer in self._answers)


def _pattern(trace: Trace, leg: Leg) -> Ends:
    """The ends that its packet has. A port of 0 fits all: those of masquerades are chosen as packets come."""
    ends, client = leg.packet.ends, trace.packet.source if trace.packet else None
    if leg.direction is Direction.FORWARD and ends.source != client:
        return replace(ends, source_port=0)
    if leg.direction is Direction.REPLY and ends.destination != client:
        return replace(ends, destination_port=0)
    return ends


def _fits(ends: Ends, pattern: Ends) -> bool:
    return (
        (ends.source, ends.destination) == (pattern.source, pattern.destination)
        and pattern.source_port in (0, ends.source_port)
        and pattern.destination_port in (0, ends.destination_port)
    )


def _is_first(headers: Headers, prefix: str, protocol: str) -> bool:
    """Whether a packet opens or refuses a connection, or is an echo or its reply: all that is traced."""
    if protocol == "tcp":
        return bool({"S", "R"} & set(str(headers.get(f"{prefix}tcp.flags", ""))))
    kind = headers.get(f"{prefix}{protocol}.type")
    return protocol not in _ECHOES or kind in _ECHOES[protocol]


def _spoken(packet: Packet) -> str:
    return _ICMP[packet.source.version] if packet.protocol == "icmp" else packet.protocol


def _ends_of(packet: Datagram) -> Ends:
    return Ends(
        ip_address(packet.source),
        packet.source_port or 0,
        ip_address(packet.destination),
        packet.destination_port or 0,
    )

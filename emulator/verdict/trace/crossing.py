"""What one bridge does with one packet: the switch's own words become a crossing."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from controllers.pipeline.registers import KNOWN, Punt
from controllers.pipeline.tables import CONNTRACK_STATE, CONNTRACK_ZONE, LOCAL_DELIVERY
from emulator.cluster.model import Ref
from emulator.cluster.outcome import Outcome
from emulator.verdict.trace.atlas import Atlas, Entry
from emulator.verdict.trace.legend import Legend, stage_name
from emulator.verdict.trace.model import Direction, Hop, Leg, Weight
from emulator.verdict.trace.packet import Ends, Packet, translations
from emulator.verdict.trace.text import Part, Step, parse
from emulator.verdict.trace.words import Scene, sentence

Said = TypeVar("Said")
Asked = tuple[str, str, tuple[str, ...]]
"""`ofproto/trace BRIDGE FLOW --ct-next STATE...`."""
Talk = Generator[Asked, str, Said]
"""Yields what the switch is to be asked, is sent what that says, and returns what has been found out."""
Drawn = Mapping[tuple[str, Ends], int]
"""By bridge, and by what a packet is translated to there with a source port of 0: the source port."""

NEW, ANSWER = ("trk,new",) * 6, ("trk,est,rpl",) * 6
"""Connection states for as many recirculations as userspace Open vSwitch allows."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What a bridge did with the first packet."""

    bridge: str
    before: Ends
    after: Ends
    owner: Ref | None
    mark: str = ""
    """What the connection is marked with there."""

    @property
    def drawn_as(self) -> tuple[str, Ends]:
        """How the port that a translated source was given is known among others."""
        return self.bridge, replace(self.after, source_port=0)


@dataclass(frozen=True, slots=True)
class Crossing:
    """One packet's way through one bridge."""

    hops: tuple[Hop, ...]
    packet: Packet
    output: int | None
    outcome: Outcome
    """CONNECTED: it goes on, or a router itself has answered (no output)."""
    legs: tuple[Leg, ...] = ()


class Reader(Protocol):
    """Makes hops of what a switch has said."""

    def hops(
        self, entry: Entry, packet: Packet, parts: tuple[Part, ...], direction: Direction
    ) -> tuple[Hop, ...]:
        """One for each flow; none where nobody reads them."""


@dataclass(frozen=True, slots=True)
class Silent:
    """For sweeps, which only ask where packets end."""

    def hops(
        self, _entry: Entry, _packet: Packet, _parts: tuple[Part, ...], _direction: Direction
    ) -> tuple[Hop, ...]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Telling:
    """For people: every flow with its author's name for it."""

    atlas: Atlas
    legends: Mapping[str, Legend]

    def hops(
        self, entry: Entry, packet: Packet, parts: tuple[Part, ...], direction: Direction
    ) -> tuple[Hop, ...]:
        """One for each flow that the packet met."""
        found: list[Hop] = []
        for index, part in enumerate(parts):
            following = parts[index + 1].before if index + 1 < len(parts) else part.after
            before, after = packet.changed(part.before), packet.changed(following)
            for step in part.steps:
                changed = translations(before.ends, after.ends) if step is part.steps[-1] else ()
                found.append(self._hop(entry, step, changed, Scene(before, after, parts[-1])))
                found[-1] = replace(found[-1], direction=direction)
        return tuple(found)

    def _hop(self, entry: Entry, step: Step, changed: tuple[str, ...], scene: Scene) -> Hop:
        legend = self.legends[entry.bridge.name]
        flow = legend.flow(step.table, step.priority, step.match)
        owner = legend.owner(step.table, step.priority, step.match, step.cookie)
        weight = Weight.PASS if legend.is_plain(owner) else Weight.NOTE
        words = ", ".join(changed) or legend.words(step)
        if flow is not None and not changed:
            told = sentence(self.atlas, entry, flow, step, scene)
            words, weight = (told.words or words, told.weight or weight) if told else (words, weight)
        return Hop(
            entry.bridge.place.removeprefix("node/"),
            stage_name(step.table),
            words,
            owner,
            Direction.FORWARD,
            Weight.CHANGE if changed else weight,
            entry.bridge.name,
            step.table,
            step.priority,
            step.match,
            step.actions,
            step.cookie,
        )


@dataclass(frozen=True, slots=True)
class Crosser:
    """Takes packets of one direction through bridges."""

    atlas: Atlas
    reader: Reader
    passages: list[Passage]
    """Filled on the way there, read on the way back. A packet may come by a bridge more than once."""
    direction: Direction
    drawn: Drawn = field(default_factory=dict)
    """Source ports that translated packets are known to have been given."""

    def cross(self, entry: Entry, packet: Packet) -> Talk[Crossing]:
        """What becomes of a packet that comes in."""
        known = (one for one in self.passages if one.bridge == entry.bridge.name)
        answered = next((one for one in known if packet.ends == one.after.turned()), None)
        if self.direction is Direction.REPLY and answered is not None:
            return (yield from self._cross_back(entry, packet, answered))
        parts = yield from _trace(entry, packet, NEW, "")
        crossing = self._read(entry, packet, parts)
        if self.direction is Direction.FORWARD:
            crossing = self._as_drawn(entry, packet, crossing)
            owner = next((hop.owner for hop in crossing.hops if "⇒" in hop.action), None)
            after = crossing.packet.ends
            self.passages.append(Passage(entry.bridge.name, packet.ends, after, owner, _mark(parts)))
        return crossing

    def _as_drawn(self, entry: Entry, packet: Packet, crossing: Crossing) -> Crossing:
        """With the source port that a real packet was given; a trace shows the first of those there are."""
        before, after = packet.ends, crossing.packet.ends
        port = self.drawn.get((entry.bridge.name, replace(after, source_port=0)), after.source_port)
        if before.source == after.source or port == after.source_port:
            return crossing
        given = replace(after, source_port=port)
        hops = tuple(
            replace(hop, action=hop.action.replace(f"⇒ {after.from_text}", f"⇒ {given.from_text}"))
            for hop in crossing.hops
        )
        arrived = crossing.packet.with_ends(given)
        legs = (*crossing.legs[:1], *(replace(leg, packet=arrived) for leg in crossing.legs[1:]))
        return replace(crossing, hops=hops, packet=arrived, legs=legs)

    def _cross_back(self, entry: Entry, packet: Packet, passage: Passage) -> Talk[Crossing]:
        """An answer: its translations are the first packet's, undone."""
        parts = yield from _trace(entry, packet, ANSWER, _belongs(packet, passage))
        looked_up = self._read(entry, packet, parts)
        if passage.before == passage.after:
            return looked_up
        looked = any(step.table == CONNTRACK_ZONE.number for part in parts for step in part.steps)
        if not looked:
            return looked_up  # It was dropped before anybody looked for its connection.
        # Traced once more as it is after the lookup. Its source is exchanged only at the end: a pod that
        # answers with a Service's address would be a spoofer.
        ends = passage.before.turned()
        known = replace(packet, destination=ends.destination, destination_port=ends.destination_port)
        known_parts = yield from _trace(entry, known, ANSWER, _belongs(known, passage))
        rest = self._read(entry, known, known_parts)
        upto = tuple(
            hop for hop in looked_up.hops if hop.table is not None and hop.table <= CONNTRACK_STATE.number
        )
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
        legs = (*looked_up.legs[:1], *(replace(leg, packet=translated) for leg in rest.legs[1:]))
        return Crossing((*upto, undone, *after), translated, rest.output, rest.outcome, legs)

    def _read(self, entry: Entry, packet: Packet, parts: tuple[Part, ...]) -> Crossing:
        hops = self.reader.hops(entry, packet, parts, self.direction)
        last = parts[-1]
        arrived = packet.changed(last.after)
        came = (self._leg(entry, entry.ofport, packet, enters=True),)
        if last.punted:
            reason = Punt(int(last.after.get("reg6", "0"), 16) & 0xFF).name.lower().replace("_", " ")
            ended = _ended(hops, "refused: {} ({})".format(reason, "{}"))
            return Crossing(ended, arrived, None, Outcome.REJECTED, came)
        if last.returned and last.steps and last.steps[-1].table == LOCAL_DELIVERY.number:
            ended = _ended(hops, f"{entry.bridge.place} answers")
            return Crossing(ended, arrived, None, Outcome.CONNECTED, came)
        output = entry.ofport if last.returned else next(iter(last.outputs), None)
        if output is None:
            ended = _ended(hops, "dropped: {}" if hops and last.steps[-1].hit else "no flow: dropped")
            return Crossing(ended, arrived, None, Outcome.DROPPED, came)
        port = self.atlas.port_name(entry.bridge, output)
        left = self._leg(entry, output, arrived, enters=False)
        hops = _ended(hops, f"out of port {port}", Weight.NOTE)
        return Crossing(hops, arrived, output, Outcome.CONNECTED, (*came, left))

    def _leg(self, entry: Entry, ofport: int, packet: Packet, *, enters: bool) -> Leg:
        bridge = entry.bridge
        place = bridge.place.removeprefix("node/")
        return Leg(place, bridge.name, self.atlas.port_name(bridge, ofport), enters, packet, self.direction)


def _trace(entry: Entry, packet: Packet, states: tuple[str, ...], state: str) -> Talk[tuple[Part, ...]]:
    return parse((yield entry.bridge.name, packet.to_flow(entry.ofport) + state, states))


def _belongs(answer: Packet, passage: Passage) -> str:
    """What the switch would know of an answer to the packet that has passed: a trace teaches it nothing."""
    marked = f",ct_mark={passage.mark}" if passage.mark else ""
    return marked + (f",reg0={KNOWN.mask:#x}" if answer.protocol == "sctp" else "")


def _mark(parts: tuple[Part, ...]) -> str:
    """What the packet's connection was marked with when it was committed."""
    return next((part.before["ct_mark"] for part in reversed(parts) if "ct_mark" in part.before), "")


def _ended(hops: tuple[Hop, ...], words: str, weight: Weight = Weight.CHANGE) -> tuple[Hop, ...]:
    """The last hop told otherwise; `{}` stands for what it was told as."""
    if not hops:
        return hops
    return (*hops[:-1], replace(hops[-1], action=words.replace("{}", hops[-1].action), weight=weight))

"""What a sweep asks and what it answers, and the rules by which evidence becomes a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from emulator.cluster.outcome import Outcome
from emulator.probes.request import IPAddress

NOBODY_LISTENS = "it arrived, and nothing listens there"
"""Of a probe that the destination itself refused: the network let it pass."""


class Transport(StrEnum):
    """What a sweep speaks."""

    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


@dataclass(frozen=True, slots=True)
class Relay:
    """The node of a pod: from here and to here go the markers that may not be refused."""

    name: str
    netns: Path
    addresses: tuple[IPAddress, ...]
    """Its addresses on the pod network, to which pods' packets and markers travel the same way."""


@dataclass(frozen=True, slots=True)
class End:
    """A place that takes part."""

    place: str
    netns: Path
    addresses: tuple[IPAddress, ...]
    interface: str = "eth0"
    gateway: IPAddress | None = None
    """An IPv4 address that answers ARP behind the switch; None: no early verdicts for this end."""
    relay: Relay | None = None

    def address(self, version: int) -> IPAddress | None:
        """The end's first address of a family."""
        return next((one for one in self.addresses if one.version == version), None)


@dataclass(frozen=True, slots=True)
class Ask:
    """One probe of a sweep."""

    source: str
    target: str
    transport: Transport
    port: int
    version: int = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one probe."""

    outcome: Outcome
    note: str = ""
    early: bool = False
    """Dropped, known from the observed end before the time was up."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about a probe at one moment."""

    failed: str = ""
    """Why the source could not send."""
    answered: bool = False
    refused: bool = False
    left: bool = False
    """The capture at the source saw it leave."""
    arrived: bool = False
    """The capture at the destination saw it come."""
    served: bool | None = None
    """Once arrived: whether a socket takes it; None where only an answer can tell."""
    passed: bool = False
    """A marker that left after it has reached the destination on the same way."""
    watched: bool = False
    """The capture at the destination has proved that it sees packets, and has lost none."""
    over: bool = False
    """The time is up."""


def judge(evidence: Evidence) -> Verdict | None:
    """The verdict; None while the evidence does not suffice.

    Only silence at a proven capture is a drop: a probe that could not be sent or watched is an error.
    """
    if evidence.answered:
        return Verdict(Outcome.CONNECTED)
    if evidence.refused:
        return Verdict(Outcome.REJECTED, NOBODY_LISTENS if evidence.arrived else "")
    if evidence.failed:
        return Verdict(Outcome.ERROR, evidence.failed)
    if evidence.arrived and evidence.served is not None:
        return Verdict(Outcome.CONNECTED) if evidence.served else Verdict(Outcome.REJECTED, NOBODY_LISTENS)
    if not evidence.over:
        lost = evidence.left and evidence.passed and evidence.watched and not evidence.arrived
        return Verdict(Outcome.DROPPED, early=True) if lost else None
    if evidence.arrived:
        return Verdict(Outcome.DROPPED, "arrived and was not answered there")
    if not evidence.left:
        return Verdict(Outcome.ERROR, "nothing left the source: its next hop does not answer")
    if not evidence.watched:
        return Verdict(Outcome.ERROR, "the capture at the destination does not see everything")
    return Verdict(Outcome.DROPPED)


def has_markers(source: End, target: End, version: int) -> bool:
    """Whether markers can follow a probe all the way."""
    if source.place == target.place or source.gateway is None or source.address(4) is None:
        return False
    if source.relay is None or target.relay is None:
        return False
    return any(one.version == version for one in target.relay.addresses)


def crossing(source: End, target: End, version: int) -> tuple[str, str, int]:
    """The way between two nodes that a probe takes."""
    assert source.relay is not None
    assert target.relay is not None
    return source.relay.name, target.relay.name, version


def spread(asks: Sequence[Ask]) -> list[int]:
    """Numbers of the asks in an order in which neighbours have other sources and other destinations.

    So that a burst does not fill one listener's queue.
    """
    sources = {place: at for at, place in enumerate(dict.fromkeys(ask.source for ask in asks))}
    targets = {place: at for at, place in enumerate(dict.fromkeys(ask.target for ask in asks))}
    return sorted(
        range(len(asks)),
        key=lambda number: (
            (targets[asks[number].target] - sources[asks[number].source]) % len(targets),
            sources[asks[number].source],
        ),
    )

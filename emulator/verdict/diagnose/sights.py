"""What was seen of the machinery below the flow tables: cables, tunnels, connections, daemons.

Everything here can be read without changing anything, as an operator on these machines could.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controllers.pipeline.stale import Connection
from emulator.api.objects import JsonObject
from emulator.cluster.faults.fault import Fault
from emulator.cluster.impairments import SOUND, Impairment, words
from emulator.cluster.wiring import IPAddress

_HARMS = ("delay", "jitter", "loss", "duplicate", "reorder", "corrupt", "rate")
_NOTICEABLE = 1.01
"""By so much a number must be worse: kernels round them."""


@dataclass(frozen=True, slots=True)
class Cable:
    """A link of the topology, as it is found."""

    ends: tuple[str, str]
    """Places; the same twice for the cable between a node's bridge and its own stack."""
    carries: bool
    """Both ends are up."""
    mtu: int
    """The smaller one of its ends; 0 where it cannot be seen."""
    planned_mtu: int
    impairment: Impairment = SOUND
    """What its queues do to packets, at either end."""
    planned: Impairment = SOUND
    """What the topology wants of it."""

    @property
    def harm(self) -> Impairment:
        """What it does to packets beyond what is planned: where a number is larger, or a rate smaller."""
        found = {name: getattr(self.impairment, name) for name in _HARMS}
        worse = {
            name: value
            for name, value in found.items()
            if value and _is_worse(name, value, getattr(self.planned, name))
        }
        return Impairment(**worse)

    def __str__(self) -> str:
        return " and ".join(self.ends)

    @property
    def object(self) -> str:
        """`Link/worker-1/fabric`."""
        return "/".join(("Link", *(end.rpartition("/")[2] for end in self.ends)))


def _is_worse(name: str, found: float, planned: float | None) -> bool:
    if planned is None:
        return True
    return found * _NOTICEABLE < planned if name == "rate" else found > planned * _NOTICEABLE


@dataclass(frozen=True, slots=True)
class Way:
    """How a place's own stack would send to an address."""

    interface: str = ""
    gateway: IPAddress | None = None
    is_local: bool = False
    """It takes the address for one of its own."""
    refusal: str = ""
    """Why it would not send at all."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """A small and a large packet, sent to where the question leads."""

    place: str
    small: int
    """Bytes of an IP packet that was answered."""
    large: int
    """Bytes of one that should fit, and was not; nobody told that it was too big."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The connections that a bridge's part of connection tracking holds."""

    place: str
    count: int
    limit: int

    @property
    def is_full(self) -> bool:
        """Whether new connections find no room."""
        return 0 < self.limit <= self.count


@dataclass(frozen=True, slots=True)
class Speaker:
    """A routing daemon."""

    place: str
    runs: bool
    sessions: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """The place of the neighbour and the family → the state, such as `Established`."""


@dataclass(frozen=True)
class Sights:
    """All of it. What was not looked at is empty."""

    cables: tuple[Cable, ...] = ()
    tunnels: Mapping[str, Mapping[str, IPAddress]] = field(default_factory=dict)
    """Node → VTEP's MAC → the address that its VXLAN device sends such frames to."""
    way: Way | None = None
    """Of the sending place's stack."""
    sizes: tuple[Sizes, ...] = ()
    """Where large packets are lost."""
    stale: tuple[Connection, ...] = ()
    """Connections of this source to this destination whose other end serves no more."""
    impaired: tuple[Cable, ...] = ()
    """Cables on the way that harm packets more than planned."""
    zones: tuple[Zone, ...] = ()
    speakers: tuple[Speaker, ...] = ()
    silent_proxies: frozenset[str] = frozenset()
    """Nodes where nobody answers at kube-proxy's port of health."""
    faults: tuple[Fault, ...] = ()
    """Those that are injected. No cause is found by them: they say how one is ended."""
    switch_answers: bool = True
    """Whether Open vSwitch is there to be asked."""
    controller_follows: bool = True
    """Whether the OpenFlow controller hears of changes."""
    is_current: bool = True
    """Whether it has confirmed the objects as they are now; when it is down, before it went."""

    @property
    def trouble(self) -> bool:
        """Whether something is wrong that a small packet of a new connection may not meet."""
        return bool(self.sizes or self.stale or self.impaired)

    def down(self) -> tuple[Cable, ...]:
        """Cables that carry nothing."""
        return tuple(cable for cable in self.cables if not cable.carries)

    def of(self, place: str) -> tuple[Cable, ...]:
        """All cables of a place that lead elsewhere."""
        return tuple(cable for cable in self.cables if place in cable.ends and cable.ends[0] != cable.ends[1])

    def as_json(self) -> JsonObject:
        """What stands out; empty when nothing does."""
        told: JsonObject = {
            "linksDown": [cable.object for cable in self.down()],
            "sizes": [{"place": one.place, "small": one.small, "large": one.large} for one in self.sizes],
            "impaired": [{"link": one.object, "harm": words(one.harm)} for one in self.impaired],
            "staleConnections": [one.tuple for one in self.stale],
            "full": [zone.place for zone in self.zones if zone.is_full],
            "silentProxies": sorted(self.silent_proxies),
            "switchAnswers": self.switch_answers,
            "controllerFollows": self.controller_follows,
        }
        return {name: value for name, value in told.items() if value not in ([], True)}

"""Facts about the kernel's part of a network, planned and found, and how they differ. Values only."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from emulator.cluster.wiring import IPAddress, IPInterface, IPNetwork
from emulator.network import rtnl


class Kind(StrEnum):
    """What a fact is about; the order is the one in which differences are told and put right."""

    LINK = "link"  # up or down
    MTU = "mtu"
    MAC = "mac"
    PORT = "port"  # of which bridge, and of which number
    ADDRESS = "address"
    ROUTE = "route"
    RULE = "rule"  # which routing table is asked for which packets
    NEIGHBOUR = "neighbour"  # MAC addresses that are known from the start
    TUNNEL = "tunnel"  # behind which node a VTEP's MAC address lies: VXLAN forwarding entries
    SYSCTL = "sysctl"
    BGP_ROUTE = "bgp-route"  # what a Linux router has learned from its nodes


class Fault(StrEnum):
    """In which way the kernel differs from the plan."""

    MISSING = "missing"
    EXTRA = "extra"
    ALTERED = "altered"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fact is about. The fact itself is a value beside it."""

    place: str
    """Whose it is: `shop/web`, `node/worker-1`, `router/tor`, `ext/client`."""
    kind: Kind
    interface: str = ""
    what: Hashable = ""
    """Which one of them: an address, a route's destination, a sysctl; empty where an interface has one."""
    at_switch: bool = False
    """It is where Open vSwitch runs, at the bridge's end of a cable, and not in the place's own namespace."""

    def __str__(self) -> str:
        what = "" if self.what == "" else str(self.what)
        if self.kind in (Kind.ROUTE, Kind.RULE, Kind.SYSCTL, Kind.BGP_ROUTE):
            return what
        return f"{self.interface} {what}".strip()


@dataclass(frozen=True, slots=True)
class RouteKey:
    """What a routing table knows a route by."""

    destination: IPNetwork
    table: int = rtnl.MAIN_TABLE
    metric: int = 0

    def __str__(self) -> str:
        to = "default" if not self.destination.prefixlen else str(self.destination)
        version = "" if self.destination.prefixlen else f" (IPv{self.destination.version})"
        table = "" if self.table == rtnl.MAIN_TABLE else f" table {self.table}"
        metric = "" if self.metric == usual_metric(self.destination.version) else f" metric {self.metric}"
        return f"{to}{version}{table}{metric}"


@dataclass(frozen=True, slots=True)
class Hop:
    """A next hop; without a gateway, the destination is on the interface's wire."""

    interface: str
    gateway: IPAddress | None

    def __str__(self) -> str:
        return f"via {self.gateway} dev {self.interface}" if self.gateway else f"dev {self.interface}"


@dataclass(frozen=True, slots=True)
class Way:
    """Where a route leads; nowhere, when it refuses (`unreachable`)."""

    hops: tuple[Hop, ...]
    source: IPAddress | None = None

    def __str__(self) -> str:
        hops = " or ".join(map(str, self.hops)) or "unreachable"
        return f"{hops} src {self.source}" if self.source else hops


@dataclass(frozen=True, slots=True)
class Lookup:
    """A rule about all packets: which table is asked when."""

    version: int
    priority: int
    table: int

    def __str__(self) -> str:
        return f"IPv{self.version} priority {self.priority} table {self.table}"


@dataclass(frozen=True, slots=True)
class Setting:
    """Values of a sysctl that are right; the first one that the kernel takes is what is set."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return self.values[0]


@dataclass(frozen=True, slots=True)
class Seat:
    """A port's bridge and number."""

    bridge: str
    ofport: int | None

    def __str__(self) -> str:
        return f"port {self.ofport} of {self.bridge}"


@dataclass(frozen=True, slots=True)
class Hops:
    """Addresses of next hops."""

    addresses: frozenset[IPAddress]

    def __str__(self) -> str:
        return ", ".join(map(str, sorted(self.addresses, key=lambda a: (a.version, int(a))))) or "nobody"


UP, DOWN = "up", "down"
THERE = ""
"""The value of facts that are all in their subject: it is there."""
Value = str | int | Way | Setting | Seat | Hops | IPAddress | IPInterface
Facts = Mapping[Subject, Value]


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is otherwise than it was planned."""

    subject: Subject
    fault: Fault
    planned: Value | None
    """None for what is there without a plan."""
    found: Value | None
    """None for what is missing."""


def usual_metric(version: int) -> int:
    """What the kernel gives routes for which nobody says it."""
    return 0 if version == 4 else 1024


def differences(planned: Facts, found: Facts) -> tuple[Difference, ...]:
    """What differs. What follows from an interface that is missing, or down, is not told."""
    told = sorted(_differences(planned, found), key=_order)
    gone = {_wire(one.subject) for one in told if one.subject.kind is Kind.LINK and one.found is None}
    down = {_wire(one.subject) for one in told if one.subject.kind is Kind.LINK and one.found == DOWN}
    return tuple(one for one in told if not _follows(one, gone, down))


def _differences(planned: Facts, found: Facts) -> Iterator[Difference]:
    for subject, value in planned.items():
        there = found.get(subject)
        if there is None:
            # A kernel without IPv6, say, has not all of the settings.
            if subject.kind is not Kind.SYSCTL:
                yield Difference(subject, Fault.MISSING, value, None)
        elif not _agree(value, there):
            yield Difference(subject, Fault.ALTERED, value, there)
    for subject, value in found.items():
        if subject not in planned:
            yield Difference(subject, Fault.EXTRA, None, value)


def _agree(planned: Value, found: Value) -> bool:
    return found in planned.values if isinstance(planned, Setting) else planned == found


_CONSEQUENCES = frozenset({Kind.ADDRESS, Kind.ROUTE, Kind.NEIGHBOUR, Kind.BGP_ROUTE})


def _follows(one: Difference, gone: set[tuple[str, str]], down: set[tuple[str, str]]) -> bool:
    if one.subject.kind is Kind.LINK:
        return False
    wires = {_wire(one.subject)}
    if isinstance(one.planned, Way):
        wires = {(one.subject.place, hop.interface) for hop in one.planned.hops}
    if wires & gone:
        return True
    return bool(wires & down) and one.subject.kind in _CONSEQUENCES and one.fault is Fault.MISSING


def _wire(subject: Subject) -> tuple[str, str]:
    return ("" if subject.at_switch else subject.place), subject.interface


def _order(one: Difference) -> tuple[str, int, str, str]:
    return one.subject.place, list(Kind).index(one.subject.kind), one.subject.interface, str(one.subject.what)

"""What a network consists of, as values: hosts, bridges' ends, cables and tunnels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from emulator.cluster.wiring import IPAddress, IPInterface, IPNetwork
from emulator.network.names import netns_name

HOST_INTERFACE = "eth0"
"""The interface of every host, pods included."""


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route of a host's own stack; `destination` None is the default route."""

    destination: IPNetwork | None
    gateway: IPAddress
    source: IPAddress | None = None
    gateway_mac: str | None = None
    """Where the host knows it from the start, and need not ask."""


@dataclass(frozen=True, slots=True)
class Detour:
    """Packets of a host to ports of its own addresses that go by way of its bridge, not of `lo`."""

    destination: IPNetwork
    protocol: int
    """IP's number of the transport protocol."""
    ports: range


@dataclass(frozen=True, slots=True)
class OwnPorts:
    """The detours of a host from the start, and the routes that they take (see `own_ports`)."""

    detours: tuple[Detour, ...]
    routes: tuple[HostRoute, ...]


@dataclass(frozen=True, slots=True)
class HostNeighbour:
    """A neighbour that a host knows from the start, because nobody would answer for it."""

    address: IPAddress
    mac: str


@dataclass(frozen=True, slots=True)
class HostEnd:
    """The end of a cable in a host's netns: its `eth0`, or one of a router's several interfaces."""

    place: str
    mac: str
    addresses: tuple[IPInterface, ...]
    routes: tuple[HostRoute, ...]
    own_ports: OwnPorts | None = None
    interface: str = HOST_INTERFACE
    neighbours: tuple[HostNeighbour, ...] = ()
    sysctls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Settings of the netns beside the usual ones, each with the values to try in turn."""

    @property
    def netns(self) -> str:
        """The name of the host's netns."""
        return netns_name(self.place)


@dataclass(frozen=True, slots=True)
class BridgeEnd:
    """A port of a bridge, cable or tunnel. `shaped` keeps Open vSwitch away from its queueing discipline."""

    bridge: str
    interface: str
    ofport: int
    shaped: bool = False


@dataclass(frozen=True, slots=True)
class Cable:
    """One veth pair. `offload` leaves checksums and segmentation to a device that never does them."""

    near: BridgeEnd
    far: HostEnd | BridgeEnd
    mtu: int
    offload: bool = False

    @property
    def host(self) -> HostEnd | None:
        """The host at the far end, if there is one."""
        return self.far if isinstance(self.far, HostEnd) else None

    def bridge_ends(self) -> Iterator[BridgeEnd]:
        """The ends that are ports of bridges."""
        yield self.near
        if isinstance(self.far, BridgeEnd):
            yield self.far


@dataclass(frozen=True, slots=True)
class RemoteEnd:
    """Another end of the overlay: frames to `mac` go to `address`."""

    mac: str
    address: IPAddress


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A node's VXLAN device: a port of its bridge, while its UDP socket stays in the node's netns."""

    end: BridgeEnd
    place: str
    vni: int
    local: IPAddress
    remotes: tuple[RemoteEnd, ...]
    mtu: int
    udp_port: int = 4789

    @property
    def netns(self) -> str:
        """The name of the netns that the socket belongs to."""
        return netns_name(self.place)

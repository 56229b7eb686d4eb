"""The wiring plan: every bridge, port, host, route and link that a topology asks for.

The plan is computed once from a `Topology` and shared by two rooms that never meet:
`emulator.network` builds what it says, `controllers.pipeline` programs what it says.
Interface names, OpenFlow port numbers, MAC and IP addresses, and datapath ids are
decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import NoReturn

from emulator.cluster.impairments import SOUND, Impairment

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


class Mode(StrEnum):
    """How pod packets cross the fabric: inside VXLAN, or routed as they are."""

    OVERLAY = "overlay"
    ROUTED = "routed"


class BridgeRole(StrEnum):
    """What a bridge stands for."""

    NODE = "node"
    FABRIC = "fabric"
    NAT = "nat"
    INTERNET = "internet"
    LB = "lb"


class PortRole(StrEnum):
    """What is at the other end of a bridge's port."""

    UPLINK = "uplink"  # node bridge -> fabric
    HOST = "host"  # node bridge -> the node's own network stack
    TUNNEL = "tunnel"  # node bridge -> the node's VXLAN device
    POD = "pod"  # node bridge -> a pod
    LINK = "link"  # router bridge -> another bridge (a node's uplink, or another router)
    EXTERNAL = "external"  # router bridge -> a host outside the cluster
    CHECKER = "checker"  # load balancer's bridge -> the stack that it checks nodes from


UPLINK_OFPORT = 1
HOST_OFPORT = 2
TUNNEL_OFPORT = 3
FIRST_POD_OFPORT = 100


@dataclass(frozen=True, slots=True)
class Port:
    """One OpenFlow port of a bridge, and its neighbour.

    `mac` is the bridge's own address on this port: what neighbours resolve the
    bridge's addresses to, and the source of everything routed out of it. A router uses
    one MAC on all its ports; a node's bridge uses the node's on the uplink, the pod
    gateway's towards the host, and the node's VTEP address on the tunnel. `peer_mac`
    and `peer_addresses` belong to whatever answers at the other end (a tunnel has many
    ends: there they are the node's own VTEP address and nothing). `peer` is the place at
    the other end: `node/worker-1`, `router/fabric`, `ext/client`, `overlay`.
    """

    name: str
    ofport: int
    role: PortRole
    mac: str
    peer: str
    peer_mac: str
    peer_addresses: tuple[IPInterface, ...] = ()
    addresses: tuple[IPInterface, ...] = ()
    """The bridge's own addresses on this port (a subnet's gateway addresses)."""
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class NextHop:
    """Leave by `ofport` towards the neighbour that owns `mac`."""

    ofport: int
    mac: str


@dataclass(frozen=True, slots=True)
class Route:
    """Packets to `destination` leave by one of `next_hops` (several: equal-cost multipath)."""

    destination: IPNetwork
    next_hops: tuple[NextHop, ...]


@dataclass(frozen=True, slots=True)
class Bridge:
    """One Open vSwitch bridge. A node's bridge carries its pods' ports besides `ports`."""

    name: str
    """The bridge's name in Open vSwitch, 15 characters at most."""
    place: str
    """What users call it: `node/worker-1`, `router/fabric`."""
    role: BridgeRole
    datapath_id: int
    zone: int
    """First of this bridge's conntrack zones; `zone` is MAIN and `zone + 1` is SNAT.

    All netdev bridges share one conntrack table, so zones never repeat."""
    ports: tuple[Port, ...]
    routes: tuple[Route, ...] = ()
    """Routers: where packets go whose destination is no neighbour of any port; longest prefix wins.
    Neighbours themselves are in `ports`. Empty for node bridges: their routes follow from the nodes."""
    public_addresses: tuple[IPAddress, ...] = ()
    """NAT and load balancer: the addresses that sources are translated to, one a family."""
    inside: tuple[IPNetwork, ...] = ()
    """NAT: source ranges that are translated."""
    addresses: tuple[IPAddress, ...] = ()
    """Routers: the addresses ICMP errors come from, one a family."""

    def port(self, peer: str) -> Port:
        """The port whose neighbour is `peer`. Raises KeyError when there is none."""
        for port in self.ports:
            if port.peer == peer:
                return port
        raise KeyError(f"{self.name} has no port towards {peer}")


@dataclass(frozen=True, slots=True)
class RouterInterface:
    """One interface of a Linux router, and its neighbour: a node, or a router's bridge.

    A node shares a subnet with it: the router has `addresses` there, and the node `peer_addresses`. A bridge
    answers no question on this wire: the router knows from the start that `peer_addresses` are at `peer_mac`.
    """

    name: str
    mac: str
    peer: str
    peer_mac: str
    peer_addresses: tuple[IPAddress, ...]
    addresses: tuple[IPInterface, ...] = ()
    is_subnet: bool = False
    """Whether a node is at the other end."""


@dataclass(frozen=True, slots=True)
class RouterRoute:
    """Packets to `destination` leave by `interface`, towards `gateway`."""

    destination: IPNetwork
    interface: str
    gateway: IPAddress


@dataclass(frozen=True, slots=True)
class LinuxRouter:
    """A router that is a Linux network stack and speaks BGP; every other router is a bridge."""

    name: str
    place: str
    """`router/tor`"""
    asn: int
    interfaces: tuple[RouterInterface, ...]
    routes: tuple[RouterRoute, ...]
    """What it knows without BGP."""
    addresses: tuple[IPAddress, ...]
    """Its own addresses, one a family."""


@dataclass(frozen=True, slots=True)
class Advertising:
    """What a cluster's nodes tell the routers that they hang on, over BGP."""

    asn: int
    """The nodes' autonomous system."""
    hold_time: int
    """Seconds."""
    cluster_ips: tuple[IPNetwork, ...]
    """The service ranges; empty when they are not advertised."""
    external_ips: tuple[IPNetwork, ...]
    load_balancer_ips: tuple[IPNetwork, ...]
    """Services of type LoadBalancer get their addresses from these."""

    @property
    def ranges(self) -> tuple[IPNetwork, ...]:
        """Everything that is advertised as a whole."""
        return tuple(dict.fromkeys((*self.cluster_ips, *self.external_ips, *self.load_balancer_ips)))


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One Kubernetes node: its place in the fabric and its ranges."""

    name: str
    index: int
    """1-based; datapath id, zones and MAC addresses derive from it."""
    zone: str
    role: str
    subnet: str
    """Nodes of one subnet reach each other without a router between them."""
    labels: Mapping[str, str]
    bridge: str
    addresses: tuple[IPInterface, ...]
    """The node's own (InternalIP) addresses with their subnet, one a family."""
    mac: str
    pod_cidrs: tuple[IPNetwork, ...]
    pod_gateways: tuple[IPAddress, ...]
    """First address of each pod CIDR, owned by the node's host stack; pods' default gateway."""
    gateway_mac: str
    """What pods resolve their gateway to."""
    default_gateways: tuple[IPAddress, ...]
    """The fabric's addresses in the node's subnet."""
    default_gateway_mac: str
    vtep_mac: str
    """Inner destination MAC of packets tunnelled to this node (static FDB key)."""


@dataclass(frozen=True, slots=True)
class ExternalHost:
    """A host outside the cluster, on the emulated internet."""

    name: str
    addresses: tuple[IPInterface, ...]
    mac: str
    gateways: tuple[IPAddress, ...]
    gateway_mac: str
    names: tuple[str, ...] = ()
    """What the internet's resolver calls it, beside `NAME.example.com`."""


class BalancerMode(StrEnum):
    """How a load balancer hands packets to nodes: the two modes of KEP-1860."""

    VIP = "vip"  # as they are: the node sees the client, and the balancer's address as the destination
    PROXY = "proxy"  # to a node port of the node, with an address of the balancer as the source


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """When a load balancer asks a node, and what answers mean. Times are in seconds."""

    interval: float = 1.0
    timeout: float = 1.0
    healthy: int = 1
    """So many good answers in a row, and the node gets new connections."""
    unhealthy: int = 2
    """So many bad ones, and it gets none."""


@dataclass(frozen=True, slots=True)
class Balancer:
    """The topology's load balancer: a bridge that spreads connections, and a stack that checks nodes."""

    name: str
    place: str
    """The place of its stack, which has a netns."""
    bridge: str
    pool: tuple[IPNetwork, ...]
    """Where Services' addresses come from, one range a family."""
    mode: BalancerMode
    """Of Services that do not choose."""
    check: HealthCheck
    addresses: tuple[IPAddress, ...]
    """Its own, one a family: what nodes see of it."""
    mac: str
    gateways: tuple[IPAddress, ...]
    """What its stack sends everything to; the bridge stands for them."""
    gateway_mac: str


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One end of a link: an interface of a bridge, or the `eth0` of a host."""

    place: str
    interface: str
    bridge: str | None = None
    """The Open vSwitch bridge that holds the interface; None: it lies in the place's own netns."""


@dataclass(frozen=True, slots=True)
class Link:
    """A cable, with what it does to packets; `seed` is what its random choices follow."""

    ends: tuple[LinkEnd, LinkEnd]
    impairment: Impairment = SOUND
    seed: int = 0
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Wiring:
    """The whole plan."""

    name: str
    mode: Mode
    pod_cidrs: tuple[IPNetwork, ...]
    service_cidrs: tuple[IPNetwork, ...]
    node_cidrs: tuple[IPNetwork, ...]
    """The nodes' subnets, all families."""
    bridges: tuple[Bridge, ...]
    nodes: tuple[NodePlan, ...]
    external: tuple[ExternalHost, ...]
    links: tuple[Link, ...]
    pod_mtu: int
    vni: int = 1
    keeps_pod_addresses: tuple[int, ...] = ()
    """IP versions in which a pod that leaves the cluster network keeps its address: the way back is known."""
    balancer: Balancer | None = None
    """None: Services of type LoadBalancer stay without an address."""
    routers: tuple[LinuxRouter, ...] = ()
    """The routers that are no bridges."""
    advertising: Advertising | None = None
    """None where nobody speaks BGP."""
    masquerade_all: bool = False
    """Pods, too, are masqueraded when they ask cluster IPs (kube-proxy's masqueradeAll)."""

    def bridge(self, name: str) -> Bridge:
        """The bridge of that Open vSwitch name. Raises KeyError when there is none."""
        return next((b for b in self.bridges if b.name == name), None) or _missing("bridge", name)

    def node(self, name: str) -> NodePlan:
        """The plan of node `name`. Raises KeyError when there is none."""
        return next((n for n in self.nodes if n.name == name), None) or _missing("node", name)


def _missing(kind: str, name: str) -> NoReturn:
    raise KeyError(f"no {kind} {name!r} in this topology")


@dataclass(frozen=True, slots=True)
class PodPort:
    """How a pod hangs on its node's bridge; a pure function of its node and its index there."""

    interface: str
    """Open vSwitch's side of the veth pair; the pod's side is `eth0`."""
    ofport: int
    mac: str
    addresses: tuple[IPInterface, ...]
    gateways: tuple[IPAddress, ...]
    gateway_mac: str
    mtu: int

"""What a feature is given to compile: one bridge and what the cluster means to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, ip_address

from emulator.cluster.model import Ref
from emulator.cluster.wiring import (
    Balancer,
    Bridge,
    IPAddress,
    IPInterface,
    IPNetwork,
    Mode,
    NodePlan,
    Port,
    Wiring,
)

HOST_HAIRPIN: tuple[IPAddress, ...] = (ip_address("169.254.77.1"), ip_address("fd00:169:254:77::1"))
"""What a node's own stack sees as the client when it reaches itself through a service.

A stack drops packets that come from outside with one of its own addresses as the source, so
the node's address cannot be used. Nobody owns these two; answers to them leave by the default
route and meet the bridge, which translates them back."""

LOOPBACK = IPv4Network("127.0.0.0/8")
"""Every node's own; packets leave it for NodePorts and hostPorts alone."""


def of_family(addresses: Iterable[IPAddress], family: int) -> tuple[IPAddress, ...]:
    """The addresses of one IP version."""
    return tuple(address for address in addresses if address.version == family)


def networks_of(networks: Iterable[IPNetwork], family: int) -> tuple[IPNetwork, ...]:
    """The ranges of one IP version."""
    return tuple(network for network in networks if network.version == family)


@dataclass(frozen=True)
class NodeView:
    """A node's bridge and its node. Pods and services are given to features one by one."""

    wiring: Wiring
    bridge: Bridge
    node: NodePlan

    @cached_property
    def ref(self) -> Ref:
        """The node as an owner of flows."""
        return Ref("Node", "", self.node.name)

    @cached_property
    def families(self) -> tuple[int, ...]:
        """IP versions that the cluster has, the primary one first."""
        return tuple(dict.fromkeys(address.version for address in self.node.pod_gateways))

    @cached_property
    def overlay(self) -> bool:
        """Whether pod packets cross the fabric inside VXLAN."""
        return self.wiring.mode is Mode.OVERLAY

    @cached_property
    def peers(self) -> tuple[NodePlan, ...]:
        """The other nodes."""
        return tuple(node for node in self.wiring.nodes if node.name != self.node.name)

    def addresses(self, family: int) -> tuple[IPAddress, ...]:
        """The node's own addresses, pod gateways included: where NodePorts answer."""
        return of_family((*(a.ip for a in self.node.addresses), *self.node.pod_gateways), family)

    def node_address(self, family: int) -> IPAddress:
        """The node's InternalIP of that family."""
        return of_family((a.ip for a in self.node.addresses), family)[0]

    def gateway(self, family: int) -> IPAddress:
        """The gateway of the node's pods."""
        return of_family(self.node.pod_gateways, family)[0]

    def host_hairpin(self, family: int) -> IPAddress:
        """What the node's stack sees as the client when it reaches itself through a service."""
        return of_family(HOST_HAIRPIN, family)[0]


@dataclass(frozen=True)
class RouterView:
    """A bridge that routes: fabric, NAT gateway, internet."""

    wiring: Wiring
    bridge: Bridge

    @cached_property
    def ref(self) -> Ref:
        """The topology as an owner of flows."""
        return Ref("Topology", "", self.wiring.name)

    @cached_property
    def mac(self) -> str:
        """The one MAC address that a router has on all its ports."""
        return self.bridge.ports[0].mac

    @cached_property
    def families(self) -> tuple[int, ...]:
        """IP versions that the cluster has, the primary one first."""
        return tuple(dict.fromkeys(address.version for address in self.bridge.addresses))

    @cached_property
    def own_addresses(self) -> tuple[IPAddress, ...]:
        """Addresses that the router answers for: its gateways and its own, not the translated ones."""
        gateways = (interface.ip for port in self.bridge.ports for interface in port.addresses)
        public = self.bridge.public_addresses
        return tuple(a for a in dict.fromkeys((*gateways, *self.bridge.addresses)) if a not in public)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The subnets whose hosts hang on this router."""
        ports: dict[tuple[IPInterface, ...], list[Port]] = {}
        for port in self.bridge.ports:
            if port.addresses:
                ports.setdefault(port.addresses, []).append(port)
        return tuple(
            Segment(number, gateways, tuple(members))
            for number, (gateways, members) in enumerate(ports.items(), start=1)
        )

    def neighbours(self) -> Iterator[tuple[Port, IPAddress]]:
        """Every host that is one hop away, with its port."""
        for port in self.bridge.ports:
            for interface in port.peer_addresses:
                yield port, interface.ip

    def towards(self, node: NodePlan, family: int) -> int | None:
        """The port by which packets to that node's address leave; None when there is no way."""
        for port in self.bridge.ports:
            if port.peer == f"node/{node.name}":
                return port.ofport
        address = self.address_of(node, family)
        covering = [route for route in self.bridge.routes if address in route.destination]
        longest = max(covering, key=lambda route: route.destination.prefixlen, default=None)
        return None if longest is None else longest.next_hops[0].ofport

    def address_of(self, node: NodePlan, family: int) -> IPAddress:
        """The node's InternalIP of that family."""
        return of_family((interface.ip for interface in node.addresses), family)[0]


@dataclass(frozen=True)
class BalancerView(RouterView):
    """The load balancer's bridge."""

    balancer: Balancer

    def targets(self, names: Iterable[str], family: int) -> tuple[NodePlan, ...]:
        """The nodes of those names that can be reached."""
        wanted = frozenset(names)
        nodes = (node for node in self.wiring.nodes if node.name in wanted)
        return tuple(node for node in nodes if self.towards(node, family) is not None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A subnet on a router: hosts that reach each other by MAC address, and their gateways."""

    number: int
    gateways: tuple[IPInterface, ...]
    ports: tuple[Port, ...]

"""What lies behind every port: how a packet gets from bridge to bridge, read from the plan of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from emulator.cluster.advertisement import advertised
from emulator.cluster.model import ClusterState, Pod, ServicePort
from emulator.cluster.wiring import (
    HOST_OFPORT,
    TUNNEL_OFPORT,
    UPLINK_OFPORT,
    Bridge,
    BridgeRole,
    ExternalHost,
    IPAddress,
    IPNetwork,
    LinuxRouter,
    NodePlan,
    Port,
    PortRole,
    RouterInterface,
)
from emulator.verdict.trace.packet import Ends, Packet

VXLAN_PORT = 4789


class NoSuchSenderError(LookupError):
    """Nothing there that could send."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A packet comes into a bridge."""

    bridge: Bridge
    ofport: int


@dataclass(frozen=True, slots=True)
class Stack:
    """A packet comes to the network stack of a place, which has these addresses."""

    place: str
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A packet is wrapped in VXLAN by one node's stack, for another."""

    near: NodePlan
    far: NodePlan


@dataclass(frozen=True, slots=True)
class Router:
    """A packet comes to a router that is a Linux stack, and has no flow tables."""

    router: LinuxRouter


@dataclass(frozen=True, slots=True)
class Nowhere:
    """A packet leaves by a port, and nobody takes it."""

    why: str


Onward = Entry | Stack | Tunnel | Router | Nowhere


@dataclass(frozen=True, slots=True)
class Sender:
    """A stack that can send: where its packets come in, and with which addresses."""

    place: str
    entry: Entry
    mac: str
    gateway_mac: str
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True)
class Atlas:
    """The plan and the pods on it, at one moment."""

    state: ClusterState

    @cached_property
    def _pods(self) -> dict[tuple[str, int], Pod]:
        nodes = {node.name: node.bridge for node in self.state.wiring.nodes}
        return {(nodes[pod.node], pod.port.ofport): pod for pod in self.state.pods if pod.port is not None}

    @cached_property
    def _addresses(self) -> dict[IPAddress, str]:
        found: dict[IPAddress, str] = {}
        for host in self.state.wiring.external:
            found |= {interface.ip: f"ext/{host.name}" for interface in host.addresses}
        for node in self.state.wiring.nodes:
            found |= {interface.ip: f"node/{node.name}" for interface in node.addresses}
        pods = (pod for pod in self.state.pods if not pod.host_network)
        return found | {address: place_of_pod(pod) for pod in pods for address in pod.addresses}

    @cached_property
    def _senders(self) -> dict[str, Pod]:
        return {place_of_pod(pod): pod for pod in self.state.pods}

    @cached_property
    def _places(self) -> dict[str, Bridge]:
        return {bridge.place: bridge for bridge in self.state.wiring.bridges}

    def sender(self, place: str) -> Sender:
        """The stack at a place. Raises NoSuchSenderError."""
        wiring = self.state.wiring
        if place in self._senders:
            return self._pod_sender(self._senders[place])
        for node in wiring.nodes:
            if place == f"node/{node.name}":
                return self._node_sender(node)
        for bridge in wiring.bridges:
            for port in bridge.ports:
                host = self._external(port.peer) if port.role is PortRole.EXTERNAL else None
                if host is not None and port.peer == place:
                    addresses = tuple(interface.ip for interface in host.addresses)
                    return Sender(place, Entry(bridge, port.ofport), host.mac, host.gateway_mac, addresses)
                if port.role is PortRole.CHECKER and port.peer == place and wiring.balancer is not None:
                    balancer = wiring.balancer
                    return Sender(
                        place,
                        Entry(bridge, port.ofport),
                        balancer.mac,
                        balancer.gateway_mac,
                        balancer.addresses,
                    )
        raise NoSuchSenderError(f"a trace cannot begin at {place}: name a pod, a node or an ext/ host")

    def source_address(self, sender: Sender, destination: IPAddress) -> IPAddress:
        """The address that its stack chooses, as its routes say. Raises NoSuchSenderError."""
        family = destination.version
        own = [address for address in sender.addresses if address.version == family]
        if not own:
            raise NoSuchSenderError(f"{sender.place} has no IPv{family} address")
        wiring = self.state.wiring
        to_pods = any(destination in cidr for cidr in wiring.pod_cidrs if cidr.version == family)
        tunnelled = any(port.role is PortRole.TUNNEL for port in sender.entry.bridge.ports)
        # A node's own address comes first, its pod gateway, which pods know the way back to, last.
        return own[-1] if to_pods and tunnelled and sender.entry.ofport == HOST_OFPORT else own[0]

    def first_mac(self, sender: Sender, destination: IPAddress) -> str:
        """Whom a stack's frame is for: a neighbour of its subnet, or its gateway.

        A node that asks for a NodePort of its own sends to its gateway: it is not its own neighbour.
        """
        wiring = self.state.wiring
        hosts: tuple[ExternalHost | NodePlan, ...] = (*wiring.external, *wiring.nodes)
        mine = [host for host in hosts if host.mac == sender.mac]
        for host in mine:
            for other in hosts:
                for near in host.addresses if other.mac != sender.mac else ():
                    if destination in near.network and any(destination == far.ip for far in other.addresses):
                        return other.mac
        return sender.gateway_mac

    def beyond(self, bridge: Bridge, ofport: int, packet: Packet) -> Onward:
        """Where a packet is after it left by a port."""
        pod = self._pods.get((bridge.name, ofport))
        if pod is not None:
            return Stack(place_of_pod(pod), pod.addresses)
        port = next((port for port in bridge.ports if port.ofport == ofport), None)
        if port is None:
            return Nowhere(f"{bridge.name} has no pod at port {ofport}")
        match port.role:
            case PortRole.HOST:
                return Stack(port.peer, tuple(interface.ip for interface in port.peer_addresses))
            case PortRole.TUNNEL:
                return self._tunnel(bridge, packet)
            case PortRole.EXTERNAL:
                host = self._external(port.peer)
                if host is not None and packet.eth_destination == host.mac:
                    return Stack(port.peer, tuple(interface.ip for interface in host.addresses))
                return Nowhere(f"{port.peer} does not answer to {packet.eth_destination}")
            case PortRole.CHECKER:
                balancer = self.state.wiring.balancer
                return Stack(port.peer, balancer.addresses if balancer else ())
        return self._neighbour(bridge, port)

    def routed(self, router: LinuxRouter, packet: Packet) -> tuple[Onward, Packet] | None:
        """What a Linux router does with a packet, as far as the plan knows: its subnets, its own routes, and
        the nodes that hang on it, whose pods it learns of over BGP. None where only its kernel can tell."""
        found = self._interface(router, packet.destination)
        if found is None:
            return None
        sent = replace(packet, eth_source=found.mac, eth_destination=found.peer_mac, ttl=packet.ttl - 1)
        other = self._places.get(found.peer)
        if other is not None:
            is_node = other.role is BridgeRole.NODE
            return Entry(other, UPLINK_OFPORT if is_node else other.port(router.place).ofport), sent
        further = next((one for one in self.state.wiring.routers if one.place == found.peer), None)
        return None if further is None else (Router(further), sent)

    def _interface(self, router: LinuxRouter, destination: IPAddress) -> RouterInterface | None:
        by_name = {interface.name: interface for interface in router.interfaces}
        for interface in router.interfaces:
            if interface.is_subnet and destination in interface.peer_addresses:
                return interface
        for node in self.state.wiring.nodes:
            if any(destination in cidr for cidr in node.pod_cidrs if cidr.version == destination.version):
                return next((one for one in router.interfaces if one.peer == f"node/{node.name}"), None)
        learned = self._learned(router, destination)
        if learned is not None:
            return learned
        covering = [
            route
            for route in router.routes
            if route.destination.version == destination.version and destination in route.destination
        ]
        best = max(covering, key=lambda route: route.destination.prefixlen, default=None)
        return None if best is None else by_name[best.interface]

    def _learned(self, router: LinuxRouter, destination: IPAddress) -> RouterInterface | None:
        """Towards the first of the nodes that advertise the longest prefix with the address."""
        own = {interface.peer: interface for interface in router.interfaces}
        found = [
            (prefix.prefixlen, own[f"node/{name}"])
            for name, prefixes in self._advertised.items()
            for prefix in prefixes
            if destination.version == prefix.version and destination in prefix and f"node/{name}" in own
        ]
        return max(found, key=lambda one: one[0], default=(0, None))[1]

    @cached_property
    def _advertised(self) -> Mapping[str, tuple[IPNetwork, ...]]:
        return advertised(self.state)

    def is_claimed(self, place: str, protocol: str, number: int) -> bool:
        """Whether a port of a node's own addresses is a NodePort or a hostPort, which its bridge answers."""
        services = (port for service in self.state.services for port in service.ports)
        return any(_is(port, protocol, number) for port in services) or any(
            claim.host_port == number and claim.protocol.lower() == protocol
            for pod in self.state.pods
            if place == f"node/{pod.node}" and not pod.host_network
            for claim in pod.container_ports
        )

    def port_name(self, bridge: Bridge, ofport: int) -> str:
        """The interface behind a port, a pod's included; the number where the plan has none."""
        named = next((port.name for port in bridge.ports if port.ofport == ofport), None)
        pod = self._pods.get((bridge.name, ofport))
        return named or (pod.port.interface if pod is not None and pod.port is not None else str(ofport))

    def pod_place(self, bridge: Bridge, ofport: int) -> str | None:
        """The pod that hangs on a port."""
        pod = self._pods.get((bridge.name, ofport))
        return place_of_pod(pod) if pod is not None else None

    def interface_of(self, address: IPAddress) -> str | None:
        """The port of the switch that the pod with an address hangs on."""
        pod = next((pod for pod in self.state.pods if pod.port and address in pod.addresses), None)
        return pod.port.interface if pod is not None and pod.port is not None else None

    def place_at(self, address: IPAddress) -> str | None:
        """Who has an address: a pod, a node, a host outside."""
        return self._addresses.get(address)

    def outer(self, tunnel: Tunnel) -> tuple[Entry, Packet]:
        """The VXLAN packet that carries another one: where it begins, and what it is."""
        near = self._node_sender(tunnel.near)
        family = self.state.wiring.pod_cidrs[0].version
        ends = [
            next(interface.ip for interface in node.addresses if interface.version == family)
            for node in (tunnel.near, tunnel.far)
        ]
        packet = Packet(
            "udp", ends[0], ends[1], eth_source=near.mac, eth_destination=self.first_mac(near, ends[1])
        ).with_ends(Ends(ends[0], 49152, ends[1], VXLAN_PORT))
        return near.entry, packet

    def tunnel_end(self, node: NodePlan) -> Entry:
        """Where unwrapped packets come in."""
        return Entry(self.state.wiring.bridge(node.bridge), TUNNEL_OFPORT)

    # -- parts -----------------------------------------------------------------------------------------

    def _pod_sender(self, pod: Pod) -> Sender:
        node = self.state.wiring.node(pod.node)
        if pod.port is None:
            return self._node_sender(node)
        entry = Entry(self.state.wiring.bridge(node.bridge), pod.port.ofport)
        return Sender(place_of_pod(pod), entry, pod.port.mac, pod.port.gateway_mac, pod.addresses)

    def _node_sender(self, node: NodePlan) -> Sender:
        addresses = (*(interface.ip for interface in node.addresses), *node.pod_gateways)
        entry = Entry(self.state.wiring.bridge(node.bridge), HOST_OFPORT)
        return Sender(f"node/{node.name}", entry, node.mac, node.default_gateway_mac, addresses)

    def _external(self, place: str) -> ExternalHost | None:
        hosts = (host for host in self.state.wiring.external if place == f"ext/{host.name}")
        return next(hosts, None)

    def _tunnel(self, bridge: Bridge, packet: Packet) -> Onward:
        nodes = {node.vtep_mac: node for node in self.state.wiring.nodes}
        near = next(node for node in self.state.wiring.nodes if node.bridge == bridge.name)
        far = nodes.get(packet.eth_destination)
        if far is None or far is near:
            return Nowhere(f"no VTEP has the address {packet.eth_destination}")
        return Tunnel(near, far)

    def _neighbour(self, bridge: Bridge, port: Port) -> Onward:
        other = self._places.get(port.peer)
        if other is None:
            routers = (r for r in self.state.wiring.routers if r.place == port.peer)
            router = next(routers, None)
            return Router(router) if router else Nowhere(f"nothing is behind {port.name}")
        if other.place.startswith("node/"):
            return Entry(other, UPLINK_OFPORT)
        return Entry(other, other.port(bridge.place).ofport)


def place_of_pod(pod: Pod) -> str:
    """`shop/web`."""
    return f"{pod.ref.namespace}/{pod.ref.name}"


def _is(port: ServicePort, protocol: str, number: int) -> bool:
    return port.node_port == number and port.protocol.lower() == protocol

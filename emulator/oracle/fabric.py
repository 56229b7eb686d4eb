"""What lies between nodes and beyond them: routers, NAT gateway, load balancer, the hosts outside.

Read from the topology's wiring: who is whose neighbour, and which way a router sends what. Where nodes
advertise services over BGP, what they advertise follows from the services.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from emulator.cluster.model import ClusterState, LoadBalancerAddress, Ref, Service, ServicePort, TrafficPolicy
from emulator.cluster.outcome import Outcome
from emulator.cluster.wiring import Bridge, BridgeRole, IPAddress, LinuxRouter, Mode, PortRole, Wiring
from emulator.oracle.answer import Answer, Arrival, Code
from emulator.oracle.packet import Packet

_MOST_HOPS = 64


@dataclass(frozen=True, slots=True)
class AtNode:
    """The packet reaches a node from its uplink."""

    node: str
    packet: Packet


Step = AtNode | Answer


def ends(packet: Packet, outcome: Outcome, code: Code, about: Ref, sentence: str) -> Answer:
    """The answer for a packet that goes no further."""
    told = packet.because(code, about, sentence)
    return Answer(outcome, frozenset((outcome,)), frozenset(), frozenset(), told.reasons)


def arrives(packet: Packet, place: str, about: Ref, source: IPAddress | None) -> Answer:
    """The answer for a packet that is handed over."""
    arrival = Arrival(place, packet.destination, packet.port)
    sources = frozenset() if source is None else frozenset((source,))
    told = packet.because(Code.DELIVERED, about, f"delivered to {place}")
    return Answer(
        Outcome.CONNECTED, frozenset((Outcome.CONNECTED,)), frozenset((arrival,)), sources, told.reasons
    )


def router_of_node(wiring: Wiring, node: str) -> str:
    """The place of the router that a node hangs on."""
    bridge = wiring.bridge(wiring.node(node).bridge)
    return next(port.peer for port in bridge.ports if port.role is PortRole.UPLINK)


def router_of_host(wiring: Wiring, name: str) -> str:
    """The place of the router that a host outside hangs on."""
    return next(b.place for b in wiring.bridges if any(port.peer == f"ext/{name}" for port in b.ports))


def travel(state: ClusterState, place: str, packet: Packet) -> Iterator[Step]:
    """What may become of a packet that is at a router, node or host."""
    wiring = state.wiring
    if packet.hops > _MOST_HOPS:
        about = Ref("Topology", "", wiring.name)
        yield ends(packet, Outcome.REJECTED, Code.CIRCLES, about, "routes send it round in circles")
        return
    packet = replace(packet, hops=packet.hops + 1)
    kind, _, name = place.partition("/")
    if kind == "node":
        yield AtNode(name, packet)
        return
    if kind == "ext":
        yield _at_host(wiring, name, packet)
        return
    for router in wiring.routers:
        if router.place == place:
            yield from _linux(state, router, packet)
            return
    yield from _bridge(state, next(b for b in wiring.bridges if b.place == place), packet)


def _at_host(wiring: Wiring, name: str, packet: Packet) -> Answer:
    host = next(host for host in wiring.external if host.name == name)
    about = Ref("Topology", "", wiring.name)
    if any(packet.destination == interface.ip for interface in host.addresses):
        return arrives(packet, f"ext/{name}", about, packet.source)
    return ends(packet, Outcome.DROPPED, Code.NO_ROUTE, about, f"ext/{name} does not route")


def _bridge(state: ClusterState, bridge: Bridge, packet: Packet) -> Iterator[Step]:
    wiring, target = state.wiring, packet.destination
    about = Ref("Topology", "", wiring.name)
    own = {*bridge.addresses, *(a.ip for port in bridge.ports for a in port.addresses)}
    balancer = wiring.balancer
    pool = balancer.pool if balancer is not None and bridge.role is BridgeRole.LB else ()
    if any(target.version == network.version and target in network for network in pool):
        yield from _balanced(state, bridge, packet)
        return
    if bridge.role is BridgeRole.NAT and target in bridge.public_addresses:
        why = f"{bridge.place} knows no connection that it belongs to"
        yield ends(packet, Outcome.DROPPED, Code.UNSOLICITED, about, why)
        return
    if target in own:
        if packet.protocol is None:
            yield arrives(packet, bridge.place, about, packet.source)
        else:
            yield ends(
                packet, Outcome.REJECTED, Code.NO_LISTENER, about, f"{bridge.place} listens on no port"
            )
        return
    hops = _next_places(bridge, target)
    if not hops:
        why = f"{bridge.place} knows no way to {target}"
        yield ends(packet, Outcome.REJECTED, Code.NO_ROUTE, about, why)
        return
    packet = _through_nat(bridge, packet, about) if bridge.role is BridgeRole.NAT else packet
    for place in hops:
        yield from travel(state, place, packet)


def _next_places(bridge: Bridge, target: IPAddress) -> list[str]:
    """The neighbour that has the address, else where the longest prefix leads; empty: nowhere."""
    for port in bridge.ports:
        if any(target == interface.ip for interface in port.peer_addresses):
            return [port.peer]
    fitting = [
        route
        for route in bridge.routes
        if route.destination.version == target.version and target in route.destination
    ]
    best = max(fitting, key=lambda route: route.destination.prefixlen, default=None)
    subnets = [a.network for port in bridge.ports for a in port.addresses if a.version == target.version]
    longest = max((net.prefixlen for net in subnets if target in net), default=-1)
    if best is None or longest > best.destination.prefixlen:
        return []
    by_port = {port.ofport: port.peer for port in bridge.ports}
    return list(dict.fromkeys(by_port[hop.ofport] for hop in best.next_hops))


def _through_nat(bridge: Bridge, packet: Packet, about: Ref) -> Packet:
    """From the inside to the outside; what goes inwards, or comes from elsewhere, keeps its source."""
    inside = [one for one in bridge.inside if one.version == packet.family]
    public = next((one for one in bridge.public_addresses if one.version == packet.family), None)
    leaves = any(packet.source in one for one in inside)
    if public is None or not leaves or any(packet.destination in one for one in inside):
        return packet
    told = packet.because(Code.MASQUERADED, about, f"{bridge.place} sends it as {public}")
    return replace(told, source=public)


# -- load balancer ---------------------------------------------------------------------------------


def _balanced(state: ClusterState, bridge: Bridge, packet: Packet) -> Iterator[Step]:
    """KEP-1860: mode VIP leaves the packet as it is, mode Proxy sends it to a node port as the balancer."""
    wiring = state.wiring
    found = next(_meant(state, packet), None)
    if found is None:
        about = Ref("Topology", "", wiring.name)
        why = f"{bridge.place} has no Service at {packet.destination}, {packet.told()}"
        yield ends(packet, Outcome.DROPPED, Code.NO_SERVICE_PORT, about, why)
        return
    service, port, entry = found
    ranges = [one for one in service.source_ranges if one.version == packet.family]
    if service.source_ranges and not any(packet.source in one for one in ranges):
        why = f"{packet.source} is not in loadBalancerSourceRanges of {service.ref}"
        yield ends(packet, Outcome.DROPPED, Code.SOURCE_RANGES, service.ref, why)
        return
    if not service.targets:
        why = f"no node answers the load balancer's checks for {service.ref}"
        yield ends(packet, Outcome.DROPPED, Code.NO_HEALTHY_NODE, service.ref, why)
        return
    for name in service.targets:
        sent = packet.because(
            Code.BALANCED, service.ref, f"load balancer of {service.ref} sends it to node/{name}"
        )
        if entry.proxy:
            sent = replace(
                sent,
                destination=_of_family([a.ip for a in wiring.node(name).addresses], packet.family),
                port=port.node_port,
                source=_of_family(wiring.balancer.addresses if wiring.balancer else (), packet.family),
            )
        yield AtNode(name, sent)


def _meant(state: ClusterState, packet: Packet) -> Iterator[tuple[Service, ServicePort, LoadBalancerAddress]]:
    for service in state.services:
        for entry in service.load_balancer:
            for port in service.ports:
                if (entry.address, port.protocol, port.port) == (
                    packet.destination,
                    packet.protocol,
                    packet.port,
                ) and not (entry.proxy and port.node_port is None):
                    yield service, port, entry


def _of_family(addresses: list[IPAddress] | tuple[IPAddress, ...], family: int) -> IPAddress:
    return next(address for address in addresses if address.version == family)


# -- routers that are Linux ------------------------------------------------------------------------


def _linux(state: ClusterState, router: LinuxRouter, packet: Packet) -> Iterator[Step]:
    target, about = packet.destination, Ref("Topology", "", state.wiring.name)
    if target in router.addresses or any(target == a.ip for i in router.interfaces for a in i.addresses):
        yield arrives(packet, router.place, about, packet.source)
        return
    hops = list(dict.fromkeys(_linux_hops(state, router, target)))
    if not hops:
        why = f"{router.place} knows no way to {target}"
        yield ends(packet, Outcome.REJECTED, Code.NO_ROUTE, about, why)
    for place in hops:
        yield from travel(state, place, packet)


def _linux_hops(state: ClusterState, router: LinuxRouter, target: IPAddress) -> Iterator[str]:
    for interface in router.interfaces:
        if target in interface.peer_addresses and interface.is_subnet:
            yield interface.peer
            return
    peers = {interface.name: interface.peer for interface in router.interfaces}
    advertised = list(_advertisers(state, router, target))
    if advertised:
        yield from advertised
        return
    fitting = [
        route
        for route in router.routes
        if route.destination.version == target.version and target in route.destination
    ]
    best = max((route.destination.prefixlen for route in fitting), default=-1)
    yield from (peers[route.interface] for route in fitting if route.destination.prefixlen == best)


def _advertisers(state: ClusterState, router: LinuxRouter, target: IPAddress) -> Iterator[str]:
    """Nodes that tell the router of the address: all of the ranges; of a Local one's, those that serve it."""
    wiring = state.wiring
    near = [interface.peer for interface in router.interfaces if interface.peer.startswith("node/")]
    for node in wiring.nodes:
        pods = any(target.version == cidr.version and target in cidr for cidr in node.pod_cidrs)
        if pods and wiring.mode is Mode.ROUTED and f"node/{node.name}" in near:
            yield f"node/{node.name}"
            return
    ranges = wiring.advertising.ranges if wiring.advertising else ()
    if not any(target.version == one.version and target in one for one in ranges):
        return
    for service in state.services:
        outward = {*service.external_ips, *(one.address for one in service.load_balancer)}
        if target in outward and service.external_traffic_policy is TrafficPolicy.LOCAL:
            homes = {
                f"node/{e.node}"
                for port in service.ports
                for e in port.endpoints
                if e.ready and e.address.version == target.version
            }
            yield from (place for place in near if place in homes)
            if homes & set(near):
                return
    yield from near

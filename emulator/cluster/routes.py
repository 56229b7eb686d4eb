"""Each router's forwarding table: shortest paths, and what the topology says instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from emulator.cluster.numbering import EXTERNAL_MAC, Draft, balancer_addresses, mac_address
from emulator.cluster.specs import RouterKind, RouterSpec, Topology
from emulator.cluster.wiring import IPAddress, IPNetwork, Mode, NextHop, NodePlan, Route


def routes_of(
    draft: Draft,
    router: RouterSpec,
    nodes: Sequence[NodePlan],
    public: Mapping[str, tuple[IPAddress, ...]],
) -> Iterator[Route]:
    """Shortest paths, overridden where the topology names a route to the same destination."""
    found: dict[IPNetwork, tuple[NextHop, ...]] = {}
    for destination, targets in _destinations(draft, router, nodes, public):
        hops = draft.layout.towards(router.name, targets)
        if hops:
            found[destination] = tuple(_next_hop(draft, router.name, hop) for hop in hops)
    if draft.layout.topology.mode is Mode.ROUTED:
        for node in nodes:
            if draft.layout.home[node.name] == router.name:
                for cidr in node.pod_cidrs:
                    found[cidr] = (NextHop(draft.ofport[router.name, node.name], node.mac),)
    macs = {node.name: node.mac for node in nodes}
    for route in router.routes:
        found[route.to] = (_next_hop(draft, router.name, route.via, macs.get(route.via)),)
    for destination in sorted(found, key=lambda n: (n.version, -n.prefixlen, int(n.network_address))):
        yield Route(destination, found[destination])


def _next_hop(draft: Draft, router: str, neighbour: str, mac: str | None = None) -> NextHop:
    if mac is None and neighbour not in draft.bridge:
        names = [spec.name for spec in draft.layout.topology.external]
        mac = mac_address(EXTERNAL_MAC, 1 + names.index(neighbour))
    return NextHop(draft.ofport[router, neighbour], mac or draft.router_mac(neighbour))


def _destinations(
    draft: Draft,
    router: RouterSpec,
    nodes: Sequence[NodePlan],
    public: Mapping[str, tuple[IPAddress, ...]],
) -> Iterator[tuple[IPNetwork, tuple[str, ...]]]:
    """Destinations that a router knows without being told, with the routers that lead there.

    The internet knows public addresses, its own hosts, and inside ranges of a family that nobody translates;
    others only by a route of the topology, or when the topology does not speak of it at all.
    """
    layout, kinds = draft.layout, draft.layout.kinds
    outside = router.kind is RouterKind.INTERNET
    routed = layout.topology.routed_families
    for subnet in (*layout.node_subnets, *layout.external_subnets):
        public_subnet = kinds[subnet.router] is RouterKind.INTERNET
        for network in subnet.networks:
            if public_subnet == outside or router.implied or network.version in routed:
                yield network, (subnet.router,)
    if layout.topology.mode is Mode.ROUTED:
        for node in nodes:
            for cidr in node.pod_cidrs:
                if not outside or cidr.version in routed:
                    yield cidr, (layout.home[node.name],)
    for name, addresses in public.items():
        if kinds[name] is RouterKind.NAT:
            yield from ((ip_network(address), (name,)) for address in addresses)
    for balancer in layout.topology.routers:
        if balancer.balancer is not None:
            yield from ((network, (balancer.name,)) for network in balancer.balancer.pool)
            if not outside:
                own = balancer_addresses(layout.topology, balancer.name)
                yield from ((ip_network(address), (balancer.name,)) for address in own)
    if layout.topology.bgp and (not outside or router.implied):
        speakers = tuple(name for name, kind in kinds.items() if kind is RouterKind.BGP)
        yield from ((network, speakers) for network in _advertised(layout.topology))
    if not outside:
        internet = tuple(name for name, kind in kinds.items() if kind is RouterKind.INTERNET)
        for version in layout.topology.families:
            yield ip_network("0.0.0.0/0" if version == 4 else "::/0"), internet


def _advertised(topology: Topology) -> Iterator[IPNetwork]:
    """Ranges that routers of kind `bgp` learn from the nodes, and others lead to by way of them."""
    if topology.bgp is not None:
        yield from topology.service_cidrs if topology.bgp.cluster_ips else ()
        yield from topology.bgp.external_ips
        yield from topology.bgp.load_balancer_ips

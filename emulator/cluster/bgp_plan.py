"""The part of the plan that is not Open vSwitch's: routers that speak BGP, and what nodes tell them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.cluster.numbering import Draft, own_addresses
from emulator.cluster.ranges import Range
from emulator.cluster.routes import routes_of
from emulator.cluster.specs import RouterKind, RouterSpec, Topology, TopologyError
from emulator.cluster.wiring import (
    Advertising,
    IPAddress,
    LinuxRouter,
    NodePlan,
    RouterInterface,
    RouterRoute,
)


def advertising(topology: Topology) -> Advertising | None:
    """What the nodes advertise as a whole; None where no router speaks BGP."""
    bgp = topology.bgp
    if bgp is None:
        return None
    return Advertising(
        asn=bgp.asn,
        hold_time=bgp.hold_time,
        cluster_ips=topology.service_cidrs if bgp.cluster_ips else (),
        external_ips=bgp.external_ips,
        load_balancer_ips=bgp.load_balancer_ips,
    )


def advertised_ranges(topology: Topology) -> Iterator[Range]:
    """The ranges that the topology declares for advertisement, with their places in it."""
    if topology.bgp is None:
        return
    balancer = next((router.name for router in topology.routers if router.balancer), None)
    if balancer is not None and topology.bgp.load_balancer_ips:
        raise TopologyError(
            ("spec", "bgp", "advertise", "loadBalancerIPs"),
            f"Services of type LoadBalancer already get their addresses from {balancer}",
            "leave one of both out",
        )
    fields = {
        "externalIPs": ("the range for external IPs", topology.bgp.external_ips),
        "loadBalancerIPs": ("the range for load balancers", topology.bgp.load_balancer_ips),
    }
    for field, (label, networks) in fields.items():
        for index, network in enumerate(networks):
            yield Range(label, network, ("spec", "bgp", "advertise", field, index))


def linux_routers(
    draft: Draft, nodes: Sequence[NodePlan], public: Mapping[str, tuple[IPAddress, ...]]
) -> Iterator[LinuxRouter]:
    """The routers of kind `bgp`. Raises TopologyError."""
    for router in draft.layout.topology.routers:
        if router.kind is not RouterKind.BGP:
            continue
        interfaces = tuple(_interfaces(draft, router, nodes, public))
        yield LinuxRouter(
            name=router.name,
            place=f"router/{router.name}",
            asn=router.asn or 0,
            interfaces=interfaces,
            routes=tuple(_routes(draft, router, interfaces, nodes, public)),
            addresses=own_addresses(draft.layout, router, public),
        )


def _interfaces(
    draft: Draft, router: RouterSpec, nodes: Sequence[NodePlan], public: Mapping[str, tuple[IPAddress, ...]]
) -> Iterator[RouterInterface]:
    plans = {node.name: node for node in nodes}
    others = {other.name: other for other in draft.layout.topology.routers}
    for owner, peer in draft.ofport:
        if owner != router.name:
            continue
        node = plans.get(peer)
        if node is None:
            addresses = own_addresses(draft.layout, others[peer], public)
        else:
            addresses = tuple(interface.ip for interface in node.addresses)
        yield RouterInterface(
            name=draft.interface(router.name, peer),
            mac=draft.router_mac(router.name),
            peer=draft.place(peer),
            peer_mac=draft.router_mac(peer) if node is None else node.mac,
            peer_addresses=addresses,
            addresses=() if node is None else draft.layout.subnet_of[peer].gateways,
            is_subnet=node is not None,
        )


def _routes(
    draft: Draft,
    router: RouterSpec,
    interfaces: Sequence[RouterInterface],
    nodes: Sequence[NodePlan],
    public: Mapping[str, tuple[IPAddress, ...]],
) -> Iterator[RouterRoute]:
    """The computed and the static routes; of equally short ways the first. Nodes tell of themselves."""
    own = {cidr for n in nodes if draft.layout.home[n.name] == router.name for cidr in n.pod_cidrs}
    by_number = {draft.ofport[router.name, i.peer.partition("/")[2]]: i for i in interfaces}
    for route in routes_of(draft, router, nodes, public):
        interface = by_number[route.next_hops[0].ofport]
        version = route.destination.version
        gateway = next((a for a in interface.peer_addresses if a.version == version), None)
        if route.destination not in own and gateway is not None:
            yield RouterRoute(route.destination, interface.name, gateway)

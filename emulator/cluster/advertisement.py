"""Which prefixes each node advertises over BGP, and what its routers therefore have to know.

The rules are Calico's. Every node advertises whole ranges, so that a service's address leads to some node
and kube-proxy does the rest. The addresses of a Service with externalTrafficPolicy Local are advertised one
by one as well, by the nodes that have a ready endpoint of it: the longer prefix wins, and so the client
reaches a node that can serve it without hiding its address. A node that is labelled to stay out of load
balancing advertises no services.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from emulator.cluster.model import ClusterState, Node, Service, TrafficPolicy
from emulator.cluster.wiring import Advertising, IPAddress, IPNetwork, LinuxRouter, Mode, NodePlan, Wiring

EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Label of a Node, with the value `true`."""


@dataclass(frozen=True, slots=True)
class Peering:
    """A node and the router that it speaks BGP with."""

    node: NodePlan
    router: LinuxRouter

    def gateway(self, version: int) -> IPAddress | None:
        """The router's address on the wire to the node."""
        interface = next(i for i in self.router.interfaces if i.peer == f"node/{self.node.name}")
        return next((a.ip for a in interface.addresses if a.version == version), None)


def peerings(wiring: Wiring) -> tuple[Peering, ...]:
    """All sessions' ends: one router for each node that hangs on a router of kind `bgp`."""
    routers = {i.peer: router for router in wiring.routers for i in router.interfaces if i.is_subnet}
    return tuple(
        Peering(node, routers[f"node/{node.name}"]) for node in wiring.nodes if f"node/{node.name}" in routers
    )


def advertised(state: ClusterState) -> Mapping[str, tuple[IPNetwork, ...]]:
    """What each node that speaks BGP advertises, by the node's name, in a fixed order."""
    wiring, labels = state.wiring, {node.name: node for node in state.nodes}
    if wiring.advertising is None:
        return {}
    local = [service for service in state.services if _is_local(service)]
    return {
        peering.node.name: tuple(
            sorted(
                set(
                    _prefixes(wiring, wiring.advertising, peering.node, labels.get(peering.node.name), local)
                ),
                key=lambda n: (n.version, n.prefixlen, int(n.network_address)),
            )
        )
        for peering in peerings(wiring)
    }


def _prefixes(
    wiring: Wiring, advertising: Advertising, plan: NodePlan, node: Node | None, local: list[Service]
) -> Iterator[IPNetwork]:
    if wiring.mode is Mode.ROUTED:
        yield from plan.pod_cidrs
    if node is not None and node.labels.get(EXCLUDE) == "true":
        return
    yield from advertising.ranges
    for service in local:
        for address in _virtual_addresses(service, advertising):
            if _has_endpoint(service, plan.name, address.version):
                yield ip_network(address)


def _is_local(service: Service) -> bool:
    return service.external_traffic_policy is TrafficPolicy.LOCAL


def _virtual_addresses(service: Service, advertising: Advertising) -> Iterator[IPAddress]:
    yield from (a for a in service.cluster_ips if _within(a, advertising.cluster_ips))
    yield from (a for a in service.external_ips if _within(a, advertising.external_ips))
    yield from (e.address for e in service.load_balancer if _within(e.address, advertising.load_balancer_ips))


def _within(address: IPAddress, ranges: tuple[IPNetwork, ...]) -> bool:
    return any(address.version == network.version and address in network for network in ranges)


def _has_endpoint(service: Service, node: str, version: int) -> bool:
    """Ready ones count: one that still serves while it terminates draws no new routes."""
    return any(
        endpoint.node == node and endpoint.ready and endpoint.address.version == version
        for port in service.ports
        for endpoint in port.endpoints
    )


Routes = Mapping[IPNetwork, frozenset[IPAddress]]
"""Destinations with the addresses of their next hops."""
Speaker = tuple[str, int]
"""A node, and the IP version of one of its sessions."""


def expected_routes(
    wiring: Wiring,
    router: LinuxRouter,
    prefixes: Mapping[str, tuple[IPNetwork, ...]],
    silent: Container[Speaker],
) -> Routes:
    """What the router's kernel has to know from BGP while all but the `silent` speak to it."""
    found: dict[IPNetwork, set[IPAddress]] = {}
    for peering in peerings(wiring):
        if peering.router.name != router.name:
            continue
        own = {interface.version: interface.ip for interface in peering.node.addresses}
        for prefix in prefixes.get(peering.node.name, ()):
            if (peering.node.name, prefix.version) not in silent:
                found.setdefault(prefix, set()).add(own[prefix.version])
    return {prefix: frozenset(hops) for prefix, hops in found.items()}

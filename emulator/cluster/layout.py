"""How a topology hangs together: which router each host hangs on, subnets, cables, and routes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_interface

from emulator.cluster.ranges import external_subnet, node_subnet, numbered
from emulator.cluster.specs import LinkSpec, RouterKind, Topology, TopologyError
from emulator.cluster.wiring import IPAddress, IPInterface, IPNetwork

# What passing through a router of a kind costs, for packets that stay inside (or go back
# inside) and for packets to the internet. Inside traffic never crosses the internet, and a
# NAT gateway only where there is no other way.
# A load balancer passes on what is addressed to it and nothing else.
_NEVER = {RouterKind.LB: math.inf}
_INSIDE = {
    RouterKind.FABRIC: 0.0,
    RouterKind.BGP: 0.0,
    RouterKind.NAT: 100.0,
    RouterKind.INTERNET: math.inf,
    **_NEVER,
}
_OUTSIDE = {**dict.fromkeys(RouterKind, 0.0), **_NEVER}
_ON_THE_INTERNET = {
    RouterKind.FABRIC: 10.0,
    RouterKind.BGP: 10.0,
    RouterKind.NAT: 100.0,
    RouterKind.INTERNET: 0.0,
    **_NEVER,
}
_ROUTES_INSIDE = (RouterKind.FABRIC, RouterKind.BGP)
"""The kinds that nodes hang on."""


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet of nodes or of external hosts, on one router, whose `gateways` are the router's addresses."""

    name: str
    router: str
    networks: tuple[IPNetwork, ...]
    gateways: tuple[IPInterface, ...]


_Subnets = tuple[tuple[Subnet, ...], dict[str, Subnet]]
"""All subnets, and the subnet of each host."""


@dataclass(frozen=True)
class Layout:
    """A topology's connections, the implied ones included."""

    topology: Topology
    cables: tuple[LinkSpec, ...]
    home: Mapping[str, str]
    """The router of each node and each external host."""
    node_subnets: tuple[Subnet, ...]
    external_subnets: tuple[Subnet, ...]
    subnet_of: Mapping[str, Subnet]
    """The subnet of each node and each external host."""

    @cached_property
    def neighbours(self) -> Mapping[str, tuple[str, ...]]:
        """Each router's neighbouring routers, in the order of the cables."""
        found: dict[str, list[str]] = {router.name: [] for router in self.topology.routers}
        for cable in self.cables:
            a, b = cable.ends
            if a in found and b in found:
                found[a].append(b)
                found[b].append(a)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def kinds(self) -> Mapping[str, RouterKind]:
        """Each router's kind."""
        return {router.name: router.kind for router in self.topology.routers}

    def towards(self, router: str, targets: Iterable[str]) -> tuple[str, ...]:
        """The neighbours of `router` on shortest ways to the nearest of `targets`; () when there is none.

        Several are equally short: packets spread over them.
        """
        targets = frozenset(targets)
        if router in targets:
            return ()
        kinds = self.kinds
        if kinds[router] is RouterKind.INTERNET:
            cost = _ON_THE_INTERNET
        elif any(kinds[target] is RouterKind.INTERNET for target in targets):
            cost = _OUTSIDE
        else:
            cost = _INSIDE
        distance = self._distances(targets, cost)
        best: dict[str, float] = {}
        for neighbour in self.neighbours[router]:
            passing = 0.0 if neighbour in targets else cost[kinds[neighbour]]
            best[neighbour] = distance.get(neighbour, math.inf) + passing
        shortest = min(best.values(), default=math.inf)
        return tuple(n for n, d in best.items() if d == shortest and not math.isinf(d))

    def _distances(self, targets: frozenset[str], cost: Mapping[RouterKind, float]) -> Mapping[str, float]:
        """Cost from each router to the nearest target, not counting the router itself (Bellman-Ford)."""
        distance = {name: 0.0 if name in targets else math.inf for name in self.neighbours}
        for _ in distance:
            for name, neighbours in self.neighbours.items():
                for neighbour in neighbours:
                    passing = 0.0 if neighbour in targets else cost[self.kinds[neighbour]]
                    distance[name] = min(distance[name], distance[neighbour] + passing + 1)
        return distance


def lay_out(topology: Topology) -> Layout:
    """Fill in what a topology implies: cables, hosts' routers, subnets. Raises TopologyError."""
    cables = list(topology.links)
    home = _homes(topology, cables)
    _join_routers(topology, cables)
    _check_cables(topology, cables)
    node_subnets, subnet_of = _node_subnets(topology, home)
    external_subnets, more = _external_subnets(topology, home)
    layout = Layout(topology, tuple(cables), home, node_subnets, external_subnets, {**subnet_of, **more})
    _check_connected(layout)
    return layout


def _homes(topology: Topology, cables: list[LinkSpec]) -> dict[str, str]:
    """The router that each host hangs on, adding the cables that the topology leaves out."""
    routers = {router.name for router in topology.routers}
    hosts = [*(n.name for n in topology.nodes), *(e.name for e in topology.external)]
    home: dict[str, str] = {}
    for cable in cables:
        for host, other in (cable.ends, cable.ends[::-1]):
            if host not in routers:
                if other not in routers:
                    raise TopologyError(
                        (*cable.path, "ends"), f"{host} and {other}: hosts link to routers only"
                    )
                if home.setdefault(host, other) != other:
                    raise TopologyError((*cable.path, "ends"), f"{host} already has a link to {home[host]}")
    subnet_router = {n.subnet: home[n.name] for n in topology.nodes if n.subnet and n.name in home}
    subnets = {node.name: node.subnet for node in topology.nodes}
    usual, internet = _first(topology, *_ROUTES_INSIDE), _first(topology, RouterKind.INTERNET)
    for host in hosts:
        if host in home:
            continue
        subnet = subnets.get(host)
        if subnet is None:
            home[host] = internet
        elif subnet in routers:
            home[host] = subnet
        else:
            home[host] = subnet_router.get(subnet, usual)
        cables.append(LinkSpec((host, home[host])))
    return home


def _join_routers(topology: Topology, cables: list[LinkSpec]) -> None:
    """Routers that a route names are neighbours; a router without any is joined to the usual one."""
    joined = {frozenset(cable.ends) for cable in cables}
    kinds = {router.name: router.kind for router in topology.routers}

    def join(a: str, b: str) -> None:
        if a != b and frozenset((a, b)) not in joined:
            joined.add(frozenset((a, b)))
            cables.append(LinkSpec((a, b)))

    def has(name: str, *wanted: RouterKind) -> bool:
        return any(name in pair and any(kinds.get(n) in wanted for n in pair - {name}) for pair in joined)

    inside, nat, internet = (
        _first(topology, *kinds_of)
        for kinds_of in (_ROUTES_INSIDE, (RouterKind.NAT,), (RouterKind.INTERNET,))
    )
    for router in topology.routers:
        for route in router.routes:
            if route.via in kinds:
                join(router.name, route.via)
    for router in topology.routers:
        if router.kind is RouterKind.BGP and not has(router.name, *RouterKind):
            join(router.name, nat)
        elif router.kind is RouterKind.FABRIC and not has(router.name, *RouterKind):
            join(router.name, inside if inside != router.name else nat)
        elif router.kind is RouterKind.INTERNET and not has(router.name, *RouterKind):
            join(router.name, internet if internet != router.name else nat)
        elif router.kind is RouterKind.NAT:
            if not has(router.name, *_ROUTES_INSIDE):
                join(router.name, inside)
            if not has(router.name, RouterKind.INTERNET) and sum(router.name in pair for pair in joined) < 2:
                join(router.name, internet)
        elif router.kind is RouterKind.LB:
            for kinds_of, usual in ((_ROUTES_INSIDE, inside), ((RouterKind.INTERNET,), internet)):
                if not has(router.name, *kinds_of):
                    join(router.name, usual)


def _first(topology: Topology, *kinds: RouterKind) -> str:
    return next(router.name for router in topology.routers if router.kind in kinds)


def _check_cables(topology: Topology, cables: Iterable[LinkSpec]) -> None:
    seen: set[frozenset[str]] = set()
    for cable in cables:
        ends = frozenset(cable.ends)
        if len(ends) == 1:
            raise TopologyError((*cable.path, "ends"), f"{cable.ends[0]} cannot be linked to itself")
        if ends in seen:
            raise TopologyError((*cable.path, "ends"), f"a second link between {' and '.join(cable.ends)}")
        seen.add(ends)
        _check_bgp_cable(topology, cable)
    for router in topology.routers:
        for route in router.routes:
            if frozenset((router.name, route.via)) not in seen:
                raise TopologyError((*route.path, "via"), f"{route.via} is no neighbour of {router.name}")


def _check_bgp_cable(topology: Topology, cable: LinkSpec) -> None:
    """A router that is a Linux network stack has a bridge at the other end of each of its cables."""
    speakers = {router.name for router in topology.routers if router.kind is RouterKind.BGP}
    outside = {host.name for host in topology.external}
    for end, other in (cable.ends, cable.ends[::-1]):
        if end in speakers and other in outside | speakers:
            what = "a host outside" if other in outside else "a router of kind bgp"
            raise TopologyError(
                (*cable.path, "ends"),
                f"{end} is of kind bgp and cannot be linked to {other}, {what}",
                "it links to nodes and to routers of other kinds",
            )


def _check_connected(layout: Layout) -> None:
    names = list(layout.neighbours)
    reached, todo = {names[0]}, [names[0]]
    while todo:
        for neighbour in layout.neighbours[todo.pop()]:
            if neighbour not in reached:
                reached.add(neighbour)
                todo.append(neighbour)
    for index, router in enumerate(layout.topology.routers):
        if router.name not in reached:
            raise TopologyError(
                ("spec", "routers", index),
                f"{router.name} has no way to {names[0]}",
                "add a link under spec.links",
            )


def _node_subnets(topology: Topology, home: Mapping[str, str]) -> _Subnets:
    subnets: dict[str, Subnet] = {}
    subnet_of: dict[str, Subnet] = {}
    kinds = {router.name: router.kind for router in topology.routers}
    for index, node in enumerate(topology.nodes):
        router = home[node.name]
        is_routed_port = kinds[router] is RouterKind.BGP
        name = node.subnet or (node.name if is_routed_port else router)
        if name not in subnets:
            if len(subnets) > 200:
                raise TopologyError(("spec", "nodes", index, "subnet"), "more than 200 subnets")
            networks = tuple(node_subnet(len(subnets), version) for version in topology.families)
            subnets[name] = Subnet(name, router, networks, tuple(_gateway(n, ()) for n in networks))
        elif is_routed_port:
            raise TopologyError(
                ("spec", "nodes", index, "subnet"),
                f"subnet {name} has a node already, and {router} is of kind bgp",
                "each of its nodes has a subnet of its own; leave `subnet` out",
            )
        subnet = subnet_of[node.name] = subnets[name]
        if subnet.router != router:
            raise TopologyError(
                ("spec", "nodes", index, "subnet"),
                f"subnet {name} hangs on {subnet.router} already, and {node.name} on {router}",
                "a subnet belongs to one router",
            )
    return tuple(subnets.values()), subnet_of


def _external_subnets(topology: Topology, home: Mapping[str, str]) -> _Subnets:
    """A subnet for each set of ranges that hosts live in, one range a family."""
    found: dict[tuple[str, IPNetwork], list[IPAddress]] = {}
    router_of: dict[IPNetwork, str] = {}
    for spec in topology.external:
        for index, address in enumerate(spec.addresses):
            network, router = external_subnet(address), home[spec.name]
            if router_of.setdefault(network, router) != router:
                raise TopologyError(
                    (*spec.path, "addresses", index),
                    f"{network} hangs on {router_of[network]} already, and {spec.name} on {router}",
                )
            found.setdefault((router, network), []).append(address)
    gateways = {network: _gateway(network, taken) for (_, network), taken in found.items()}
    subnets: dict[tuple[IPNetwork, ...], Subnet] = {}
    subnet_of: dict[str, Subnet] = {}
    for spec in topology.external:
        networks = tuple(external_subnet(address) for address in spec.addresses)
        subnet = subnets.setdefault(
            networks,
            Subnet(str(networks[0]), home[spec.name], networks, tuple(gateways[n] for n in networks)),
        )
        subnet_of[spec.name] = subnet
    return tuple(subnets.values()), subnet_of


def _gateway(network: IPNetwork, taken: Iterable[IPAddress]) -> IPInterface:
    for number in (1, *range(254, 1, -1)):
        address = numbered(network, number)
        if address not in taken:
            return ip_interface(f"{address}/{network.prefixlen}")
    raise TopologyError(("spec", "external"), f"no address of {network} is left for its router")

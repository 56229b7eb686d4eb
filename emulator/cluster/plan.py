"""From a topology to the wiring plan: names, OpenFlow ports, MAC addresses, zones, routes.

Every number follows from positions in the topology alone, so the same topology gives the
same plan in every process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_interface, ip_network

from emulator.api.objects import Path
from emulator.cluster import ranges
from emulator.cluster.layout import Layout, Subnet, lay_out
from emulator.cluster.ranges import Range
from emulator.cluster.topology import (
    LinkSpec,
    NodeSpec,
    RouterKind,
    RouterSpec,
    Topology,
    TopologyError,
    documentation_ipv6,
)
from emulator.cluster.wiring import (
    HOST_OFPORT,
    TUNNEL_OFPORT,
    UPLINK_OFPORT,
    Bridge,
    BridgeRole,
    ExternalHost,
    IPAddress,
    IPInterface,
    IPNetwork,
    Link,
    LinkEnd,
    Mode,
    NextHop,
    NodePlan,
    Port,
    PortRole,
    Route,
    Wiring,
)

FIRST_ROUTER_DATAPATH = 1001
FIRST_ROUTER_ZONE = 40000
LINK_MTU = 1500
VXLAN_OVERHEAD = {4: 50, 6: 70}
OVERLAY = "overlay"
"""The peer of tunnel ports."""

MAX_NODES = FIRST_ROUTER_DATAPATH - 1
_BRIDGE_NAME_LENGTH = 11  # leaves room for "-" and a port number in an interface's 15 characters
_TAKEN_NAMES = frozenset({"lo", "eth0", "all", "default", "ovs-netdev", "ovs-system"})
_NODE_OR_POD_NAME = re.compile(r"[np]\d+(-.*)?")


def wire(topology: Topology) -> Wiring:
    """The plan of `topology`. Raises TopologyError when ranges overlap or do not suffice."""
    if len(topology.nodes) > MAX_NODES:
        raise TopologyError(("spec", "nodes"), f"{len(topology.nodes)} nodes; {MAX_NODES} are possible")
    layout = lay_out(topology)
    pod_cidrs = ranges.node_pod_cidrs(topology)
    public = _public_addresses(topology)
    _refuse_overlaps(layout, public)
    draft = _Draft(layout, _bridge_names(topology), _cable_ports(layout))
    nodes = tuple(_nodes(draft, pod_cidrs))
    external = tuple(_external(draft))
    routers = tuple(_routers(draft, nodes, external, public))
    return Wiring(
        name=topology.name,
        mode=topology.mode,
        pod_cidrs=topology.pod_cidrs,
        service_cidrs=topology.service_cidrs,
        node_cidrs=tuple(network for subnet in layout.node_subnets for network in subnet.networks),
        bridges=(*(_node_bridge(draft, node) for node in nodes), *routers),
        nodes=nodes,
        external=external,
        links=tuple(_links(draft, nodes)),
        pod_mtu=LINK_MTU - (VXLAN_OVERHEAD[topology.families[0]] if topology.mode is Mode.OVERLAY else 0),
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """What every part of the plan looks up."""

    layout: Layout
    bridge: Mapping[str, str]
    """The Open vSwitch bridge of each router."""
    ofport: Mapping[tuple[str, str], int]
    """(router, neighbour) → port number on the router's bridge."""

    def router_mac(self, router: str) -> str:
        return _mac(0x10, 1 + [r.name for r in self.layout.topology.routers].index(router))

    def place(self, name: str) -> str:
        if name in self.bridge:
            return f"router/{name}"
        return f"node/{name}" if any(n.name == name for n in self.layout.topology.nodes) else f"ext/{name}"


# -- numbers and names -----------------------------------------------------------------------------


def _mac(kind: int, number: int) -> str:
    """Locally administered addresses, one second octet a kind of owner."""
    return f"02:{kind:02x}:00:00:{number >> 8:02x}:{number & 0xFF:02x}"


def pod_mac(address: IPAddress, node: int, index: int) -> str:
    """`0a:58:` and the IPv4 address, as CNI plugins do; from node and index where there is only IPv6."""
    if isinstance(address, IPv4Address):
        return "0a:58:" + ":".join(f"{byte:02x}" for byte in address.packed)
    return f"0a:59:{node >> 8:02x}:{node & 0xFF:02x}:{index >> 8:02x}:{index & 0xFF:02x}"


def _bridge_names(topology: Topology) -> dict[str, str]:
    names: dict[str, str] = {}
    for router in topology.routers:
        if len(router.name) <= _BRIDGE_NAME_LENGTH and _usable(router.name, topology):
            names[router.name] = router.name
    for number, router in enumerate(topology.routers, start=1):
        if router.name not in names:
            stem = router.name[: _BRIDGE_NAME_LENGTH - 4].rstrip("-")
            names[router.name] = f"{stem}_{number}"
    return names


def _usable(name: str, topology: Topology) -> bool:
    """Whether a router's bridge may have its name: no clash with interfaces, bridges and their ports."""
    stem, _, number = name.rpartition("-")
    is_port = number.isdigit() and any(router.name == stem for router in topology.routers)
    return name not in _TAKEN_NAMES and not _NODE_OR_POD_NAME.fullmatch(name) and not is_port


def _cable_ports(layout: Layout) -> dict[tuple[str, str], int]:
    ports: dict[tuple[str, str], int] = {}
    count: dict[str, int] = {}
    for cable in layout.cables:
        for router, other in (cable.ends, cable.ends[::-1]):
            if router in layout.neighbours:
                count[router] = count.get(router, 0) + 1
                ports[router, other] = count[router]
    return ports


def _public_addresses(topology: Topology) -> dict[str, tuple[IPAddress, ...]]:
    """NAT gateways count up from .1; internet routers without hosts count down from .254."""
    pool = ranges.public_pool(topology.external)
    nat = [r.name for r in topology.routers if r.kind is RouterKind.NAT]
    internet = [r.name for r in topology.routers if r.kind is RouterKind.INTERNET]
    numbers = {name: n for n, name in enumerate(nat, 1)} | {name: 254 - n for n, name in enumerate(internet)}
    if len(numbers) > 254:
        raise TopologyError(("spec", "routers"), f"{pool} has no addresses for {len(numbers)} gateways")
    found: dict[str, tuple[IPAddress, ...]] = {}
    for name, number in numbers.items():
        four = ranges.numbered(pool, number)
        six = documentation_ipv6(four)
        found[name] = tuple(four if version == 4 else six for version in topology.families)
    return found


def _refuse_overlaps(layout: Layout, public: Mapping[str, Sequence[IPAddress]]) -> None:
    topology = layout.topology
    nodes: Path = ("spec", "nodes")
    routers: Path = ("spec", "routers")
    pods: Path = ("spec", "podCIDRs")
    services: Path = ("spec", "serviceCIDRs")
    found = [
        *(Range("the node range", n, nodes) for s in layout.node_subnets for n in s.networks),
        *(Range("the routers' range", n, routers) for n in ranges.router_ranges(topology.families)),
        *(
            Range(f"the public address of {name}", ip_network(address), routers)
            for name, addresses in public.items()
            for address in addresses
        ),
        *(Range("the service range", n, (*services, i)) for i, n in enumerate(topology.service_cidrs)),
        *(Range("the pod range", n, (*pods, i)) for i, n in enumerate(topology.pod_cidrs)),
    ]
    seen: set[IPNetwork] = set()
    taken: dict[IPAddress, str] = {}
    for spec in topology.external:
        for index, address in enumerate(spec.addresses):
            path: Path = (*spec.path, "addresses", index)
            network = ranges.external_subnet(address)
            if address in taken:
                raise TopologyError(path, f"{address} is already the address of {taken[address]}")
            if address in (network.network_address, network.broadcast_address):
                raise TopologyError(path, f"{address} is no host's address in {network}")
            taken[address] = spec.name
            if network not in seen:
                seen.add(network)
                found.append(Range(f"the subnet of external host {spec.name}", network, path))
    ranges.refuse_overlaps(found)


# -- hosts -----------------------------------------------------------------------------------------


def _nodes(draft: _Draft, pod_cidrs: Sequence[tuple[IPNetwork, ...]]) -> Iterator[NodePlan]:
    count: dict[str, int] = {}
    for index, spec in enumerate(draft.layout.topology.nodes, start=1):
        subnet = draft.layout.subnet_of[spec.name]
        number = ranges.FIRST_NODE + count.setdefault(subnet.name, 0)
        count[subnet.name] += 1
        if number > 254:
            raise TopologyError(
                ("spec", "nodes", index - 1), f"subnet {subnet.name}, {subnet.networks[0]}, is exhausted"
            )
        yield _node(draft, spec, index, _host_addresses(subnet, number), pod_cidrs[index - 1])


def _host_addresses(subnet: Subnet, number: int) -> tuple[IPInterface, ...]:
    return tuple(ip_interface(f"{ranges.numbered(n, number)}/{n.prefixlen}") for n in subnet.networks)


def _node(
    draft: _Draft,
    spec: NodeSpec,
    index: int,
    addresses: tuple[IPInterface, ...],
    pod_cidrs: tuple[IPNetwork, ...],
) -> NodePlan:
    subnet = draft.layout.subnet_of[spec.name]
    gateways = tuple(cidr[1] for cidr in pod_cidrs)
    return NodePlan(
        name=spec.name,
        index=index,
        zone=spec.zone,
        role=spec.role,
        subnet=subnet.name,
        labels=dict(spec.labels or {}),
        bridge=f"n{index}",
        addresses=addresses,
        mac=_mac(0x01, index),
        pod_cidrs=pod_cidrs,
        pod_gateways=gateways,
        gateway_mac=pod_mac(_first_ipv4(gateways), index, 1),
        default_gateways=tuple(gateway.ip for gateway in subnet.gateways),
        default_gateway_mac=draft.router_mac(subnet.router),
        vtep_mac=_mac(0x04, index),
    )


def _first_ipv4(addresses: Sequence[IPAddress]) -> IPAddress:
    return next((address for address in addresses if address.version == 4), addresses[0])


def _external(draft: _Draft) -> Iterator[ExternalHost]:
    for number, spec in enumerate(draft.layout.topology.external, start=1):
        subnet = draft.layout.subnet_of[spec.name]
        yield ExternalHost(
            name=spec.name,
            addresses=tuple(
                ip_interface(f"{address}/{network.prefixlen}")
                for address, network in zip(spec.addresses, subnet.networks, strict=True)
            ),
            mac=_mac(0x20, number),
            gateways=tuple(gateway.ip for gateway in subnet.gateways),
            gateway_mac=draft.router_mac(subnet.router),
        )


# -- bridges ---------------------------------------------------------------------------------------


def _node_bridge(draft: _Draft, node: NodePlan) -> Bridge:
    router = draft.layout.home[node.name]
    gateways = tuple(ip_interface(gateway) for gateway in node.pod_gateways)
    ports = [
        Port(
            name=f"{node.bridge}-up",
            ofport=UPLINK_OFPORT,
            role=PortRole.UPLINK,
            mac=node.mac,
            peer=f"router/{router}",
            peer_mac=node.default_gateway_mac,
            peer_addresses=draft.layout.subnet_of[node.name].gateways,
        ),
        Port(
            name=f"{node.bridge}-host",
            ofport=HOST_OFPORT,
            role=PortRole.HOST,
            mac=node.gateway_mac,
            peer=f"node/{node.name}",
            peer_mac=node.mac,
            peer_addresses=(*node.addresses, *gateways),
        ),
    ]
    topology = draft.layout.topology
    if topology.mode is Mode.OVERLAY:
        ports.append(
            Port(
                name=f"{node.bridge}-tun",
                ofport=TUNNEL_OFPORT,
                role=PortRole.TUNNEL,
                mac=node.vtep_mac,
                peer=OVERLAY,
                peer_mac=node.vtep_mac,
                mtu=LINK_MTU - VXLAN_OVERHEAD[topology.families[0]],
            )
        )
    return Bridge(
        name=node.bridge,
        place=f"node/{node.name}",
        role=BridgeRole.NODE,
        datapath_id=node.index,
        zone=100 + 2 * node.index,
        ports=tuple(ports),
        addresses=node.pod_gateways,
    )


def _routers(
    draft: _Draft,
    nodes: Sequence[NodePlan],
    external: Sequence[ExternalHost],
    public: Mapping[str, tuple[IPAddress, ...]],
) -> Iterator[Bridge]:
    layout = draft.layout
    inside = (*(n for s in layout.node_subnets for n in s.networks), *layout.topology.pod_cidrs)
    for number, router in enumerate(layout.topology.routers):
        is_nat = router.kind is RouterKind.NAT
        yield Bridge(
            name=draft.bridge[router.name],
            place=f"router/{router.name}",
            role=BridgeRole(router.kind.value),
            datapath_id=FIRST_ROUTER_DATAPATH + number,
            zone=FIRST_ROUTER_ZONE + 2 * number,
            ports=tuple(_router_ports(draft, router.name, nodes, external)),
            routes=tuple(_routes(draft, router, nodes, public)),
            public_addresses=public[router.name] if is_nat else (),
            inside=inside if is_nat else (),
            addresses=_own_addresses(layout, router, number + 1, public),
        )


def _own_addresses(
    layout: Layout, router: RouterSpec, number: int, public: Mapping[str, tuple[IPAddress, ...]]
) -> tuple[IPAddress, ...]:
    for subnet in (*layout.node_subnets, *layout.external_subnets):
        if subnet.router == router.name and len(subnet.gateways) == len(layout.topology.families):
            return tuple(gateway.ip for gateway in subnet.gateways)
    if router.kind is RouterKind.INTERNET:
        return public[router.name]
    return tuple(ranges.router_address(number, version) for version in layout.topology.families)


def _router_ports(
    draft: _Draft, router: str, nodes: Sequence[NodePlan], external: Sequence[ExternalHost]
) -> Iterator[Port]:
    hosts: dict[str, NodePlan | ExternalHost] = {node.name: node for node in nodes}
    hosts.update({host.name: host for host in external})
    for (owner, peer), ofport in draft.ofport.items():
        if owner != router:
            continue
        host = hosts.get(peer)
        yield Port(
            name=f"{draft.bridge[router]}-{ofport}",
            ofport=ofport,
            role=PortRole.EXTERNAL if isinstance(host, ExternalHost) else PortRole.LINK,
            mac=draft.router_mac(router),
            peer=draft.place(peer),
            peer_mac=draft.router_mac(peer) if host is None else host.mac,
            peer_addresses=() if host is None else host.addresses,
            addresses=() if host is None else draft.layout.subnet_of[peer].gateways,
        )


# -- routes ----------------------------------------------------------------------------------------


def _routes(
    draft: _Draft,
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


def _next_hop(draft: _Draft, router: str, neighbour: str, mac: str | None = None) -> NextHop:
    if mac is None and neighbour not in draft.bridge:
        names = [spec.name for spec in draft.layout.topology.external]
        mac = _mac(0x20, 1 + names.index(neighbour))
    return NextHop(draft.ofport[router, neighbour], mac or draft.router_mac(neighbour))


def _destinations(
    draft: _Draft,
    router: RouterSpec,
    nodes: Sequence[NodePlan],
    public: Mapping[str, tuple[IPAddress, ...]],
) -> Iterator[tuple[IPNetwork, tuple[str, ...]]]:
    """Destinations that a router knows without being told, with the routers that lead there.

    The internet knows public addresses and its own hosts; inside ranges only by a route of the topology.
    """
    layout, kinds = draft.layout, draft.layout.kinds
    outside = router.kind is RouterKind.INTERNET
    for subnet in (*layout.node_subnets, *layout.external_subnets):
        public_subnet = kinds[subnet.router] is RouterKind.INTERNET
        if public_subnet == outside:
            yield from ((network, (subnet.router,)) for network in subnet.networks)
    if layout.topology.mode is Mode.ROUTED and not outside:
        for node in nodes:
            yield from ((cidr, (layout.home[node.name],)) for cidr in node.pod_cidrs)
    for name, addresses in public.items():
        if kinds[name] is RouterKind.NAT:
            yield from ((ip_network(address), (name,)) for address in addresses)
    if not outside:
        internet = tuple(name for name, kind in kinds.items() if kind is RouterKind.INTERNET)
        for version in layout.topology.families:
            yield ip_network("0.0.0.0/0" if version == 4 else "::/0"), internet


# -- cables ----------------------------------------------------------------------------------------


def _links(draft: _Draft, nodes: Sequence[NodePlan]) -> Iterator[Link]:
    plans = {node.name: node for node in nodes}
    for node in nodes:
        place = f"node/{node.name}"
        yield Link((LinkEnd(place, f"{node.bridge}-host", node.bridge), LinkEnd(place, "eth0")))
    for cable in draft.layout.cables:
        yield Link(
            ends=(_end(draft, cable, 0, plans), _end(draft, cable, 1, plans)),
            rate=cable.rate,
            delay=cable.delay,
            loss=cable.loss,
        )


def _end(draft: _Draft, cable: LinkSpec, side: int, plans: Mapping[str, NodePlan]) -> LinkEnd:
    name, other = cable.ends[side], cable.ends[1 - side]
    if name in draft.bridge:
        bridge = draft.bridge[name]
        return LinkEnd(f"router/{name}", f"{bridge}-{draft.ofport[name, other]}", bridge)
    if name in plans:
        return LinkEnd(f"node/{name}", f"{plans[name].bridge}-up", plans[name].bridge)
    return LinkEnd(f"ext/{name}", "eth0")

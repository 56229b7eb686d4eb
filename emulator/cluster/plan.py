"""From a topology to the wiring plan: names, OpenFlow ports, MAC addresses, zones, routes.

Every number follows from positions in the topology alone, so the same topology gives the
same plan in every process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface, ip_network

from emulator.api.objects import Path
from emulator.cluster import ranges
from emulator.cluster.balancer import checker_links, checker_ports, plan_balancer, pool_ranges
from emulator.cluster.bgp_plan import advertised_ranges, advertising, linux_routers
from emulator.cluster.layout import Layout, Subnet, lay_out
from emulator.cluster.numbering import (
    EXTERNAL_MAC,
    NODE_MAC,
    VTEP_MAC,
    Draft,
    bridge_names,
    cable_ports,
    mac_address,
    own_addresses,
    pod_mac,
    public_addresses,
)
from emulator.cluster.ranges import Range
from emulator.cluster.routes import routes_of
from emulator.cluster.specs import (
    LinkSpec,
    NodeSpec,
    RouterKind,
    Topology,
    TopologyError,
)
from emulator.cluster.wiring import (
    HOST_OFPORT,
    TUNNEL_OFPORT,
    UPLINK_OFPORT,
    Balancer,
    Bridge,
    BridgeRole,
    ExternalHost,
    IPAddress,
    IPInterface,
    IPNetwork,
    Link,
    LinkEnd,
    Mode,
    NodePlan,
    Port,
    PortRole,
    Wiring,
)

FIRST_ROUTER_DATAPATH = 1001
FIRST_ROUTER_ZONE = 40000
LINK_MTU = 1500
VXLAN_OVERHEAD = {4: 50, 6: 70}
OVERLAY = "overlay"
"""The peer of tunnel ports."""

MAX_NODES = FIRST_ROUTER_DATAPATH - 1


def wire(topology: Topology) -> Wiring:
    """The plan of `topology`. Raises TopologyError when ranges overlap or do not suffice."""
    if len(topology.nodes) > MAX_NODES:
        raise TopologyError(("spec", "nodes"), f"{len(topology.nodes)} nodes; {MAX_NODES} are possible")
    layout = lay_out(topology)
    pod_cidrs = ranges.node_pod_cidrs(topology)
    public = public_addresses(topology)
    _refuse_overlaps(layout, public)
    draft = Draft(layout, bridge_names(topology), cable_ports(layout))
    nodes = tuple(_nodes(draft, pod_cidrs))
    external = tuple(_external(draft))
    balancer = plan_balancer(draft)
    routers = tuple(_routers(draft, nodes, external, public, balancer))
    linux = tuple(linux_routers(draft, nodes, public))
    return Wiring(
        name=topology.name,
        mode=topology.mode,
        pod_cidrs=topology.pod_cidrs,
        service_cidrs=topology.service_cidrs,
        node_cidrs=tuple(network for subnet in layout.node_subnets for network in subnet.networks),
        bridges=(*(_node_bridge(draft, node) for node in nodes), *routers),
        nodes=nodes,
        external=external,
        keeps_pod_addresses=topology.routed_families if topology.mode is Mode.ROUTED else (),
        links=(*_links(draft, nodes), *checker_links(balancer)),
        balancer=balancer,
        routers=linux,
        advertising=advertising(topology),
        masquerade_all=topology.masquerade_all,
        pod_mtu=LINK_MTU - (VXLAN_OVERHEAD[topology.families[0]] if topology.mode is Mode.OVERLAY else 0),
    )


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
        *advertised_ranges(topology),
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
    found += pool_ranges(topology)
    ranges.refuse_overlaps(found)


# -- hosts -----------------------------------------------------------------------------------------


def _nodes(draft: Draft, pod_cidrs: Sequence[tuple[IPNetwork, ...]]) -> Iterator[NodePlan]:
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
    draft: Draft,
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
        mac=mac_address(NODE_MAC, index),
        pod_cidrs=pod_cidrs,
        pod_gateways=gateways,
        gateway_mac=pod_mac(_first_ipv4(gateways), index, 1),
        default_gateways=tuple(gateway.ip for gateway in subnet.gateways),
        default_gateway_mac=draft.router_mac(subnet.router),
        vtep_mac=mac_address(VTEP_MAC, index),
    )


def _first_ipv4(addresses: Sequence[IPAddress]) -> IPAddress:
    return next((address for address in addresses if address.version == 4), addresses[0])


def _external(draft: Draft) -> Iterator[ExternalHost]:
    for number, spec in enumerate(draft.layout.topology.external, start=1):
        subnet = draft.layout.subnet_of[spec.name]
        yield ExternalHost(
            name=spec.name,
            addresses=tuple(
                ip_interface(f"{address}/{network.prefixlen}")
                for address, network in zip(spec.addresses, subnet.networks, strict=True)
            ),
            mac=mac_address(EXTERNAL_MAC, number),
            gateways=tuple(gateway.ip for gateway in subnet.gateways),
            gateway_mac=draft.router_mac(subnet.router),
            names=spec.names,
        )


# -- bridges ---------------------------------------------------------------------------------------


def _node_bridge(draft: Draft, node: NodePlan) -> Bridge:
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
    draft: Draft,
    nodes: Sequence[NodePlan],
    external: Sequence[ExternalHost],
    public: Mapping[str, tuple[IPAddress, ...]],
    balancer: Balancer | None,
) -> Iterator[Bridge]:
    layout = draft.layout
    inside = (*(n for s in layout.node_subnets for n in s.networks), *layout.topology.pod_cidrs)
    for number, router in enumerate(layout.topology.routers):
        if router.kind is RouterKind.BGP:
            continue
        is_nat = router.kind is RouterKind.NAT
        own = balancer if router.kind is RouterKind.LB else None
        yield Bridge(
            name=draft.bridge[router.name],
            place=f"router/{router.name}",
            role=BridgeRole(router.kind.value),
            datapath_id=FIRST_ROUTER_DATAPATH + number,
            zone=FIRST_ROUTER_ZONE + 2 * number,
            ports=(*_router_ports(draft, router.name, nodes, external), *checker_ports(own)),
            routes=tuple(routes_of(draft, router, nodes, public)),
            public_addresses=own.addresses if own else public[router.name] if is_nat else (),
            inside=inside if is_nat else (),
            addresses=own_addresses(layout, router, public),
        )


def _router_ports(
    draft: Draft, router: str, nodes: Sequence[NodePlan], external: Sequence[ExternalHost]
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


# -- cables ----------------------------------------------------------------------------------------


def _links(draft: Draft, nodes: Sequence[NodePlan]) -> Iterator[Link]:
    plans = {node.name: node for node in nodes}
    for node in nodes:
        place = f"node/{node.name}"
        yield Link((LinkEnd(place, f"{node.bridge}-host", node.bridge), LinkEnd(place, "eth0")))
    for cable in draft.layout.cables:
        yield Link(
            ends=(_end(draft, cable, 0, plans), _end(draft, cable, 1, plans)),
            impairment=cable.impairment,
            seed=cable.seed,
        )


def _end(draft: Draft, cable: LinkSpec, side: int, plans: Mapping[str, NodePlan]) -> LinkEnd:
    name, other = cable.ends[side], cable.ends[1 - side]
    if draft.is_linux(name):
        return LinkEnd(f"router/{name}", draft.interface(name, other))
    if name in draft.bridge:
        bridge = draft.bridge[name]
        return LinkEnd(f"router/{name}", f"{bridge}-{draft.ofport[name, other]}", bridge)
    if name in plans:
        return LinkEnd(f"node/{name}", f"{plans[name].bridge}-up", plans[name].bridge)
    return LinkEnd(f"ext/{name}", "eth0")

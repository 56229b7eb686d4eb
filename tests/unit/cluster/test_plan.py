"""What a plan must always be, and what the shipped plans are."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cluster.ipam import FIRST_INDEX, capacity, index_of, last_index, next_index, pod_port
from emulator.cluster.plan import wire
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Bridge, BridgeRole, IPAddress, Mode, PortRole, Wiring

from .lab import wiring_of


@st.composite
def topologies(draw: st.DrawFn) -> dict[str, Any]:
    fabrics = draw(st.integers(1, 4))
    names = draw(
        st.lists(
            st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True).filter(
                lambda n: n not in {"client", "server", "nat", "internet"} and not n.startswith("node-")
            ),
            min_size=fabrics,
            max_size=fabrics,
            unique=True,
        )
    )
    nodes = [
        {
            "name": f"node-{i}",
            "subnet": names[draw(st.integers(0, fabrics - 1))] if draw(st.booleans()) else "",
        }
        for i in range(draw(st.integers(1, 12)))
    ]
    return {
        "metadata": {"name": "random"},
        "spec": {
            "mode": draw(st.sampled_from(["overlay", "routed"])),
            "families": draw(st.sampled_from([["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]])),
            "nodes": nodes,
            "routers": [{"name": name, "kind": "fabric"} for name in names],
            "links": [{"ends": [names[0], other]} for other in names[1:] if draw(st.booleans())],
        },
    }


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_nothing_is_given_out_twice(obj: dict[str, Any]) -> None:
    wiring = wire(parse_topology(obj))
    interfaces = [p.name for b in wiring.bridges for p in b.ports] + [b.name for b in wiring.bridges]
    interfaces += [pod_port(wiring, n.name, i).interface for n in wiring.nodes for i in (2, 3, 250)]
    assert len(set(interfaces)) == len(interfaces)
    assert all(len(name) <= 15 for name in interfaces)
    zones = [zone for b in wiring.bridges for zone in (b.zone, b.zone + 1)]
    assert len(set(zones)) == len(zones)
    assert 0 not in zones
    assert len({b.datapath_id for b in wiring.bridges}) == len(wiring.bridges)
    for bridge in wiring.bridges:
        ofports = [port.ofport for port in bridge.ports]
        assert len(set(ofports)) == len(ofports)
    macs = list(_macs(wiring))
    assert len(set(macs)) == len(macs)
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs), "locally administered, not multicast"
    addresses = list(_addresses(wiring))
    assert len(set(addresses)) == len(addresses)


def _macs(wiring: Wiring) -> Iterator[str]:
    for node in wiring.nodes:
        yield from (node.mac, node.gateway_mac, node.vtep_mac)
        yield from (pod_port(wiring, node.name, i).mac for i in (2, 3, 250))
    yield from (host.mac for host in wiring.external)
    yield from (b.ports[0].mac for b in wiring.bridges if b.role is not BridgeRole.NODE)


def _addresses(wiring: Wiring) -> Iterator[IPAddress]:
    for node in wiring.nodes:
        yield from (address.ip for address in node.addresses)
        yield from node.pod_gateways
        yield from (address.ip for i in (2, 3, 250) for address in pod_port(wiring, node.name, i).addresses)
    for host in wiring.external:
        yield from (address.ip for address in host.addresses)
    for bridge in wiring.bridges:
        yield from bridge.public_addresses
        if bridge.role is not BridgeRole.NODE:
            yield from bridge.addresses


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_every_inside_address_is_reached_from_every_node(obj: dict[str, Any]) -> None:
    wiring = wire(parse_topology(obj))
    for node in wiring.nodes:
        for other in wiring.nodes:
            for address in other.addresses:
                assert deliver(wiring, node.name, address.ip) == f"node/{other.name}"
            if wiring.mode is Mode.ROUTED and other is not node:
                for address in pod_port(wiring, other.name, 5).addresses:
                    assert deliver(wiring, node.name, address.ip) == f"node/{other.name}"
        for host in wiring.external:
            for address in host.addresses:
                assert deliver(wiring, node.name, address.ip) == f"ext/{host.name}"


def deliver(wiring: Wiring, node: str, target: IPAddress) -> str:
    """Follow the forwarding tables from a node's uplink to the host that a packet ends at."""
    place = next(b for b in wiring.bridges if b.place == f"node/{node}").ports[0].peer
    for _ in range(12):
        bridge = next(b for b in wiring.bridges if b.place == place)
        for port in bridge.ports:
            if any(peer.ip == target for peer in port.peer_addresses):
                return port.peer
        place = _next(bridge, target)
        if place.startswith(("node/", "ext/")):
            return place
    return "lost"


def _next(bridge: Bridge, target: IPAddress) -> str:
    matching = [
        r for r in bridge.routes if r.destination.version == target.version and target in r.destination
    ]
    route = max(matching, key=lambda r: r.destination.prefixlen)
    hop = route.next_hops[int(target) % len(route.next_hops)]
    port = next(p for p in bridge.ports if p.ofport == hop.ofport)
    assert port.peer_mac == hop.mac
    return port.peer


def test_the_default_topology_has_the_documented_addresses() -> None:
    wiring = wiring_of("three-node")
    node = wiring.node("worker-2")
    assert [str(a) for a in node.addresses] == ["192.168.50.12/24", "fd00:192:168:50::12/64"]
    assert [str(a) for a in node.pod_gateways] == ["10.244.2.1", "fd00:10:244:2::1"]
    assert [str(a) for a in node.default_gateways] == ["192.168.50.1", "fd00:192:168:50::1"]
    assert [b.name for b in wiring.bridges] == ["n1", "n2", "n3", "fabric", "nat", "internet"]
    assert [b.datapath_id for b in wiring.bridges] == [1, 2, 3, 1001, 1002, 1003]
    assert [b.zone for b in wiring.bridges] == [102, 104, 106, 40000, 40002, 40004]
    assert wiring.pod_mtu == 1450
    assert [str(a) for a in wiring.bridge("nat").public_addresses] == ["203.0.113.1", "2001:db8:203:0:113::1"]


def test_the_internet_knows_inside_ranges_only_when_told() -> None:
    told = {str(r.destination) for r in wiring_of("three-node").bridge("internet").routes}
    assert "192.168.50.0/24" in told
    vpc = {str(r.destination) for r in wiring_of("two-zone-vpc").bridge("igw").routes}
    assert {"192.168.50.0/24", "192.168.51.0/24"} <= vpc, "public subnets"
    assert not {"192.168.52.0/24", "192.168.53.0/24"} & vpc, "private subnets"
    assert not any(d.startswith("10.244.") for d in told | vpc)


def test_an_internet_that_is_left_out_knows_the_nodes() -> None:
    obj = {"metadata": {"name": "small"}, "spec": {"nodes": [{"name": "a"}, {"name": "b"}]}}
    internet = wire(parse_topology(obj)).bridge("internet")
    assert _next(internet, ip_address("192.168.50.12")) == "router/nat"
    assert not any(str(route.destination).startswith("10.244.") for route in internet.routes)


def test_private_subnets_leave_through_nat_and_meet_inside() -> None:
    wiring = wiring_of("two-zone-vpc")
    private = wiring.bridge("private-a")
    assert _next(private, ip_address("198.51.100.7")) == "router/nat"
    assert _next(private, ip_address("192.168.53.11")) == "router/vpc"
    assert _next(wiring.bridge("public-a"), ip_address("198.51.100.7")) == "router/igw"


def test_leaves_spread_over_both_spines() -> None:
    wiring = wiring_of("leaf-spine")
    leaf = wiring.bridge("leaf1")
    route = next(r for r in leaf.routes if str(r.destination) == "10.244.8.0/24")
    peers = [next(p.peer for p in leaf.ports if p.ofport == hop.ofport) for hop in route.next_hops]
    assert peers == ["router/spine1", "router/spine2"]
    own = next(r for r in leaf.routes if str(r.destination) == "10.244.1.0/24")
    assert [hop.mac for hop in own.next_hops] == [wiring.node("worker-1").mac]


def test_tunnels_exist_in_overlay_mode_only() -> None:
    def roles(name: str) -> set[PortRole]:
        return {p.role for b in wiring_of(name).bridges for p in b.ports}

    assert PortRole.TUNNEL in roles("three-node")
    assert PortRole.TUNNEL not in roles("three-node-routed")


def test_links_join_what_ports_say() -> None:
    wiring = wiring_of("two-zone-vpc")
    ports = {port.name: port for bridge in wiring.bridges for port in bridge.ports}
    ends = [end for link in wiring.links for end in link.ends]
    named = [end.interface for end in ends if end.bridge]
    assert sorted(named) == sorted(n for n, p in ports.items() if p.role is not PortRole.TUNNEL)
    for link in wiring.links:
        for end, other in (link.ends, link.ends[::-1]):
            if end.bridge and ports[end.interface].role is not PortRole.HOST:
                assert ports[end.interface].peer == other.place


# -- pod addresses


def test_a_pod_port_follows_from_node_and_index() -> None:
    port = pod_port(wiring_of(), "worker-1", 7)
    assert (port.interface, port.ofport, port.mac, port.mtu) == ("p1-7", 107, "0a:58:0a:f4:01:07", 1450)
    assert [str(a) for a in port.addresses] == ["10.244.1.7/24", "fd00:10:244:1::7/64"]


@given(st.integers(2, 254), st.sampled_from([1, 2, 3]))
def test_an_address_leads_back_to_its_index(index: int, number: int) -> None:
    wiring = wiring_of()
    node = wiring.nodes[number - 1]
    for address in pod_port(wiring, node.name, index).addresses:
        assert index_of(node, address.ip) == index


def test_a_freed_address_rests_until_all_others_had_their_turn() -> None:
    node = wiring_of().node("worker-1")
    assert (capacity(node), last_index(node)) == (253, 254)
    order: list[int] = []
    last = FIRST_INDEX - 1
    for _ in range(capacity(node)):
        index = next_index(node, set(order) - set(order[-1:]), last)
        order.append(index)
        last = index
    assert order == list(range(2, 255))
    with pytest.raises(ValueError, match="all 253 pod addresses of worker-1 are in use"):
        next_index(node, set(order), last)
    assert next_index(node, set(order) - {9}, last) == 9


@pytest.mark.parametrize("mode", ["overlay", "routed"])
def test_ipv6_only_pods_have_macs_of_their_own(mode: str) -> None:
    spec = {"mode": mode, "families": ["IPv6"], "nodes": [{"name": "a"}, {"name": "b"}]}
    wiring = wire(parse_topology({"metadata": {"name": "six"}, "spec": spec}))
    assert pod_port(wiring, "b", 300).mac == "0a:59:00:02:01:2c"

"""What lies behind ports and Linux routers, read from the plan of the network."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from emulator.cluster.model import ClusterState
from emulator.verdict.trace.atlas import Atlas, Entry, NoSuchSenderError, Nowhere, Stack, Tunnel
from emulator.verdict.trace.packet import Packet

from ..controllers.cluster import state, wiring


def packet(destination: str, eth: str = "00:00:00:00:00:00") -> Packet:
    return Packet("tcp", ip_address("10.244.1.2"), ip_address(destination), 40000, 80, eth_destination=eth)


def test_a_cable_between_node_and_router_has_two_ends() -> None:
    atlas = Atlas(state("three-node"))
    node = atlas.state.wiring.bridge("n1")
    up = atlas.beyond(node, 1, packet("10.0.0.1"))
    assert isinstance(up, Entry)
    assert up.bridge.place == "router/fabric"
    down = atlas.beyond(up.bridge, up.ofport, packet("10.0.0.1"))
    assert down == Entry(node, 1)


def test_a_tunnel_leads_to_the_vtep_that_the_frame_names() -> None:
    atlas = Atlas(state("three-node"))
    near, far = atlas.state.wiring.nodes[:2]
    bridge = atlas.state.wiring.bridge(near.bridge)
    assert atlas.beyond(bridge, 3, packet("10.244.2.2", far.vtep_mac)) == Tunnel(near, far)
    assert isinstance(atlas.beyond(bridge, 3, packet("10.244.2.2", "02:00:00:00:00:99")), Nowhere)


def test_pods_and_stacks() -> None:
    atlas = Atlas(state("three-node"))
    pod = next(one for one in atlas.state.pods if one.port is not None)
    assert pod.port is not None
    bridge = atlas.state.wiring.bridge(atlas.state.wiring.node(pod.node).bridge)
    there = atlas.beyond(bridge, pod.port.ofport, packet("10.244.1.2"))
    assert there == Stack(f"shop/{pod.ref.name}", pod.addresses)
    host = atlas.beyond(bridge, 2, packet("10.244.1.2"))
    assert isinstance(host, Stack)
    assert host.place == f"node/{pod.node}"
    assert isinstance(atlas.beyond(bridge, 999, packet("10.244.1.2")), Nowhere)


def test_a_node_speaks_to_pods_as_their_gateway() -> None:
    atlas = Atlas(state("three-node"))
    node = atlas.state.wiring.nodes[0]
    sender = atlas.sender(f"node/{node.name}")
    assert atlas.source_address(sender, ip_address("10.244.2.9")) == node.pod_gateways[0]
    assert atlas.source_address(sender, ip_address("198.51.100.7")) == node.addresses[0].ip


def test_routers_do_not_send() -> None:
    with pytest.raises(NoSuchSenderError, match="a trace cannot begin at router/fabric"):
        Atlas(state("three-node")).sender("router/fabric")


def test_a_linux_router_reaches_its_nodes_their_pods_and_what_it_has_routes_for() -> None:
    atlas = Atlas(ClusterState(wiring("on-prem-bgp")))
    router = atlas.state.wiring.routers[0]
    for node in atlas.state.wiring.nodes:
        for wanted in (node.addresses[0].ip, node.pod_cidrs[0][5]):
            routed = atlas.routed(router, packet(str(wanted)))
            assert routed is not None
            onward, sent = routed
            assert onward == Entry(atlas.state.wiring.bridge(node.bridge), 1)
            assert (sent.eth_destination, sent.ttl) == (node.mac, 63)
    outside = atlas.routed(router, packet("198.51.100.7"))
    assert outside is not None
    assert isinstance(outside[0], Entry)
    assert outside[0].bridge.place == "router/nat"


def test_a_node_is_not_its_own_neighbour() -> None:
    """Its NodePorts are reached by way of its gateway (own_ports), those of others straight."""
    atlas = Atlas(state("three-node"))
    one, two = atlas.state.wiring.nodes[:2]
    sender = atlas.sender(f"node/{one.name}")
    assert atlas.first_mac(sender, one.addresses[0].ip) == one.default_gateway_mac
    assert atlas.first_mac(sender, two.addresses[0].ip) == two.mac

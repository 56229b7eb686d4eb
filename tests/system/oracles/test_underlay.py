"""Oracles of the underlay, by their numbers: what crosses the fabric between nodes of an overlay."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import bare, node_address, pod_address, pod_mac
from tests.system.oracles.wire import ECHO_BYTES, HEADER_BYTES, ICMP, L3, TTL, recorded

pytestmark = pytest.mark.topologies("three-node")

VNI, VXLAN_PORT = 1, 4789
POD_MTU, LINK_MTU = 1450, 1500
UPLINKS = ("n1-up", "n3-up")

PORTS = pytest.mark.parametrize("port", ["8080/tcp", "8081/udp", "icmp"])


def inside_of(cluster: Cluster, family: int, source: str, target: str) -> dict[str, object]:
    """Header fields of a packet between two pods on its way through the tunnel."""
    name = L3[family]
    return {
        f"inner.{name}.src": bare(pod_address(cluster, source, family)),
        f"inner.{name}.dst": bare(pod_address(cluster, target, family)),
        # The node of the sender has taken one off, that of the receiver has not yet.
        f"inner.{TTL[family]}": 63,
    }


def outside_of(cluster: Cluster, source: str, target: str) -> dict[str, object]:
    """Header fields of a tunnelled packet between two nodes; tunnels are of the primary family."""
    return {
        "ip.src": bare(node_address(cluster, source, 4)),
        "ip.dst": bare(node_address(cluster, target, 4)),
        "udp.dport": VXLAN_PORT,
        "vxlan.flags": 8,
        "vxlan.vni": VNI,
    }


@PORTS
def test_4_packets_cross_the_fabric_in_vxlan_between_nodes(shop: Cluster, family: int, port: str) -> None:
    there = outside_of(shop, "worker-1", "worker-3") | inside_of(shop, family, "client", "far")
    back = outside_of(shop, "worker-3", "worker-1") | inside_of(shop, family, "far", "client")
    naked = {
        f"{L3[family]}.{end}": bare(pod_address(shop, pod, family))
        for end, pod in (("src", "client"), ("dst", "far"))
    }
    checks = [
        *({"at": place, "match": match} for place in UPLINKS for match in (there, back)),
        *({"at": place, "match": naked, "count": "0"} for place in UPLINKS),
        *({"at": "n2-up", "match": match, "count": "0"} for match in (there, back)),
    ]
    report = shop.probe("shop/client", "shop/far", port, family=family, checks=checks)
    assert report["outcome"] == "connected"
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_4_packets_on_one_node_do_not_cross_the_fabric(shop: Cluster, family: int) -> None:
    pods = inside_of(shop, family, "client", "neighbour")
    checks = [{"at": place, "match": pods, "count": "0"} for place in UPLINKS]
    report = shop.probe("shop/client", "shop/neighbour", "8080/tcp", family=family, checks=checks)
    assert report["outcome"] == "connected"
    assert all(check["ok"] for check in report["checks"]), report["checks"]


@pytest.mark.parametrize("port", ["8080/tcp", "8081/udp"])
def test_5_each_connection_has_its_outer_port(shop: Cluster, family: int, port: str) -> None:
    """So that routers between the nodes spread connections, and keep the packets of one in order."""
    number, protocol = port.split("/")
    with recorded(shop, ["n1-up"]) as tape:
        report = shop.probe("shop/client", "shop/far", port, family=family, count=30)
        assert report["outcomes"] == {"connected": 30}
        shop.probe("shop/client", "shop/far", "icmp", family=family)
        frames = tape.until(lambda headers: f"inner.{ICMP[family]}.type" in headers)
    # The switch takes an IPv6 packet's flow label, which each socket chooses, into account, too (RFC 6438).
    outer: dict[tuple[int, int], set[int]] = {}
    for headers in (frame["headers"] for frame in frames):
        if headers.get(f"inner.{protocol}.dport") == int(number):
            connection = (headers[f"inner.{protocol}.sport"], headers.get("inner.ipv6.fl", 0))
            outer.setdefault(connection, set()).add(headers["udp.sport"])
    # 30 random choices of 28,000 ports: three of them alike have a probability below 0.001, on either side.
    assert len(outer) >= 28
    assert all(len(ports) == 1 for ports in outer.values()), outer
    assert len(set().union(*outer.values())) >= len(outer) - 2


def test_6_what_fills_the_pods_mtu_fills_the_links(shop: Cluster, family: int) -> None:
    room = POD_MTU - HEADER_BYTES[family] - ECHO_BYTES
    outer = outside_of(shop, "worker-1", "worker-3") | inside_of(shop, family, "client", "far")
    # VXLAN adds an Ethernet, a VXLAN, a UDP and an IPv4 header: 50 bytes that an IPv6 packet needs, too.
    full = {**outer, "ip.len": LINK_MTU}
    for port in ("icmp", "8081/udp"):
        report = shop.probe(
            "shop/client",
            "shop/far",
            port,
            family=family,
            size=room,
            dont_fragment=True,
            checks=[{"at": place, "match": full} for place in UPLINKS],
        )
        assert report["outcome"] == "connected"
        assert all(check["ok"] for check in report["checks"]), report["checks"]


@pytest.mark.parametrize("port", ["icmp", "8081/udp"])
def test_6_one_byte_more_fails_at_the_pod(shop: Cluster, family: int, port: str) -> None:
    """The pod's own kernel knows the limit: the application is told, and nothing is sent."""
    room = POD_MTU - HEADER_BYTES[family] - ECHO_BYTES
    nothing = {"at": "shop/client", "match": {f"{L3[family]}.dst": bare(pod_address(shop, "far", family))}}
    report = shop.probe(
        "shop/client",
        "shop/far",
        port,
        family=family,
        size=room + 1,
        dont_fragment=True,
        checks=[{**nothing, "count": "0"}],
    )
    assert report["outcome"] == "error"
    assert report["errors"] == {"Message too long": 1}
    assert all(check["ok"] for check in report["checks"]), report["checks"]


@pytest.mark.parametrize("port", ["icmp", "8081/udp"])
def test_6_without_the_bit_it_is_fragmented(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("shop/client", "shop/far", port, family=family, size=4000)
    assert report["outcome"] == "connected"


def test_6_tcp_fills_the_mtu_by_itself(shop: Cluster, family: int) -> None:
    """Segments are as large as the pods' MTU lets them be, and never fragments."""
    length, headers = ("ip.len", 0) if family == 4 else ("ipv6.plen", 40)
    pods = inside_of(shop, family, "client", "far")
    full = {**outside_of(shop, "worker-1", "worker-3"), **pods, f"inner.{length}": POD_MTU - headers}
    larger = {f"inner.{length}": f">{POD_MTU - headers}"}
    text = "x" * 5000
    report = shop.probe(
        "shop/client",
        "shop/far",
        "8080/tcp",
        family=family,
        http=f"http://far/echo?msg={text}",
        checks=[
            *({"at": place, "match": full} for place in UPLINKS),
            *({"at": place, "match": larger, "count": "0"} for place in UPLINKS),
        ],
    )
    assert report["outcome"] == "connected"
    assert report["http"][0]["body"].strip() == text
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_7_a_pod_cannot_forge_the_tunnel(shop: Cluster) -> None:
    """VXLAN from a pod to a node would come out of that node's tunnel in any pod's name."""
    inner = {
        "packet": "udp",
        "source": {"ip": bare(pod_address(shop, "remote", 4)), "port": 40000},
        "destination": {
            "ip": bare(pod_address(shop, "far", 4)),
            "mac": pod_mac(shop, "far"),
            "port": 8081,
        },
        "payload": "echo hello",
    }
    forged = {"packet": "vxlan", "vni": VNI, "inner": inner}
    checks = [
        {"at": place, "match": {f"{prefix}udp.sport": 40000}, "count": "0"}
        for place in (*UPLINKS, "shop/far")
        for prefix in ("", "inner.")
    ]
    report = shop.probe(
        "shop/client", "node/worker-3", "4789/udp", family=4, packet=forged, timeout=0.2, checks=checks
    )
    assert report["outcome"] == "dropped"
    assert all(check["ok"] for check in report["checks"]), report["checks"]
    # The way from the pod to that node is open otherwise.
    control = shop.probe("shop/client", "node/worker-3", "4790/udp", family=4, packet={"packet": "udp"})
    assert control["outcome"] == "rejected"

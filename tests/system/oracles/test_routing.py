"""Oracles of routing, by their numbers: pods reach each other as they are, over an overlay and without."""

from __future__ import annotations

from itertools import permutations

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import (
    bare,
    cluster_ip,
    external_address,
    gateway_mac,
    node_address,
    pod_address,
    pod_gateway,
    pod_mac,
)
from tests.system.oracles.wire import (
    L3,
    TIME_EXCEEDED,
    beyond_the_link,
    quoted,
    refusal,
)

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

PORTS = pytest.mark.parametrize("port", ["8080/tcp", "8081/udp", "icmp"])
PACKETS = pytest.mark.parametrize("packet", ["tcp", "udp", "icmp-echo"])
PODS = ("shop/client", "shop/neighbour", "shop/remote", "shop/far")


def port_of(packet: str, *, service: bool = False) -> str:
    tcp, udp = ("80/tcp", "81/udp") if service else ("8080/tcp", "8081/udp")
    return {"tcp": tcp, "udp": udp, "icmp-echo": "icmp"}[packet]


def crafted(packet: str, **fields: object) -> dict[str, object]:
    """A packet that pods answer at once."""
    return {"packet": packet, **fields} | ({"payload": "echo hello"} if packet == "udp" else {})


def node_on_the_way(cluster: Cluster, node: str, family: int) -> str:
    """A node's address on the interface that packets of other nodes' pods come by."""
    is_routed = cluster.status()["topology"] == "three-node-routed"
    return bare((node_address if is_routed else pod_gateway)(cluster, node, family))


def nowhere_else(*matches: dict[str, object]) -> list[dict[str, object]]:
    """No other port of the client's bridge shows such packets."""
    elsewhere = ("shop/neighbour", "n1-up", "n1-host")
    return [{"at": place, "match": match, "count": "0"} for place in elsewhere for match in matches]


@PORTS
def test_1_pods_see_each_other_untranslated(shop: Cluster, family: int, port: str) -> None:
    for source, target in permutations(PODS, 2):
        report = shop.probe(source, target, port, family=family)
        assert report["outcome"] == "connected", report
        assert report["endpoints"] == {target: 1}
        (seen,), (answer,) = report["seen"], report["answers"]
        ends = (
            bare(pod_address(shop, source.removeprefix("shop/"), family)),
            bare(pod_address(shop, target.removeprefix("shop/"), family)),
        )
        assert (seen["source"], seen["destination"]) == ends
        assert (answer["destination"], answer["source"]) == ends
        # The kernel chose the port at the source; the answer came back to that one.
        assert seen.get("sourcePort") == answer.get("destinationPort")


@PORTS
@pytest.mark.parametrize(
    ("target", "ttl"),
    [pytest.param("neighbour", 63, id="2-same-node"), pytest.param("far", 62, id="3-other-node")],
)
def test_2_3_every_node_on_the_way_takes_one_off_the_ttl(
    shop: Cluster, family: int, port: str, target: str, ttl: int
) -> None:
    report = shop.probe("shop/client", f"shop/{target}", port, family=family)
    assert {seen["ttl"] for seen in report["seen"]} == {ttl}
    assert {answer["ttl"] for answer in report["answers"]} == {ttl}


@PACKETS
@pytest.mark.parametrize("target", ["neighbour", "far"])
def test_10_the_gateway_tells_that_time_is_exceeded(
    shop: Cluster, family: int, packet: str, target: str
) -> None:
    port = port_of(packet)
    short = crafted(packet, ttl=1)
    report = shop.probe("shop/client", f"shop/{target}", port, family=family, packet=short)
    assert report["outcome"] == "rejected"
    assert refusal(report) == TIME_EXCEEDED[family]
    assert report["rejections"][0]["from"] == bare(pod_gateway(shop, "worker-1", family))
    (sent,), (answer,) = report["crafted"]["sent"], report["crafted"]["answers"]
    assert quoted(answer["headers"]) == beyond_the_link(sent)
    assert not report["crafted"]["arrived"]
    long = crafted(packet, ttl=64)
    control = shop.probe("shop/client", f"shop/{target}", port, family=family, packet=long)
    assert control["outcome"] == "connected"


@PACKETS
def test_10_every_node_on_the_way_answers_a_traceroute(shop: Cluster, family: int, packet: str) -> None:
    protocol = packet.removesuffix("-echo")
    ladder = {"packet": "traceroute", "protocol": protocol, "last": 3}
    # A UDP ladder ends at ports that nobody listens on.
    port = "8080/tcp" if packet == "tcp" else "icmp"
    report = shop.probe("shop/client", "shop/far", port, family=family, packet=ladder)
    hops = report["crafted"]["hops"]
    third = bare(pod_address(shop, "far", family))
    first = bare(pod_gateway(shop, "worker-1", family))
    assert [hop["from"] for hop in hops] == [first, node_on_the_way(shop, "worker-3", family), third]
    assert [hop["name"] for hop in hops[:2]] == ["time-exceeded"] * 2
    for hop in hops[:2]:
        assert hop["quotes"]["destination"] == third
        assert hop["quotes"]["ttl"] == 1


@pytest.mark.parametrize("packet", ["tcp", "udp"])
def test_11_what_is_quoted_went_to_the_cluster_ip(shop: Cluster, family: int, packet: str) -> None:
    """A router's error from behind the translation is translated as a whole, its source too, as in Linux."""
    port, address = port_of(packet, service=True), bare(cluster_ip(shop, "far", family))
    for ttl, sender in ((1, bare(pod_gateway(shop, "worker-1", family))), (2, address)):
        short = crafted(packet, ttl=ttl)
        report = shop.probe("shop/client", f"svc/shop/far-v{family}", port, packet=short)
        assert refusal(report) == TIME_EXCEEDED[family]
        (rejection,) = report["rejections"]
        assert rejection["from"] == sender
        assert rejection["quotes"]["destination"] == address
        assert rejection["quotes"]["destinationPort"] == int(port.split("/")[0])
        source, quote = bare(pod_address(shop, "client", family)), rejection["quotes"]["source"]
        if (ttl, family, packet) == (2, 6, "tcp"):
            # Open vSwitch's userspace conntrack updates the checksum of an ICMPv6 error about a TCP
            # connection as if the error were TCP: that overwrites two bytes of the address quoted.
            source, quote = source.partition(":")[2], quote.partition(":")[2]
        assert quote == source
        if ttl == 1:
            (sent,), (answer,) = report["crafted"]["sent"], report["crafted"]["answers"]
            assert quoted(answer["headers"]) == beyond_the_link(sent)
    control = shop.probe("shop/client", f"svc/shop/far-v{family}", port, packet=crafted(packet))
    assert control["outcome"] == "connected"


def test_10_the_end_of_a_pods_ttl_is_not_told_to_the_internet(shop: Cluster, family: int) -> None:
    """An error about a pod's packet goes to that pod and nowhere else."""
    server = external_address("server", family)
    report = shop.probe(
        "shop/client",
        "ext/server",
        "80/tcp",
        family=family,
        packet={"packet": "tcp", "ttl": 1},
        checks=[
            {"at": "n1-up", "match": {f"{L3[family]}.dst": server, "tcp.flags": "S"}, "count": "0"},
            {"at": "n1-up", "match": {f"quoted.{L3[family]}.dst": server}, "count": "0"},
        ],
    )
    assert refusal(report) == TIME_EXCEEDED[family]
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_8_the_gateway_answers_arp_and_nobody_else_hears_it(shop: Cluster) -> None:
    gateway = bare(pod_gateway(shop, "worker-1", 4))
    client = bare(pod_address(shop, "client", 4))
    checks = nowhere_else({"arp.psrc": client}, {"arp.pdst": client})
    report = shop.probe("shop/client", gateway, packet={"packet": "arp-request"}, checks=checks)
    (answer,) = (one["headers"] for one in report["crafted"]["answers"])
    own, known = pod_mac(shop, "client"), gateway_mac(shop, "client", 4)
    assert own != known
    assert (answer["eth.dst"], answer["eth.src"]) == (own, known)
    assert (answer["arp.op"], answer["arp.hwsrc"], answer["arp.psrc"]) == (2, known, gateway)
    assert (answer["arp.hwdst"], answer["arp.pdst"]) == (own, client)
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_8_arp_for_a_neighbour_is_answered_by_the_gateway_too(shop: Cluster) -> None:
    """All packets of a pod are routed, so its neighbour never hears the question."""
    neighbour = bare(pod_address(shop, "neighbour", 4))
    client = bare(pod_address(shop, "client", 4))
    checks = nowhere_else({"arp.psrc": client}, {"arp.pdst": client})
    report = shop.probe("shop/client", neighbour, packet={"packet": "arp-request"}, checks=checks)
    (answer,) = (one["headers"] for one in report["crafted"]["answers"])
    assert answer["arp.hwsrc"] == gateway_mac(shop, "client", 4)
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_9_the_gateway_advertises_itself(shop: Cluster) -> None:
    gateway = bare(pod_gateway(shop, "worker-1", 6))
    client = bare(pod_address(shop, "client", 6))
    checks = nowhere_else({"icmpv6.type": 135, "ipv6.src": client}, {"icmpv6.type": 136, "ipv6.dst": client})
    report = shop.probe("shop/client", gateway, packet={"packet": "neighbor-solicitation"}, checks=checks)
    (answer,) = (one["headers"] for one in report["crafted"]["answers"])
    known = gateway_mac(shop, "client", 6)
    assert (answer["eth.dst"], answer["eth.src"]) == (pod_mac(shop, "client"), known)
    assert (answer["ipv6.src"], answer["ipv6.hlim"]) == (gateway, 255)
    assert answer["ipv6.dst"] == client
    assert (answer["nd.target"], answer["nd.tll"]) == (gateway, known)
    assert {"S", "O"} <= set(answer["nd.flags"])
    assert all(check["ok"] for check in report["checks"]), report["checks"]

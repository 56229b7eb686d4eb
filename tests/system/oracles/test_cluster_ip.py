"""Oracles of cluster IPs, by their numbers: who answers, and which addresses either end sees."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.chance import assert_even
from tests.system.oracles.addresses import bare, cluster_ip, masquerade, pod_address, pod_gateway

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

BOTH = pytest.mark.parametrize("port", ["80/tcp", "81/udp"])


@BOTH
def test_12_the_endpoint_sees_the_client_and_its_own_port(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("shop/client", f"svc/shop/web-v{family}", port, count=20)
    client = pod_address(shop, "client", family)
    assert report["outcome"] == "connected"
    assert {seen["source"] for seen in report["seen"]} == {bare(client)}
    assert {seen["destinationPort"] for seen in report["seen"]} == {8080 if port == "80/tcp" else 8081}
    assert {seen["at"] for seen in report["seen"]} == {"shop/web-1", "shop/web-2", "shop/web-3"}
    for seen in report["seen"]:
        place = seen["at"].removeprefix("shop/")
        assert seen["destination"] == bare(pod_address(shop, place, family))


@BOTH
def test_13_answers_come_from_the_cluster_ip(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("shop/client", f"svc/shop/web-v{family}", port, count=20)
    assert {(a["source"], a["sourcePort"]) for a in report["answers"]} == {
        (bare(cluster_ip(shop, "web", family)), int(port.split("/")[0]))
    }


def test_14_a_connection_stays_with_its_endpoint(shop: Cluster, family: int) -> None:
    places = ["shop/web-1", "shop/web-2", "shop/web-3"]
    report = shop.probe(
        "shop/client",
        f"svc/shop/web-v{family}",
        "80/tcp",
        http="http://web/hostname",
        captures=[{"at": place} for place in places],
    )
    assert report["outcome"] == "connected"
    (seen,) = report["seen"]
    own = {"tcp.sport": seen["sourcePort"], "tcp.dport": seen["destinationPort"]}
    frames = [frame for frame in report["captured"] if own.items() <= frame["headers"].items()]
    assert len(frames) >= 3, "two packets of the handshake and the request; the goodbye may come later"
    assert len({frame["at"] for frame in frames}) == 1
    (answered,) = report["endpoints"]
    assert {frame["at"] for frame in frames} == {answered}


@BOTH
def test_15_connections_spread_evenly(shop: Cluster, family: int, port: str) -> None:
    def counted() -> dict[str, int]:
        report = shop.probe("shop/client", f"svc/shop/web-v{family}", port, count=300)
        assert report["outcomes"] == {"connected": 300}
        endpoints: dict[str, int] = report["endpoints"]
        assert sum(endpoints.values()) == 300
        assert len(endpoints) == 3
        return endpoints

    assert_even(counted)


@BOTH
def test_16_hairpin_shows_the_node_not_the_pod_itself(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("shop/solo", f"svc/shop/solo-v{family}", port)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {"shop/solo": 1}
    arrived = [s for s in report["seen"] if s["destination"] == bare(pod_address(shop, "solo", family))]
    assert {seen["source"] for seen in arrived} == {bare(pod_gateway(shop, "worker-1", family))}
    assert {a["source"] for a in report["answers"]} == {bare(cluster_ip(shop, "solo", family))}


@BOTH
def test_17_a_node_is_masqueraded(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("node/worker-2", f"svc/shop/far-v{family}", port)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [masquerade(shop, "worker-2", "far", family)]


@BOTH
def test_20_21_no_endpoints_refuse_at_once(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("shop/client", f"svc/shop/nobody-v{family}", port, count=5, timeout=60)
    # With a deadline of a minute, five refusals that fit in the test's time came at once.
    assert report["outcomes"] == {"rejected": 5}
    (refusal,) = report["rejections"]
    wanted = ("icmp", 3, 3) if family == 4 else ("icmpv6", 1, 4)
    assert (refusal["kind"], refusal["type"], refusal["code"]) == wanted
    assert refusal["quotes"]["destination"] == bare(cluster_ip(shop, "nobody", family))
    control = shop.probe("shop/client", f"svc/shop/web-v{family}", port)
    assert control["outcome"] == "connected"


def test_26_a_cluster_ip_does_not_answer_pings(shop: Cluster, family: int) -> None:
    address = cluster_ip(shop, "web", family)
    assert shop.probe("shop/client", address, "icmp")["outcome"] == "dropped"
    control = shop.probe("shop/client", "shop/web-1", "icmp", family=family)
    assert control["outcome"] == "connected"


def test_27_a_dead_endpoint_is_not_retried(shop: Cluster, family: int) -> None:
    report = shop.probe("shop/client", f"svc/shop/half-v{family}", "80/tcp", count=60)
    assert report["outcome"] == "mixed"
    assert set(report["outcomes"]) == {"connected", "rejected"}
    assert report["outcomes"]["connected"] == report["endpoints"]["shop/half-live"]
    # Binomial(60, 1/2): fewer than 15 of either has a probability below 0.001.
    assert min(report["outcomes"].values()) >= 15


def test_28_the_error_of_a_remote_endpoint_comes_from_the_cluster_ip(shop: Cluster, family: int) -> None:
    report = shop.probe("shop/client", f"svc/shop/dead-v{family}", "81/udp")
    address = bare(cluster_ip(shop, "dead", family))
    assert report["outcome"] == "rejected"
    (refusal,) = report["rejections"]
    assert refusal["from"] == address
    assert refusal["name"] == "port-unreachable"
    assert (refusal["quotes"]["destination"], refusal["quotes"]["destinationPort"]) == (address, 81)

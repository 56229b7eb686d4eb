"""Oracles of NodePorts, by their numbers: reached from outside, under both traffic policies."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import (
    bare,
    external_address,
    masquerade,
    node_address,
    node_port,
    pod_address,
)

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

A_WHILE = 0.3
"""Seconds that a packet has to arrive at a pod that does not answer."""
BOTH = pytest.mark.parametrize("protocol", ["TCP", "UDP"])


def knock(cluster: Cluster, source: str, node: str, name: str, family: int, protocol: str, **options: object):  # type: ignore[no-untyped-def]
    """Probe a NodePort of a service from `source` at `node`."""
    port = node_port(cluster, name, family, protocol)
    options.setdefault("family", family)
    return cluster.probe(source, f"node/{node}", f"{port}/{protocol.lower()}", **options)  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize("node", ["worker-1", "worker-2", "worker-3"])
def test_31_32_every_node_answers_and_masquerades(
    shop: Cluster, family: int, protocol: str, node: str
) -> None:
    report = knock(shop, "ext/client", node, "far", family, protocol)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {"shop/far": 1}
    assert report["sourceSeen"] == [masquerade(shop, node, "far", family)]
    assert {seen["destinationPort"] for seen in report["seen"]} == {8080 if protocol == "TCP" else 8081}


@BOTH
def test_33_a_local_endpoint_is_masqueraded_too(shop: Cluster, family: int, protocol: str) -> None:
    report = knock(shop, "ext/client", "worker-1", "near", family, protocol)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [masquerade(shop, "worker-1", "solo", family)]


@BOTH
def test_34_a_pod_is_masqueraded_at_its_nodes_port(shop: Cluster, family: int, protocol: str) -> None:
    report = knock(shop, "shop/client", "worker-1", "far", family, protocol)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [masquerade(shop, "worker-1", "far", family)]


@BOTH
def test_35_local_keeps_the_clients_address(shop: Cluster, family: int, protocol: str) -> None:
    report = knock(shop, "ext/client", "worker-1", "local", family, protocol)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [external_address("client", family)]


@BOTH
def test_36_local_drops_where_no_endpoint_is(shop: Cluster, family: int, protocol: str) -> None:
    refused = knock(shop, "ext/client", "worker-2", "local", family, protocol)
    assert refused["outcome"] == "dropped"
    assert not refused.get("rejections")
    control = knock(shop, "ext/client", "worker-1", "local", family, protocol)
    assert control["outcome"] == "connected"


@BOTH
def test_37_local_without_any_endpoint_refuses(shop: Cluster, family: int, protocol: str) -> None:
    report = knock(shop, "ext/client", "worker-1", "local-nobody", family, protocol, timeout=3)
    assert report["outcome"] == "rejected"
    assert {refusal["name"] for refusal in report["rejections"]} == {"port-unreachable"}


@BOTH
@pytest.mark.parametrize("name", ["far", "local"])
def test_40_72_answers_come_from_the_node_port(shop: Cluster, family: int, protocol: str, name: str) -> None:
    report = knock(shop, "ext/client", "worker-1", name, family, protocol, count=5)
    assert report["outcome"] == "connected"
    assert {(answer["source"], answer["sourcePort"]) for answer in report["answers"]} == {
        (
            bare(node_address(shop, "worker-1", family)),
            node_port(shop, name, family, protocol),
        )
    }


@BOTH
def test_cluster_ip_of_a_local_service_serves_everywhere(shop: Cluster, family: int, protocol: str) -> None:
    """externalTrafficPolicy says nothing about cluster IPs."""
    port = "80/tcp" if protocol == "TCP" else "81/udp"
    report = shop.probe("shop/remote", f"svc/shop/local-v{family}", port)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [bare(pod_address(shop, "remote", family))]


def test_29_30_a_first_packet_sent_again_takes_the_same_way(shop: Cluster, family: int) -> None:
    """The endpoint stays silent, so each SYN is new to connection tracking; both must look alike."""
    gateway = masquerade(shop, "worker-2", "far", family)
    silence = ["ip", f"-{family}", "route", "add", "blackhole", gateway]
    subprocess_in_pod(shop, "shop/far", silence)
    try:
        syn = {"packet": "tcp", "flags": "S", "source": {"port": 41000 + family}}
        # One after the other: of packets that come at once, all may be looked up before the first is known.
        reports = [
            knock(shop, "ext/client", "worker-2", "far", family, "TCP", packet=syn, timeout=A_WHILE)
            for _ in range(2)
        ]
        arrivals = [seen for report in reports for seen in report["seen"] if seen["at"] == "shop/far"]
        assert sum(seen["count"] for seen in arrivals) == 2
        assert {seen["source"] for seen in arrivals} == {gateway}
        assert len({seen["sourcePort"] for seen in arrivals}) == 1
        assert {seen["destination"] for seen in arrivals} == {bare(pod_address(shop, "far", family))}
    finally:
        subprocess_in_pod(shop, "shop/far", [*silence[:3], "del", *silence[4:]])


def subprocess_in_pod(cluster: Cluster, pod: str, command: list[str]) -> None:
    done = cluster.exec(pod, command)
    assert done.exit_code == 0, done.stderr


@BOTH
@pytest.mark.parametrize("name", ["far", "near", "local"])
@pytest.mark.parametrize("node", ["worker-1", "worker-2"])
def test_a_node_reaches_its_own_node_ports(
    shop: Cluster, family: int, protocol: str, name: str, node: str
) -> None:
    """As kube-proxy's OUTPUT chain does: every endpoint may serve, and the node is masqueraded."""
    report = knock(shop, f"node/{node}", node, name, family, protocol)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [masquerade(shop, node, "far" if name == "far" else "solo", family)]


@BOTH
def test_a_node_is_a_stranger_at_another_nodes_local_port(shop: Cluster, family: int, protocol: str) -> None:
    assert knock(shop, "node/worker-1", "worker-2", "local", family, protocol)["outcome"] == "dropped"
    assert knock(shop, "node/worker-2", "worker-1", "local", family, protocol)["outcome"] == "connected"

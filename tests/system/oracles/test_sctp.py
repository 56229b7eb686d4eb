"""SCTP through services, as packets: a kernel with SCTP sockets is not needed.

Carries the e2e tests about SCTP services ("should allow creating a basic SCTP service with pod and
endpoints", "Granular Checks: Services ... sctp") as far as packets go.
"""

from __future__ import annotations

from typing import Any

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import (
    bare,
    cluster_ip,
    external_address,
    masquerade,
    node_address,
    pod_address,
)
from tests.system.oracles.objects import Object, namespace, pod, service

INIT: Object = {"packet": "sctp", "source": {"port": 41000}}
A_WHILE = 0.5
"""Seconds: the endpoint's kernel refuses the protocol at once, or says nothing."""

SAME, OTHER = 5060, 7777
"""A port that is its own target port, and one with target port 9999."""
TARGET = {SAME: SAME, OTHER: 9999}
NODE_PORT = {4: 30160, 6: 30161}


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    pods = [
        pod("client", "worker-1"),
        pod("remote", "worker-2"),
        pod("solo", "worker-1"),
        pod("far", "worker-3"),
    ]
    applied = cluster.apply(
        [namespace("shop"), *pods, *(obj for family in (4, 6) for obj in services(family))]
    )
    assert applied.ready.ready, applied.ready.missing
    return cluster


def services(family: int) -> list[Object]:
    ports = [{"name": f"p{port}", "port": port, "targetPort": TARGET[port]} for port in TARGET]
    for port in ports:
        port["protocol"] = "SCTP"
    with_node_port = [{**ports[1], "nodePort": NODE_PORT[family]}]
    return [
        service("signals", "far", family=family, ports=ports),
        service("hairpin", "solo", family=family, ports=ports[1:]),
        service("outside", "far", family=family, ports=with_node_port, type="NodePort"),
        service("nobody", "nobody", family=family, ports=ports),
    ]


def send(cluster: Cluster, source: str, target: str, port: int, **options: Any) -> Any:
    options.setdefault("packet", INIT)
    return cluster.probe(source, target, f"{port}/sctp", timeout=A_WHILE, **options)


@pytest.mark.parametrize("port", [SAME, OTHER])
def test_12_an_init_reaches_the_endpoint_at_its_target_port(shop: Cluster, family: int, port: int) -> None:
    report = send(
        shop, "shop/client", f"svc/shop/signals-v{family}", port, packet={"packet": "sctp"}, count=3
    )
    (seen,) = report["seen"]
    assert (seen["at"], seen["count"], seen["destinationPort"]) == ("shop/far", 3, TARGET[port])
    assert seen["source"] == bare(pod_address(shop, "client", family))


@pytest.mark.parametrize("port", [SAME, OTHER])
def test_13_its_answer_comes_from_the_cluster_ip_and_port(shop: Cluster, family: int, port: int) -> None:
    asked = send(shop, "shop/remote", f"svc/shop/signals-v{family}", port)
    assert [seen["at"] for seen in asked["seen"]] == ["shop/far"]
    ends = {"source": {"port": TARGET[port]}, "destination": {"port": 41000}}
    answer = {"packet": "sctp", "chunk": "init-ack", **ends}
    report = send(shop, "shop/far", "shop/remote", 41000, packet=answer, family=family)
    (seen,) = report["seen"]
    assert (seen["at"], seen["source"]) == ("shop/remote", bare(cluster_ip(shop, "signals", family)))
    assert (seen["sourcePort"], seen["destinationPort"]) == (port, 41000)


def test_16_hairpin(shop: Cluster, family: int) -> None:
    report = send(shop, "shop/solo", f"svc/shop/hairpin-v{family}", OTHER)
    (seen,) = report["seen"]
    assert (seen["at"], seen["destinationPort"]) == ("shop/solo", TARGET[OTHER])
    assert seen["source"] == masquerade(shop, "worker-1", "solo", family)


def test_31_32_40_a_node_port_and_its_answer(shop: Cluster, family: int) -> None:
    number = NODE_PORT[family]
    asked = send(shop, "ext/client", "node/worker-2", number, family=family)
    (seen,) = asked["seen"]
    node = masquerade(shop, "worker-2", "far", family)
    assert (seen["at"], seen["source"], seen["destinationPort"]) == ("shop/far", node, TARGET[OTHER])
    ends = {"source": {"port": TARGET[OTHER]}, "destination": {"port": 41000}}
    answer = {"packet": "sctp", "chunk": "init-ack", **ends}
    captured = [{"at": "ext/client"}]
    report = send(shop, "shop/far", node, 41000, packet=answer, captures=captured)
    headers = [frame["headers"] for frame in report["captured"] if frame["headers"].get("sctp.chunk") == 2]
    (found,) = headers
    layer = "ip" if family == 4 else "ipv6"
    assert found[f"{layer}.src"] == bare(node_address(shop, "worker-2", family))
    assert found[f"{layer}.dst"] == external_address("client", family)
    assert (found["sctp.sport"], found["sctp.dport"]) == (number, 41000)


def test_20_21_nobody_is_a_refusal(shop: Cluster, family: int) -> None:
    report = send(shop, "shop/client", f"svc/shop/nobody-v{family}", SAME)
    assert report["outcome"] == "rejected"
    (refusal,) = report["rejections"]
    assert (refusal["name"], refusal["quotes"]["protocol"]) == ("port-unreachable", "sctp")


def test_a_repeated_init_takes_the_same_way(shop: Cluster, family: int) -> None:
    for _ in range(3):
        report = send(shop, "node/worker-1", f"svc/shop/signals-v{family}", OTHER)
        (seen,) = report["seen"]
        assert (seen["source"], seen["destinationPort"]) == (
            masquerade(shop, "worker-1", "far", family),
            TARGET[OTHER],
        )


def test_no_socket_speaks_it_and_a_probe_says_so(shop: Cluster) -> None:
    with pytest.raises(Exception, match="SCTP is carried, but no socket speaks it here"):
        shop.probe("shop/client", "svc/shop/hairpin-v4")

"""Oracles of addresses that face outwards, by their numbers: externalIPs and a load balancer's.

The balancer is played by the fabric, which routes its addresses to one node or another, and by whoever
writes `status.loadBalancer`: a class that nothing here serves keeps others from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean, inside
from tests.system.oracles.addresses import (
    bare,
    external_address,
    masquerade,
    node_address,
    node_port,
    pod_address,
)
from tests.system.oracles.objects import Object, namespace, pod, service

TOPOLOGY = Path(__file__).with_name("routed-vips.yaml")
BOTH = pytest.mark.parametrize("port", ["80/tcp", "81/udp"])


def vip(number: int, family: int, node: int = 1) -> str:
    """A service address that the fabric takes to a node."""
    if family == 4:
        return f"192.0.2.{number + (0 if node == 1 else 128)}"
    return bare(f"2001:db8:192:{node}::{number:x}")


CLUSTER, LOCAL, NOBODY, GUARDED, GUARDED_STRICTLY, EXTERNAL, SHARED, STICKY = range(10, 18)
"""Numbers of the services' addresses."""

A_WHILE = 0.3
"""Seconds of silence that are enough where silence is expected, and something else is heard beside it."""


def balanced(name: str, app: str, family: int, policy: str = "Cluster", **spec: Any) -> Object:
    outside = {"loadBalancerClass": "example.com/fabric", "externalTrafficPolicy": policy}
    return service(name, app, family=family, type="LoadBalancer", **outside, **spec)


def services(family: int) -> Iterator[tuple[Object, int]]:
    """Services with the numbers of their addresses. `far` lives on worker-3, `solo` on worker-1."""
    clients = external_address("client", family)
    width = ip_address(clients).max_prefixlen
    nodes = "192.168.50.0/24" if family == 4 else "fd00:192:168:50::/64"
    yield balanced("cluster", "far", family), CLUSTER
    yield balanced("local", "solo", family, "Local"), LOCAL
    yield balanced("nobody", "nobody", family, "Local"), NOBODY
    ranges = [f"{clients}/{width}", nodes]
    yield balanced("guarded", "far", family, loadBalancerSourceRanges=ranges), GUARDED
    yield balanced("strict", "far", family, loadBalancerSourceRanges=ranges[:1]), GUARDED_STRICTLY
    yield balanced("sticky", "web", family, sessionAffinity="ClientIP"), STICKY


@pytest.fixture(scope="module")
def shop() -> Iterator[Cluster]:
    running = Cluster.up(TOPOLOGY, name=f"outward-{os.getpid()}")
    try:
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        pods = [
            pod("client", "worker-1"),
            pod("remote", "worker-2"),
            pod("solo", "worker-1"),
            pod("far", "worker-3"),
            *(pod(f"web-{number}", f"worker-{number}", app="web") for number in (1, 2, 3)),
        ]
        with_addresses = [found for family in (4, 6) for found in services(family)]
        external = [
            service(
                "external",
                "far",
                family=family,
                externalIPs=[vip(EXTERNAL, family), vip(EXTERNAL, family, 2), vip(SHARED, family)],
            )
            for family in (4, 6)
        ]
        applied = running.apply([namespace("shop"), *pods, *external, *(obj for obj, _ in with_addresses)])
        assert applied.ready.ready, applied.ready.missing
        for obj, number in with_addresses:
            name = obj["metadata"]["name"]
            give(running, name, *(vip(number, int(name[-1]), node) for node in (1, 2)))
        assert running.wait_ready().ready
        yield running
        assert_clean(running)
    finally:
        running.down()


def give(cluster: Cluster, name: str, *addresses: str, mode: str = "VIP") -> None:
    """What a load balancer's controller does when it has an address."""
    ingress = [{"ip": address, "ipMode": mode} for address in addresses]
    status = {"status": {"loadBalancer": {"ingress": ingress}}}
    cluster.patch("Service", name, "shop", status, subresource="status")


# -- externalTrafficPolicy -------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("node", [1, 2])
@pytest.mark.parametrize("number", [CLUSTER, EXTERNAL], ids=["balanced", "external"])
def test_31_32_40_cluster_serves_from_every_node_and_masquerades(
    shop: Cluster, family: int, port: str, node: int, number: int
) -> None:
    address = vip(number, family, node)
    report = shop.probe("ext/client", address, port, count=3)
    assert report["outcomes"] == {"connected": 3}
    assert report["endpoints"] == {"shop/far": 3}
    assert report["sourceSeen"] == [masquerade(shop, f"worker-{node}", "far", family)]
    asked = (address, int(port.split("/")[0]))
    assert {(answer["source"], answer["sourcePort"]) for answer in report["answers"]} == {asked}


@BOTH
def test_35_36_local_keeps_the_clients_address_or_is_silent(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("ext/client", vip(LOCAL, family, 1), port)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [external_address("client", family)]
    silent = shop.probe("ext/client", vip(LOCAL, family, 2), port, timeout=A_WHILE)
    assert silent["outcome"] == "dropped"
    assert not silent.get("rejections")


@BOTH
def test_37_nobody_anywhere_is_a_refusal(shop: Cluster, family: int, port: str) -> None:
    report = shop.probe("ext/client", vip(NOBODY, family), port, timeout=20)
    assert report["outcome"] == "rejected"
    assert {refusal["name"] for refusal in report["rejections"]} == {"port-unreachable"}


@BOTH
@pytest.mark.parametrize("number", [CLUSTER, EXTERNAL], ids=["balanced", "external"])
def test_34_a_pod_is_masqueraded_under_cluster(shop: Cluster, family: int, port: str, number: int) -> None:
    """It does not leave for the balancer: its own node serves it, wherever the fabric would take it."""
    report = shop.probe("shop/remote", vip(number, family, 1), port)
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [masquerade(shop, "worker-2", "far", family)]


@BOTH
@pytest.mark.parametrize("source", ["client", "remote"])
def test_38_a_pod_goes_anywhere_under_local(shop: Cluster, family: int, port: str, source: str) -> None:
    report = shop.probe(f"shop/{source}", vip(LOCAL, family, 2), port)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {"shop/solo": 1}
    assert report["sourceSeen"] == [bare(pod_address(shop, source, family))]


@BOTH
@pytest.mark.parametrize("node", ["worker-1", "worker-2"])
def test_39_a_node_goes_anywhere_masqueraded(shop: Cluster, family: int, port: str, node: str) -> None:
    report = shop.probe(f"node/{node}", vip(LOCAL, family, 1), port)
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {"shop/solo": 1}
    assert report["sourceSeen"] == [masquerade(shop, node, "solo", family)]


# -- loadBalancerSourceRanges ----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("source", ["ext/server", "shop/client", "shop/remote"])
def test_43_sources_outside_the_ranges_meet_silence(
    shop: Cluster, family: int, port: str, source: str
) -> None:
    refused = shop.probe(source, vip(GUARDED, family), port, timeout=A_WHILE)
    assert refused["outcome"] == "dropped"
    assert not refused.get("rejections")
    allowed = shop.probe("ext/client", vip(GUARDED, family), port)
    assert allowed["outcome"] == "connected"
    if not source.startswith("ext/"):
        assert shop.probe(source, f"svc/shop/guarded-v{family}", port)["outcome"] == "connected"


@BOTH
def test_44_node_ports_are_not_guarded(shop: Cluster, family: int, port: str) -> None:
    protocol = port.split("/")[1]
    number = node_port(shop, "guarded", family, protocol.upper())
    report = shop.probe("ext/server", "node/worker-1", f"{number}/{protocol}", family=family)
    assert report["outcome"] == "connected"


@pytest.mark.parametrize("name", ["guarded", "strict"])
def test_45_the_balancers_own_address_passes_where_the_node_may(
    shop: Cluster, family: int, name: str
) -> None:
    """A node that has the address on an interface speaks to it from that address."""
    address = vip(GUARDED if name == "guarded" else GUARDED_STRICTLY, family)
    packet = {"packet": "tcp", "source": {"ip": address, "port": 41000 + family}}
    report = shop.probe("node/worker-2", address, "80/tcp", packet=packet, timeout=A_WHILE)
    arrived = [seen for seen in report["seen"] if seen["at"] == "shop/far"]
    assert len(arrived) == (1 if name == "guarded" else 0)
    if name == "guarded":
        assert shop.probe("node/worker-2", address, "80/tcp")["outcome"] == "connected"
    else:
        dropped = shop.probe("node/worker-2", address, "80/tcp", timeout=A_WHILE)
        assert dropped["outcome"] == "dropped"


# -- ipMode ----------------------------------------------------------------------------------------


def test_46_with_ip_mode_proxy_all_traffic_goes_to_the_balancer(shop: Cluster, family: int) -> None:
    """`ext/server` plays a proxying balancer: with VIP nobody reaches it, with Proxy everybody."""
    balancer = external_address("server", family)
    name = f"cluster-v{family}"
    before = [vip(CLUSTER, family, node) for node in (1, 2)]
    try:
        for mode, answering in (("VIP", "shop/far"), ("Proxy", "ext/server")):
            give(shop, name, balancer, mode=mode)
            assert shop.wait_ready().ready
            for source in ("shop/client", "node/worker-2"):
                report = shop.probe(
                    source, balancer, "80/tcp", captures=[{"at": "ext/server"}, {"at": "shop/far"}]
                )
                assert report["outcome"] == "connected"
                assert {frame["at"] for frame in report["captured"]} == {answering}
    finally:
        give(shop, name, *before)
        assert shop.wait_ready().ready


# -- several frontends -----------------------------------------------------------------------------


@BOTH
def test_64_outward_addresses_share_a_clients_memory(shop: Cluster, family: int, port: str) -> None:
    kept: set[str] = set()
    protocol = port.split("/")[1]
    number = node_port(shop, "sticky", family, protocol.upper())
    for target, asked in (
        (vip(STICKY, family, 1), port),
        (vip(STICKY, family, 2), port),
        (f"svc/shop/sticky-v{family}", port),
        ("node/worker-1", f"{number}/{protocol}"),
    ):
        report = shop.probe("shop/client", target, asked, family=family, count=10)
        assert report["outcomes"] == {"connected": 10}
        kept |= set(report["endpoints"])
    assert len(kept) == 1


def test_an_address_that_two_services_ask_for_belongs_to_the_first(shop: Cluster, family: int) -> None:
    """The second one keeps the ports that the first has not got."""
    ports = [{"name": name, "port": port, "targetPort": 8080} for name, port in (("a", 80), ("b", 8000))]
    second = service(
        "second", "solo", family=family, ports=ports, externalIPs=[vip(SHARED, family), vip(LOCAL, family)]
    )
    applied = shop.apply([second])
    assert applied.ready.ready, applied.ready.missing
    try:
        first = shop.probe("shop/client", vip(SHARED, family), "80/tcp")
        assert (first["outcome"], set(first["endpoints"])) == ("connected", {"shop/far"})
        own = shop.probe("shop/client", vip(SHARED, family), "8000/tcp")
        assert (own["outcome"], set(own["endpoints"])) == ("connected", {"shop/solo"})
    finally:
        shop.delete([second])


def test_an_external_ip_may_be_a_nodes_own_address(shop: Cluster, family: int) -> None:
    address = bare(node_address(shop, "worker-2", family))
    ports = [{"name": "a", "port": 8888, "targetPort": 8080}]
    own = service("own", "far", family=family, ports=ports, externalIPs=[address])
    assert shop.probe("ext/client", address, "8888/tcp")["outcome"] == "rejected"
    assert shop.apply([own]).ready.ready
    try:
        for source in ("ext/client", "shop/client", "shop/remote", "node/worker-1"):
            report = shop.probe(source, address, "8888/tcp")
            assert (report["outcome"], set(report["endpoints"])) == ("connected", {"shop/far"}), source
        itself = shop.probe("node/worker-2", address, "8888/tcp")
        assert itself["outcome"] == "rejected", "such packets stay in the node's stack"
    finally:
        shop.delete([own])

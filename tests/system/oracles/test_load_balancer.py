"""The cloud's load balancer with real packets: both modes, both policies, both families, TCP and UDP.

After upstream's e2e (network/loadbalancer.go): "should only target nodes with endpoints", "should work from
pods", "should handle updates to ExternalTrafficPolicy field", "should be able to change the type and ports of
a TCP / UDP service", "should only allow access from service loadbalancer source ranges".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import count
from typing import Any

import pytest

from emulator import Cluster
from tests.system.chance import assert_even
from tests.system.oracles.addresses import (
    bare,
    external_address,
    masquerade,
    node_address,
    of_family,
    pod_gateway,
)
from tests.system.oracles.objects import HTTP, UDP, Object, namespace, pod

pytestmark = pytest.mark.topologies("two-zone-vpc")

NODES = ("edge-a", "edge-b", "worker-1", "worker-2", "worker-3", "worker-4")
HOMES = {"shop/web-1": "worker-1", "shop/web-2": "worker-2"}
MODE = "mininetes.io/load-balancer-mode"

BOTH = pytest.mark.parametrize("protocol", ["TCP", "UDP"])
MODES = pytest.mark.parametrize("mode", ["vip", "proxy"])
KINDS = ((4, "TCP"), (6, "UDP"), (4, "UDP"), (6, "TCP"))
"""Families and protocols, for tests that put something into the cluster once for all of them."""

FRESH_PORTS = count(20000)


def balanced(name: str, mode: str, policy: str = "Cluster", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "annotations": {MODE: mode}},
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "RequireDualStack",
            "externalTrafficPolicy": policy,
            "selector": {"app": "web"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": HTTP},
                {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": UDP},
            ],
            **spec,
        },
    }


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    """`web` lives on worker-1 and worker-2, `client` on worker-3."""
    objects = [
        namespace("shop"),
        pod("client", "worker-3"),
        *(pod(place.removeprefix("shop/"), node, app="web") for place, node in HOMES.items()),
        *(balanced(f"any-{mode}", mode) for mode in ("vip", "proxy")),
        *(balanced(f"local-{mode}", mode, "Local") for mode in ("vip", "proxy")),
    ]
    applied = cluster.apply(objects)
    assert applied.ready.ready, applied.ready.missing
    return cluster


def address(cluster: Cluster, name: str, family: int) -> str:
    found: Object = cluster.get("Service", name, "shop")
    return bare(of_family([entry["ip"] for entry in found["status"]["loadBalancer"]["ingress"]], family))


def knock(cluster: Cluster, source: str, name: str, family: int, protocol: str, **options: Any) -> Any:
    port = "80/tcp" if protocol == "TCP" else "81/udp"
    if protocol == "UDP" and "count" not in options:
        # A datagram from a port that was used before may belong to a "connection" that is still known.
        options["source_port"] = next(FRESH_PORTS)
    return cluster.probe(source, address(cluster, name, family), port, **options)


def own_address(family: int) -> str:
    """The load balancer's, as nodes see it."""
    return bare("172.31.255.9" if family == 4 else "fd00:172:31:255::9")


def healthy(cluster: Cluster, name: str) -> set[str]:
    status = cluster.get("Topology", "two-zone-vpc")["status"]
    nodes = status["loadBalancer"]["targets"][f"shop/{name}"]
    return {node for node, verdict in nodes.items() if verdict["healthy"]}


def settled(cluster: Cluster) -> None:
    ready = cluster.wait_ready()
    assert ready.ready, ready.missing


@BOTH
@MODES
def test_under_cluster_every_node_may_take_it_and_hides_the_client(
    shop: Cluster, family: int, mode: str, protocol: str
) -> None:
    report = knock(shop, "ext/client", f"any-{mode}", family, protocol, count=60)
    assert report["outcomes"] == {"connected": 60}
    assert set(report["endpoints"]) == set(HOMES)
    homes = [place.removeprefix("shop/") for place in HOMES]
    nodes = {masquerade(shop, node, home, family) for node in shop.status()["nodes"] for home in homes}
    assert set(report["sourceSeen"]) <= nodes
    assert len(report["sourceSeen"]) > len(HOMES)
    port = 80 if protocol == "TCP" else 81
    asked = (address(shop, f"any-{mode}", family), port)
    assert {(answer["source"], answer["sourcePort"]) for answer in report["answers"]} == {asked}


@BOTH
@MODES
def test_under_local_only_nodes_with_endpoints_are_used(
    shop: Cluster, family: int, mode: str, protocol: str
) -> None:
    """A node without one would have dropped its share of the connections in silence."""
    assert healthy(shop, f"local-{mode}") == set(HOMES.values())
    report = knock(shop, "ext/client", f"local-{mode}", family, protocol, count=60)
    assert report["outcomes"] == {"connected": 60}
    assert set(report["endpoints"]) == set(HOMES)
    keeps = {"vip": external_address("client", family), "proxy": own_address(family)}
    assert report["sourceSeen"] == [keeps[mode]]


@MODES
def test_connections_spread_evenly_over_nodes(shop: Cluster, family: int, mode: str) -> None:
    """Under Cluster the endpoint sees which node took the connection."""

    def by_node() -> Counter[str]:
        report = knock(shop, "ext/client", f"any-{mode}", family, "TCP", count=400)
        taken = Counter(dict.fromkeys((bare(pod_gateway(shop, node, family)) for node in NODES), 0))
        for seen in report["seen"]:
            taken[seen["source"]] += seen["count"]
        assert taken.total() == 400
        return taken

    assert_even(by_node)


@BOTH
@MODES
@pytest.mark.parametrize("policy", ["any", "local"])
@pytest.mark.parametrize("source", ["shop/client", "shop/web-1", "node/worker-1", "node/worker-4"])
def test_pods_and_nodes_reach_it(
    shop: Cluster, family: int, mode: str, protocol: str, policy: str, source: str
) -> None:
    """As it is told for vip, the own node serves it; for proxy the balancer does."""
    report = knock(shop, source, f"{policy}-{mode}", family, protocol, count=8)
    assert report["outcomes"] == {"connected": 8}
    assert set(report["endpoints"]) <= set(HOMES)
    if mode == "proxy" and policy == "local":
        assert report["sourceSeen"] == [own_address(family)]
    if mode == "vip" and policy == "local" and source == "shop/client":
        own = shop.get("Pod", "client", "shop")["status"]["podIPs"]
        assert report["sourceSeen"] == [bare(of_family([entry["ip"] for entry in own], family))]


@pytest.mark.parametrize(("mode", "family"), [("vip", 4), ("proxy", 6)])
def test_what_no_service_asked_for_vanishes(shop: Cluster, mode: str, family: int) -> None:
    name = f"any-{mode}"
    assert shop.probe("ext/client", address(shop, name, family), "82/tcp")["outcome"] == "dropped"
    assert shop.probe("ext/client", address(shop, name, family), "icmp")["outcome"] == "dropped"
    assert knock(shop, "ext/client", name, family, "TCP")["outcome"] == "connected"


@contextmanager
def temporary(cluster: Cluster, *objects: Object) -> Iterator[None]:
    applied = cluster.apply(list(objects))
    assert applied.ready.ready, applied.ready.missing
    try:
        yield
    finally:
        cluster.delete(list(objects))


@MODES
def test_a_changed_policy_is_followed(shop: Cluster, mode: str) -> None:
    def change(policy: str) -> None:
        shop.patch("Service", "moody", "shop", {"spec": {"externalTrafficPolicy": policy}})
        settled(shop)

    def seen(family: int) -> set[str]:
        report = knock(shop, "ext/client", "moody", family, "TCP", count=20)
        assert report["outcomes"] == {"connected": 20}
        return set(report["sourceSeen"])

    kept = {
        family: {"vip": external_address("client", family), "proxy": own_address(family)}[mode]
        for family in (4, 6)
    }
    with temporary(shop, balanced("moody", mode)):
        assert not any(address in seen(family) for family, address in kept.items())
        assert "healthCheckNodePort" not in shop.get("Service", "moody", "shop")["spec"]
        change("Local")
        assert all(seen(family) == {address} for family, address in kept.items())
        assert shop.get("Service", "moody", "shop")["spec"]["healthCheckNodePort"]
        change("Cluster")
        assert not any(address in seen(family) for family, address in kept.items())


@MODES
def test_the_address_comes_and_goes_with_the_type(shop: Cluster, mode: str) -> None:
    plain = balanced("typed", mode, "Cluster", type="ClusterIP")
    del plain["spec"]["externalTrafficPolicy"]
    with temporary(shop, plain):
        assert shop.get("Service", "typed", "shop")["status"]["loadBalancer"] == {}
        shop.patch("Service", "typed", "shop", {"spec": {"type": "LoadBalancer"}})
        settled(shop)
        given = {family: address(shop, "typed", family) for family in (4, 6)}
        for family, protocol in KINDS:
            assert knock(shop, "ext/client", "typed", family, protocol)["outcome"] == "connected"
        shop.patch("Service", "typed", "shop", {"spec": {"type": "ClusterIP"}})
        settled(shop)
        assert shop.get("Service", "typed", "shop")["status"]["loadBalancer"] == {}
        family, port = {"vip": (4, "80/tcp"), "proxy": (6, "81/udp")}[mode]
        assert shop.probe("ext/client", given[family], port)["outcome"] == "dropped"
        inner = shop.probe("shop/client", "svc/shop/typed", port, family=family)
        assert inner["outcome"] == "connected"


@MODES
def test_affinity_reaches_through_the_balancer(shop: Cluster, mode: str) -> None:
    """ "should have session affinity work", "should be able to switch session affinity"."""
    with temporary(shop, balanced("sticky", mode, sessionAffinity="ClientIP")):
        for family, protocol in KINDS:
            reports = [knock(shop, "ext/client", "sticky", family, protocol) for _ in range(12)]
            assert {report["outcome"] for report in reports} == {"connected"}
            assert len({answered for report in reports for answered in report["endpoints"]}) == 1
            assert len({source for report in reports for source in report["sourceSeen"]}) == 1
        shop.patch("Service", "sticky", "shop", {"spec": {"sessionAffinity": "None"}})
        settled(shop)
        spread = knock(shop, "ext/client", "sticky", 4, "TCP", count=30)
        assert set(spread["endpoints"]) == set(HOMES)


@MODES
def test_source_ranges_are_kept_to(shop: Cluster, mode: str) -> None:
    """Behind a proxy no node could tell who asks: clouds filter at the balancer."""
    ranges = [f"{external_address('client', 4)}/32", f"{external_address('client', 6)}/128"]
    with temporary(shop, balanced("guarded", mode, loadBalancerSourceRanges=ranges)):
        for family, protocol in KINDS:
            assert knock(shop, "ext/client", "guarded", family, protocol)["outcome"] == "connected"
        family, protocol = {"vip": (6, "UDP"), "proxy": (4, "TCP")}[mode]
        refused = knock(shop, "ext/server", "guarded", family, protocol)
        assert refused["outcome"] == "dropped"
        assert not refused.get("rejections")
        assert knock(shop, "ext/server", f"any-{mode}", family, protocol)["outcome"] == "connected"


@MODES
def test_a_service_without_endpoints_is_refused_out_loud(shop: Cluster, mode: str) -> None:
    """Under Cluster the nodes are well, and say that nobody serves; the word comes back to the client."""
    with temporary(shop, balanced("empty", mode, selector={"app": "nobody"})):
        for family, protocol in KINDS:
            report = knock(shop, "ext/client", "empty", family, protocol, timeout=3)
            assert report["outcome"] == "rejected"
            assert {refusal["name"] for refusal in report["rejections"]} == {"port-unreachable"}


def test_a_node_that_is_excluded_takes_no_part(shop: Cluster) -> None:
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    shop.patch("Node", "worker-1", None, {"metadata": {"labels": {label: ""}}})
    try:
        settled(shop)
        for family in (4, 6):
            report = knock(shop, "ext/client", "local-vip", family, "TCP", count=20)
            assert report["endpoints"] == {"shop/web-2": 20}
    finally:
        shop.patch("Node", "worker-1", None, {"metadata": {"labels": {label: None}}})
        settled(shop)
    assert set(knock(shop, "ext/client", "local-vip", 4, "TCP", count=20)["endpoints"]) == set(HOMES)


def test_without_node_ports_packets_can_still_be_passed_on(shop: Cluster) -> None:
    free = {"allocateLoadBalancerNodePorts": False}
    """ "should be able to create LoadBalancer Service without NodePort and change it"."""
    with temporary(shop, balanced("bare", "vip", **free), balanced("bare-proxy", "proxy", **free)):
        assert not any("nodePort" in port for port in shop.get("Service", "bare", "shop")["spec"]["ports"])
        for family, protocol in KINDS:
            assert knock(shop, "ext/client", "bare", family, protocol)["outcome"] == "connected"
        assert shop.get("Service", "bare-proxy", "shop")["status"]["loadBalancer"] == {}
        for name in ("bare", "bare-proxy"):
            shop.patch("Service", name, "shop", {"spec": {"allocateLoadBalancerNodePorts": True}})
        settled(shop)
        for name in ("bare", "bare-proxy"):
            assert all(port["nodePort"] for port in shop.get("Service", name, "shop")["spec"]["ports"])
            assert knock(shop, "ext/client", name, 4, "TCP", count=8)["outcomes"] == {"connected": 8}


def test_nodes_see_the_checks_come_from_the_balancer(shop: Cluster) -> None:
    """Real requests: a capture at the node has them, from the balancer's own address."""
    port = shop.get("Service", "local-vip", "shop")["spec"]["healthCheckNodePort"]
    stream = shop.capture(["node/worker-4"])
    assert next(stream)["armed"]
    node = ip_address(node_address(shop, "worker-4", 4))
    for record in stream:
        headers = record["headers"]
        if headers.get("tcp.dport") == port and ip_address(headers["ip.dst"]) == node:
            assert headers["ip.src"] == own_address(4)
            break
    stream.close()  # type: ignore[attr-defined]


@MODES
@pytest.mark.parametrize("family", [4, 6])
def test_a_trace_goes_where_the_packet_goes_through_the_load_balancer(
    shop: Cluster, mode: str, family: int
) -> None:
    """One that proxies draws a source port, by which the node chooses: it is known when it has come."""
    target = address(shop, f"any-{mode}", family)
    for source, port in (("ext/client", "80/tcp"), ("ext/client", "81/udp"), ("shop/client", "80/tcp")):
        traced = shop.trace(source, target, port, family=family, live=True)
        live = traced["live"]
        assert (traced["outcome"], live["outcome"]) == ("connected", "connected"), traced
        assert live["agrees"], traced
        assert [traced["endpoint"]] == live["endpoints"]
        assert {traced["sourceSeen"]} == {seen["source"] for seen in live["seen"]}
        assert f"Service/shop/any-{mode}" in {hop["owner"] for hop in traced["hops"]}
        assert not any("--live" in note for note in traced["notes"])
    guessed = shop.trace("ext/client", target, "80/tcp", family=family)
    assert any("chooses among 2" in note for note in guessed["notes"]) == (mode == "proxy"), guessed["notes"]

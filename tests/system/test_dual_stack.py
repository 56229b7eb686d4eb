"""Dual-stack Services on real packets: [sig-network] [Feature:IPv6DualStack] of Kubernetes' e2e tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean
from tests.system.oracles.addresses import (
    bare,
    external_address,
    node_address,
    of_family,
    pod_address,
    pod_gateway,
)
from tests.system.oracles.objects import HTTP, UDP, Object, namespace, pod

PORTS = [
    {"name": "http", "port": 80, "targetPort": HTTP},
    {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": UDP},
]
BOTH = pytest.mark.parametrize("port", ["80/tcp", "81/udp"])


def service(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": PORTS, **spec},
    }


def objects() -> list[Object]:
    return [
        namespace("shop"),
        pod("web-1", "worker-1", app="web"),
        pod("web-2", "worker-2", app="web"),
        service("four"),
        service("six", ipFamilies=["IPv6"]),
        service("four-six", type="NodePort", ipFamilyPolicy="RequireDualStack"),
        service("six-four", ipFamilyPolicy="RequireDualStack", ipFamilies=["IPv6", "IPv4"]),
        service("local", type="NodePort", ipFamilyPolicy="PreferDualStack", externalTrafficPolicy="Local"),
        service("nobody", ipFamilyPolicy="PreferDualStack", selector={"app": "nobody"}),
        service("headless", clusterIP="None", ipFamilyPolicy="PreferDualStack"),
        service("both", ipFamilyPolicy="PreferDualStack"),
    ]


@pytest.fixture(scope="module")
def shop() -> Iterator[Cluster]:
    cluster = Cluster.up("three-node", name=f"dual-stack-{os.getpid()}")
    try:
        cluster.apply(objects())
        # Created last, so that its environment knows the Services.
        applied = cluster.apply([pod("client", "worker-1")])
        assert applied.ready.ready, applied.ready.missing
        yield cluster
        assert_clean(cluster)
    finally:
        cluster.down()


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def spec(cluster: Cluster, name: str) -> Object:
    found: Object = cluster.get("Service", name, "shop")["spec"]
    return found


def slices(cluster: Cluster, name: str) -> dict[str, list[Object]]:
    """Address type → the slices of a Service."""
    found: dict[str, list[Object]] = {}
    for one in cluster.get("EndpointSlice", namespace="shop"):
        if one["metadata"]["labels"]["kubernetes.io/service-name"] == name:
            found.setdefault(one["addressType"], []).append(one)
    return found


def test_nodes_and_pods_have_an_address_of_each_family(shop: Cluster) -> None:
    """should have ipv4 and ipv6 internal node ip; should create pod, add ipv6 and ipv4 ip to pod ips"""
    for node in shop.get("Node"):
        internal = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
        assert [ip_address(a).version for a in internal] == [4, 6]
    for one in shop.get("Pod", namespace="shop"):
        assert [ip_address(a["ip"]).version for a in one["status"]["podIPs"]] == [4, 6]
        assert one["status"]["podIP"] == one["status"]["podIPs"][0]["ip"]


@pytest.mark.parametrize(
    ("name", "families"),
    [("four", [4]), ("six", [6]), ("four-six", [4, 6]), ("six-four", [6, 4])],
)
@BOTH
def test_services_answer_in_their_families(shop: Cluster, name: str, families: list[int], port: str) -> None:
    """should create service with ipv4 cluster ip; ipv6 cluster ip; ipv4,v6 cluster ip; ipv6,v4 cluster ip"""
    found = spec(shop, name)
    assert [ip_address(address).version for address in found["clusterIPs"]] == families
    assert found["ipFamilies"] == [f"IPv{version}" for version in families]
    assert found["clusterIP"] == found["clusterIPs"][0]
    for address in found["clusterIPs"]:
        version = ip_address(address).version
        report = shop.probe("shop/client", address, port, count=40)
        assert report["outcomes"] == {"connected": 40}
        assert set(report["endpoints"]) == {"shop/web-1", "shop/web-2"}
        assert report["sourceSeen"] == [bare(pod_address(shop, "client", version))]
        assert {answer["source"] for answer in report["answers"]} == {bare(address)}


def test_each_family_has_slices_of_its_own(shop: Cluster) -> None:
    both = slices(shop, "four-six")
    assert set(both) == {"IPv4", "IPv6"}
    for version in (4, 6):
        (one,) = both[f"IPv{version}"]
        addresses = {bare(address) for e in one["endpoints"] for address in e["addresses"]}
        assert addresses == {bare(pod_address(shop, name, version)) for name in ("web-1", "web-2")}
        assert {port["port"] for port in one["ports"]} == {HTTP, UDP}
    assert set(slices(shop, "six")) == {"IPv6"}


def test_endpoints_show_the_primary_family_alone(shop: Cluster) -> None:
    for name, version in (("four-six", 4), ("six-four", 6)):
        (subset,) = shop.get("Endpoints", name, "shop")["subsets"]
        assert {ip_address(entry["ip"]).version for entry in subset["addresses"]} == {version}


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_one_node_port_answers_in_both_families(shop: Cluster, family: int, protocol: str) -> None:
    number = next(p["nodePort"] for p in spec(shop, "four-six")["ports"] if p["protocol"] == protocol)
    for node in ("worker-1", "worker-3"):
        where = f"{number}/{protocol.lower()}"
        report = shop.probe("ext/client", f"node/{node}", where, family=family, count=8)
        assert report["outcomes"] == {"connected": 8}
        assert report["sourceSeen"] == [bare(pod_gateway(shop, node, family))]
        assert {a["source"] for a in report["answers"]} == {bare(node_address(shop, node, family))}


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_local_keeps_the_clients_address_in_both_families(shop: Cluster, family: int, protocol: str) -> None:
    number = next(p["nodePort"] for p in spec(shop, "local")["ports"] if p["protocol"] == protocol)
    where = f"{number}/{protocol.lower()}"
    report = shop.probe("ext/client", "node/worker-2", where, family=family)
    assert (report["outcome"], report["endpoints"]) == ("connected", {"shop/web-2": 1})
    assert report["sourceSeen"] == [external_address("client", family)]
    assert shop.probe("ext/client", "node/worker-3", where, family=family)["outcome"] == "dropped"


@BOTH
def test_no_endpoints_refuse_in_both_families(shop: Cluster, family: int, port: str) -> None:
    address = of_family(spec(shop, "nobody")["clusterIPs"], family)
    assert shop.probe("shop/client", address, port)["outcome"] == "rejected"
    assert slices(shop, "nobody").keys() == {"IPv4", "IPv6"}, "one empty slice for each family"


def test_a_headless_service_has_endpoints_of_both_families(shop: Cluster, family: int) -> None:
    found = spec(shop, "headless")
    assert (found["clusterIPs"], found["ipFamilies"]) == (["None"], ["IPv4", "IPv6"])
    (one,) = slices(shop, "headless")[f"IPv{family}"]
    assert "service.kubernetes.io/headless" in one["metadata"]["labels"]
    report = shop.probe("shop/client", "svc/shop/headless", "80/tcp", family=family)
    assert report["outcome"] == "connected"


def test_environment_variables_name_the_primary_address(shop: Cluster) -> None:
    env = dict(
        line.split("=", 1)
        for line in shop.exec("shop/client", ["env"]).stdout.splitlines()
        if line.startswith("SIX_FOUR_")
    )
    primary = spec(shop, "six-four")["clusterIP"]
    assert env["SIX_FOUR_SERVICE_HOST"] == primary
    assert env["SIX_FOUR_PORT_80_TCP"] == f"tcp://[{primary}]:80"


def test_the_second_family_comes_and_goes(shop: Cluster) -> None:
    four, six = spec(shop, "both")["clusterIPs"]
    assert shop.probe("shop/client", six, "80/tcp")["outcome"] == "connected"
    shop.apply([service("both", ipFamilyPolicy="SingleStack")])
    assert spec(shop, "both")["clusterIPs"] == [four]
    assert slices(shop, "both").keys() == {"IPv4"}
    assert shop.probe("shop/client", six, "80/tcp")["outcome"] == "dropped"
    assert shop.probe("shop/client", four, "80/tcp")["outcome"] == "connected"
    wanted = [four, "fd00:10:96::aa"]
    shop.apply([service("both", ipFamilyPolicy="RequireDualStack", clusterIP=four, clusterIPs=wanted)])
    assert spec(shop, "both")["clusterIPs"] == wanted
    assert shop.probe("shop/client", wanted[1], "80/tcp")["outcome"] == "connected"

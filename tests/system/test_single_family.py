"""Clusters of one family: nothing of the other one is there, and everything works without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from emulator import Cluster
from emulator.api.errors import ApiError
from tests.system.hygiene import assert_clean
from tests.system.oracles.addresses import (
    bare,
    external_address,
    node_address,
    pod_address,
    pod_gateway,
    public_address,
)
from tests.system.oracles.objects import HTTP, Object, namespace, pod
from tests.system.test_dual_stack import service

BOTH = pytest.mark.parametrize("port", ["80/tcp", "81/udp"])


@dataclass(frozen=True)
class Place:
    """A topology in one family, and how IPv6 leaves it."""

    topology: str
    family: int
    routed: bool = False


PLACES = (Place("three-node", 6), Place("three-node-ipv6", 6, routed=True), Place("three-node", 4))


def objects() -> list[Object]:
    checked = pod("checked", "worker-2")
    checked["spec"]["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/hostname", "port": HTTP},
        "periodSeconds": 1,
    }
    return [
        namespace("shop"),
        pod("client", "worker-1"),
        pod("web-1", "worker-1", app="web"),
        pod("web-2", "worker-2", app="web"),
        pod("far", "worker-3"),
        checked,
        pod("host", "worker-2", hostNetwork=True),
        service("web", ipFamilyPolicy="PreferDualStack", type="NodePort"),
        service("local", type="NodePort", externalTrafficPolicy="Local"),
        service("far", selector={"app": "far"}),
        service("nobody", selector={"app": "nobody"}),
    ]


@pytest.fixture(scope="module", params=PLACES, ids=["only-IPv6", "routed-IPv6", "only-IPv4"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.param
    return found


@pytest.fixture(scope="module")
def shop(place: Place) -> Iterator[Cluster]:
    name = f"family-{place.topology}-{place.family}-{os.getpid()}"
    cluster = Cluster.up(place.topology, name=name, families=f"IPv{place.family}")
    try:
        applied = cluster.apply(objects())
        assert applied.ready.ready, applied.ready.missing
        yield cluster
        assert_clean(cluster)
    finally:
        cluster.down()


def test_nothing_of_the_other_family_is_there(shop: Cluster, place: Place) -> None:
    nodes = [
        a["address"] for n in shop.get("Node") for a in n["status"]["addresses"] if a["type"] != "Hostname"
    ]
    pods = [entry["ip"] for p in shop.get("Pod", namespace="shop") for entry in p["status"]["podIPs"]]
    services = [ip for s in shop.get("Service") for ip in s["spec"]["clusterIPs"]]
    slices = {one["addressType"] for one in shop.get("EndpointSlice")}
    assert {ip_address(text).version for text in (*nodes, *pods, *services)} == {place.family}
    assert slices == {f"IPv{place.family}"}
    for where in ("shop/client", "shop/host"):
        said = shop.exec(where, ["ip", "-o", "addr", "show", "dev", "eth0"]).stdout
        assert {line.split()[2] for line in said.splitlines()} == {"inet6" if place.family == 6 else "inet"}


def test_two_families_cannot_be_required(shop: Cluster) -> None:
    with pytest.raises(ApiError, match="this cluster is not configured for dual-stack services"):
        shop.apply([service("both", ipFamilyPolicy="RequireDualStack")])
    assert len(shop.get("Service", "web", "shop")["spec"]["clusterIPs"]) == 1, "PreferDualStack takes one"


def test_pods_reach_pods(shop: Cluster, place: Place) -> None:
    for port in ("8080/tcp", "8081/udp", "icmp"):
        report = shop.probe("shop/client", "shop/far", port)
        assert report["outcome"] == "connected"
        assert report["sourceSeen"] == [bare(pod_address(shop, "client", place.family))]


@BOTH
def test_cluster_ips_answer(shop: Cluster, place: Place, port: str) -> None:
    report = shop.probe("shop/client", "svc/shop/web", port, count=40)
    assert report["outcomes"] == {"connected": 40}
    assert set(report["endpoints"]) == {"shop/web-1", "shop/web-2"}
    assert report["sourceSeen"] == [bare(pod_address(shop, "client", place.family))]
    far = shop.probe("node/worker-1", "svc/shop/far", port)
    assert far["outcome"] == "connected"
    leaves_by_uplink = place.topology == "three-node-ipv6"
    own = (node_address if leaves_by_uplink else pod_gateway)(shop, "worker-1", place.family)
    assert far["sourceSeen"] == [bare(own)]


@BOTH
def test_no_endpoint_refuses(shop: Cluster, port: str) -> None:
    assert shop.probe("shop/client", "svc/shop/nobody", port)["outcome"] == "rejected"


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_node_ports_answer_under_both_policies(shop: Cluster, place: Place, protocol: str) -> None:
    def knock(name: str, node: str) -> Object:
        ports = shop.get("Service", name, "shop")["spec"]["ports"]
        number = next(p["nodePort"] for p in ports if p["protocol"] == protocol)
        return shop.probe("ext/client", f"node/{node}", f"{number}/{protocol.lower()}", count=4)

    assert knock("web", "worker-3")["outcomes"] == {"connected": 4}
    local = knock("local", "worker-2")
    assert local["endpoints"] == {"shop/web-2": 4}
    assert local["sourceSeen"] == [external_address("client", place.family)]
    assert knock("local", "worker-3")["outcomes"] == {"dropped": 4}


@pytest.mark.parametrize("port", ["80/tcp", "7/udp", "icmp"])
def test_pods_reach_the_internet(shop: Cluster, place: Place, port: str) -> None:
    """should provide Internet connection for containers: translated or routed, as the topology says."""
    own = pod_address(shop, "client", 6) if place.routed else public_address(place.family)
    report = shop.probe("shop/client", "ext/server", port)
    assert (report["outcome"], report["sourceSeen"]) == ("connected", [bare(own)])
    node = node_address(shop, "worker-2", 6) if place.routed else public_address(place.family)
    report = shop.probe("node/worker-2", "ext/server", port)
    assert (report["outcome"], report["sourceSeen"]) == ("connected", [bare(node)])


def test_the_internet_reaches_pods_only_where_it_is_routed(shop: Cluster, place: Place) -> None:
    report = shop.probe("ext/client", "shop/far", "8080/tcp")
    assert report["outcome"] == ("connected" if place.routed else "rejected")
    if place.routed:
        assert report["sourceSeen"] == [external_address("client", 6)]


def test_the_tunnel_is_of_the_family(shop: Cluster, place: Place) -> None:
    name = "ipv6" if place.family == 6 else "ip"
    tunnelled = {
        f"{name}.src": bare(node_address(shop, "worker-1", place.family)),
        f"{name}.dst": bare(node_address(shop, "worker-3", place.family)),
        "udp.dport": 4789,
        f"inner.{name}.dst": bare(pod_address(shop, "far", place.family)),
    }
    naked = {f"{name}.dst": bare(pod_address(shop, "far", place.family))}
    is_overlay = place.topology == "three-node"
    checks = [
        {"at": "n1-up", "match": tunnelled, "count": ">0" if is_overlay else "0"},
        {"at": "n1-up", "match": naked, "count": "0" if is_overlay else ">0"},
    ]
    report = shop.probe("shop/client", "shop/far", "8080/tcp", checks=checks)
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_host_network_pods_and_probes_by_the_kubelet(shop: Cluster, place: Place) -> None:
    assert pod_address(shop, "host", place.family) == node_address(shop, "worker-2", place.family)
    assert shop.probe("shop/client", "shop/host", "8080/tcp")["outcome"] == "connected"
    conditions = shop.get("Pod", "checked", "shop")["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions}["Ready"] == "True", "its probe is answered"


def test_names_lead_to_services_and_to_the_api_server(shop: Cluster) -> None:
    def ask(*words: str) -> str:
        return shop.exec("shop/client", ["curl", "-sk", "--max-time", "10", *words]).stdout

    assert ask("http://web.shop/hostname") in ("web-1", "web-2")
    assert ask("https://kubernetes.default/healthz") == "ok"
    assert ask("-o", "/dev/null", "-w", "%{http_code}", "http://server.example.com/") == "200"

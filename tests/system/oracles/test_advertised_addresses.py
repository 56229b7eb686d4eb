"""Service addresses that nodes advertise over BGP, seen from a host beyond the router (oracle 18)."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from emulator import Cluster
from tests.system.chance import assert_even
from tests.system.hygiene import assert_clean, inside
from tests.system.oracles.addresses import bare, cluster_ip, external_address, of_family, pod_gateway
from tests.system.oracles.objects import Object, namespace, pod, service

NODES = ("worker-1", "worker-2", "worker-3")
EXTERNAL = {4: "192.0.2.9", 6: "2001:db8:192:0:2::9"}
UNUSED = {4: "192.0.2.33", 6: "2001:db8:192:0:2::33"}
RANGES = {
    4: ("10.96.0.0/16", "192.0.2.0/26", "192.0.2.128/26"),
    6: ("fd00:10:96::/112", "2001:db8:192:0:2::/120", "2001:db8:192:0:2::8000/120"),
}
BOTH = pytest.mark.parametrize("port", ["80/tcp", "81/udp"])
PATIENCE = 30.0

Routes = Mapping[str, frozenset[str]]
"""Destinations and the nodes that they lead to."""


def objects() -> Iterator[Object]:
    yield namespace("shop")
    for number, node in enumerate(NODES, 1):
        yield pod(f"web-{number}", node, app="web")
    yield pod("solo", "worker-2")
    for family in (4, 6):
        yield service("web", "web", family=family, externalIPs=[EXTERNAL[family]])
        yield service("open", "web", family=family, type="LoadBalancer")
        local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
        yield service("local", "solo", family=family, **local)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    running = Cluster.up("on-prem-bgp", name=f"advertised-{os.getpid()}")
    try:
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        yield running
    finally:
        running.down()


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    applied = cluster.apply(list(objects()))
    assert applied.ready.ready, applied.ready.missing
    return cluster


@pytest.fixture(scope="module")
def careless(shop: Cluster) -> Cluster:
    """What follows leaves traces in logs and counters. Up to here there must be none."""
    assert_clean(shop)
    return shop


# -- looking at the router


def kernel_routes(cluster: Cluster, family: int) -> Routes:
    """What the router's kernel knows from BGP."""
    said = cluster.exec("router/tor", ["ip", "-j", f"-{family}", "route", "show", "proto", "bird"]).stdout
    return {
        route["dst"] if "/" in route["dst"] else f"{route['dst']}/{32 if family == 4 else 128}": frozenset(
            hop["dev"] for hop in route.get("nexthops", [route]) if "linkdown" not in hop.get("flags", ())
        )
        for route in json.loads(said)
        if route.get("type") != "unreachable"
    }


def bird_routes(cluster: Cluster, family: int) -> Routes:
    """What its BIRD has been told."""
    said = cluster.exec("router/tor", ["birdc", "show", "route", "table", f"master{family}"]).stdout
    found: dict[str, set[str]] = {}
    prefix = ""
    for line in said.splitlines():
        named = re.match(r"(\S+/\d+)\s", line)
        prefix = named.group(1) if named else prefix
        peer = re.search(r"unicast \[(\w+)_[46] ", line)
        if peer:
            found.setdefault(prefix, set()).add(peer.group(1).replace("_", "-"))
    return {prefix: frozenset(nodes) for prefix, nodes in found.items()}


def sessions(cluster: Cluster) -> dict[str, str]:
    """Each session of the router that is up, and since when."""
    said = cluster.exec("router/tor", ["birdc", "show", "protocols"]).stdout
    return dict(re.findall(r"^(\w+)\s+BGP\s+\S+\s+up\s+(\S+)\s+Established", said, re.MULTILINE))


def balancer_address(cluster: Cluster, name: str, family: int) -> str:
    found: Object = cluster.get("Service", f"{name}-v{family}", "shop")
    return of_family([entry["ip"] for entry in found["status"]["loadBalancer"]["ingress"]], family)


@contextmanager
def route_events(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    monitor = ["nsenter", "--net=/run/netns/router-tor", "--", "ip", "-o", "monitor", "route"]
    with subprocess.Popen(cluster.sandbox.command(monitor), stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def after(cluster: Cluster, act: Callable[[], object], holds: Callable[[], bool]) -> float:
    """Do something and wait, route by route that changes, until `holds`; how many seconds that took."""
    with route_events(cluster) as events, selectors.DefaultSelector() as selector:
        assert events.stdout is not None
        selector.register(events.stdout, selectors.EVENT_READ)
        started = time.monotonic()
        act()
        while not holds():
            left = started + PATIENCE - time.monotonic()
            assert left > 0, {family: kernel_routes(cluster, family) for family in (4, 6)}
            if selector.select(min(left, 1.0)):
                os.read(events.stdout.fileno(), 65536)
        return time.monotonic() - started


def only(cluster: Cluster, *nodes: str) -> Callable[[], bool]:
    """Whether the ranges lead to exactly these nodes, in both families."""

    def holds() -> bool:
        routes = {family: kernel_routes(cluster, family) for family in (4, 6)}
        return all(
            routes[family].get(prefix) == frozenset(nodes) for family in (4, 6) for prefix in RANGES[family]
        )

    return holds


def entries(cluster: Cluster, report: Object, family: int) -> Counter[str]:
    """By which node the connections of a probe came in: it is who masqueraded them."""
    node_of = {bare(pod_gateway(cluster, node, family)): node for node in NODES}
    return Counter({node_of[bare(seen["source"])]: 0 for seen in report["seen"]}) + Counter(
        node for seen in report["seen"] for node in [node_of[bare(seen["source"])]] * seen["count"]
    )


# -- what the router knows


def test_every_node_advertises_every_range(shop: Cluster, family: int) -> None:
    routes = kernel_routes(shop, family)
    for prefix in RANGES[family]:
        assert routes[prefix] == frozenset(NODES)


def test_a_local_service_is_advertised_where_its_endpoint_is(shop: Cluster, family: int) -> None:
    hosts = {p: nodes for p, nodes in kernel_routes(shop, family).items() if p not in RANGES[family]}
    length = 32 if family == 4 else 128
    addresses = (cluster_ip(shop, "local", family), balancer_address(shop, "local", family))
    assert hosts == {f"{bare(address)}/{length}": {"worker-2"} for address in addresses}


def test_kernel_and_bird_agree(shop: Cluster, family: int) -> None:
    assert kernel_routes(shop, family) == bird_routes(shop, family)
    assert len(sessions(shop)) == 2 * len(NODES)


def test_the_router_hashes_addresses_and_ports(shop: Cluster) -> None:
    for version in ("ipv4", "ipv6"):
        done = shop.exec("router/tor", ["cat", f"/proc/sys/net/{version}/fib_multipath_hash_policy"])
        assert done.stdout.strip() == "1"


# -- who gets through


@BOTH
def test_18_an_outside_host_reaches_a_cluster_ip_and_is_masqueraded(
    shop: Cluster, family: int, port: str
) -> None:
    found: Object = shop.get("Service", f"web-v{family}", "shop")
    assert found["spec"]["type"] == "ClusterIP"
    assert not any(one.get("nodePort") for one in found["spec"]["ports"])
    report = shop.probe("ext/client", f"svc/shop/web-v{family}", port, count=60, timeout=10)
    assert report["outcomes"] == {"connected": 60}
    assert set(report["endpoints"]) == {"shop/web-1", "shop/web-2", "shop/web-3"}
    assert {bare(source) for source in report["sourceSeen"]} <= {
        bare(pod_gateway(shop, node, family)) for node in NODES
    }
    number = int(port.partition("/")[0])
    assert {(bare(answer["source"]), answer["sourcePort"]) for answer in report["answers"]} == {
        (bare(cluster_ip(shop, "web", family)), number)
    }


def test_connections_spread_evenly_over_the_nodes(shop: Cluster, family: int) -> None:
    """Equal-cost multipath: over the nodes that let them in."""

    def by_node() -> dict[str, int]:
        report = shop.probe("ext/client", f"svc/shop/web-v{family}", "80/tcp", count=300, timeout=20)
        assert report["outcomes"] == {"connected": 300}
        counts = entries(shop, report, family)
        assert sum(counts.values()) == 300
        assert set(counts) == set(NODES)
        return counts

    assert_even(by_node)


@BOTH
@pytest.mark.parametrize("what", ["external", "open"])
def test_outward_addresses_are_masqueraded_too(shop: Cluster, family: int, port: str, what: str) -> None:
    target = EXTERNAL[family] if what == "external" else balancer_address(shop, what, family)
    report = shop.probe("ext/client", target, port, count=20, timeout=10)
    assert report["outcomes"] == {"connected": 20}
    assert external_address("client", family) not in map(bare, report["sourceSeen"])


@BOTH
def test_a_local_service_sees_the_client(shop: Cluster, family: int, port: str) -> None:
    """Every connection takes the host route, so none meets a node that would have to drop it."""
    target = balancer_address(shop, "local", family)
    report = shop.probe("ext/client", target, port, count=20, timeout=10)
    assert report["outcomes"] == {"connected": 20}
    assert report["endpoints"] == {"shop/solo": 20}
    assert list(map(bare, report["sourceSeen"])) == [external_address("client", family)]


@BOTH
def test_18_the_cluster_ip_of_a_local_service_masquerades(shop: Cluster, family: int, port: str) -> None:
    """externalTrafficPolicy is about addresses that face outwards; a cluster IP is none."""
    report = shop.probe("ext/client", f"svc/shop/local-v{family}", port, count=5, timeout=10)
    assert report["outcomes"] == {"connected": 5}
    assert list(map(bare, report["sourceSeen"])) == [bare(pod_gateway(shop, "worker-2", family))]


def test_an_unused_address_does_not_travel_in_circles(shop: Cluster, family: int) -> None:
    """It passes the router once, and the node drops it."""
    field = {4: "ip.dst", 6: "ipv6.dst"}[family]
    passes = {"at": "router/tor", "match": {field: UNUSED[family]}, "count": ">=2"}
    report = shop.probe("ext/client", UNUSED[family], "80/tcp", checks=[passes])
    assert report["outcome"] == "dropped"
    # In and out, for the SYN and perhaps the one that is sent again.
    assert 2 <= report["checks"][0]["matched"] <= 4
    assert shop.probe("ext/client", EXTERNAL[family], "80/tcp", timeout=10)["outcome"] == "connected"


# -- changes


def test_changes_move_host_routes_and_drop_no_session(shop: Cluster) -> None:
    """When `apply` returns, the router's kernel knows."""
    before = sessions(shop)
    prefix = f"{balancer_address(shop, 'local', 4)}/32"
    applied = shop.apply([pod("second", "worker-3", app="solo")])
    assert applied.ready.ready, applied.ready.missing
    assert kernel_routes(shop, 4)[prefix] == {"worker-2", "worker-3"}
    assert shop.delete([pod("second", "worker-3"), pod("solo", "worker-2")]).ready.ready
    assert prefix not in kernel_routes(shop, 4)
    assert shop.probe("ext/client", prefix[:-3], "80/tcp", timeout=5)["outcome"] == "rejected"
    assert shop.apply([pod("solo", "worker-2")]).ready.ready
    assert kernel_routes(shop, 4)[prefix] == {"worker-2"}
    assert shop.probe("ext/client", prefix[:-3], "80/tcp", timeout=10)["outcome"] == "connected"
    assert sessions(shop) == before


def test_a_node_that_stays_out_of_load_balancing_advertises_nothing(shop: Cluster) -> None:
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    shop.patch("Node", "worker-3", None, {"metadata": {"labels": {label: "true"}}})
    assert shop.wait_ready().ready
    assert only(shop, "worker-1", "worker-2")()
    shop.patch("Node", "worker-3", None, {"metadata": {"labels": {label: None}}})
    assert shop.wait_ready().ready
    assert only(shop, *NODES)()


# -- failures


def test_a_node_whose_bird_is_down_is_left_alone_until_it_is_back(shop: Cluster) -> None:
    """Its kernel closes the session at once: no timer has to run out."""
    after(shop, lambda: shop.sandbox.hold("bird-node-worker-2"), only(shop, "worker-1", "worker-3"))
    for family in (4, 6):
        report = shop.probe("ext/client", f"svc/shop/web-v{family}", "80/tcp", count=60, timeout=10)
        assert report["outcomes"] == {"connected": 60}
        assert set(entries(shop, report, family)) == {"worker-1", "worker-3"}
    assert shop.wait_ready().ready, "who is held down is not waited for"
    shop.sandbox.release("bird-node-worker-2")
    assert shop.wait_ready().ready
    assert only(shop, *NODES)()
    for family in (4, 6):
        report = shop.probe("ext/client", f"svc/shop/web-v{family}", "80/tcp", count=60, timeout=10)
        assert report["outcomes"] == {"connected": 60}
        assert set(entries(shop, report, family)) == set(NODES)


def test_where_nobody_speaks_the_router_refuses(shop: Cluster) -> None:
    """Its default route would lead packets out and back again."""

    def hold_all() -> None:
        for node in NODES:
            shop.sandbox.hold(f"bird-node-{node}")

    after(shop, hold_all, lambda: not any(kernel_routes(shop, family) for family in (4, 6)))
    for family, refusals in ((4, {"host-unreachable"}), (6, {"network-unreachable"})):
        report = shop.probe("ext/client", f"svc/shop/web-v{family}", "80/tcp", timeout=5)
        assert report["outcome"] == "rejected"
        assert {one["name"] for one in report["rejections"]} == refusals
    for node in NODES:
        shop.sandbox.release(f"bird-node-{node}")
    assert shop.wait_ready().ready
    assert only(shop, *NODES)()


def test_a_bird_that_crashes_comes_back_by_itself(careless: Cluster) -> None:
    unit = "bird-node-worker-1"
    process = careless.sandbox.services()[unit]["pid"]
    kill = lambda: inside(careless, "kill", "-KILL", str(process))  # noqa: E731
    after(careless, kill, lambda: "worker-1" not in kernel_routes(careless, 4)[RANGES[4][0]])
    careless.sandbox.wait(unit, PATIENCE, restarts=1)
    assert careless.wait_ready().ready
    assert only(careless, *NODES)()


def test_faults_of_birds(careless: Cluster) -> None:
    """Kept down, a node attracts nothing, and all that comes is answered by the others; then it is back."""
    before = {family: kernel_routes(careless, family) for family in (4, 6)}
    careless.inject("bird-down", place="node/worker-1")
    assert careless.wait_ready().ready
    assert only(careless, "worker-2", "worker-3")()
    for family in (4, 6):
        for port in ("80/tcp", "81/udp"):
            report = careless.probe("ext/client", f"svc/shop/web-v{family}", port, count=10, timeout=2)
            assert report["outcomes"] == {"connected": 10}
            assert "worker-1" not in entries(careless, report, family)
    careless.clear("bird-down")
    assert careless.wait_ready().ready
    assert {family: kernel_routes(careless, family) for family in (4, 6)} == before
    careless.inject("bird-killed", place="worker-2")
    assert careless.faults() == []
    assert careless.wait_ready().ready
    assert {family: kernel_routes(careless, family) for family in (4, 6)} == before


def test_a_dead_cable_is_noticed_at_once(careless: Cluster) -> None:
    def cable(state: str) -> Callable[[], object]:
        return lambda: inside(careless, "ip", "link", "set", "n2-up", state)

    after(careless, cable("down"), only(careless, "worker-1", "worker-3"))
    report = careless.probe("ext/client", "svc/shop/web-v4", "80/tcp", count=30, timeout=2)
    assert report["outcomes"].get("connected", 0) >= 10
    assert "worker-2" not in entries(careless, report, 4)
    after(careless, cable("up"), only(careless, *NODES))
    assert careless.wait_ready().ready


def test_silence_is_noticed_when_the_hold_time_is_over(careless: Cluster) -> None:
    """The node's own stack is cut off behind its bridge, which the router cannot see."""

    def cable(state: str) -> Callable[[], object]:
        return lambda: inside(careless, "ip", "link", "set", "n3-host", state)

    seconds = after(careless, cable("down"), only(careless, "worker-1", "worker-2"))
    assert seconds > 1
    after(careless, cable("up"), only(careless, *NODES))
    assert careless.wait_ready().ready

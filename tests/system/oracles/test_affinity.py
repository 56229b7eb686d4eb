"""Oracles of sessionAffinity, by their numbers: who keeps an endpoint, for how long, and who forgets it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.oracles.addresses import bare, external_address, node_port, pod_address
from tests.system.oracles.objects import Object, namespace, pod, service

ALL = {"shop/web-1", "shop/web-2", "shop/web-3"}
BOTH = pytest.mark.parametrize("port", ["80/tcp", "81/udp"])
OFTEN = 20
"""Connections that meet one of three endpoints by chance with a probability below 1e-9."""
ONE_DAY = 86_400


def sticky(name: str, family: int, seconds: int | None = None, **spec: Any) -> Object:
    """A Service over all of `web` whose clients keep their endpoints."""
    if seconds is not None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    return service(name, "web", family=family, type="NodePort", sessionAffinity="ClientIP", **spec)


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    pods = [
        pod("client", "worker-1"),
        pod("neighbour", "worker-1"),
        pod("remote", "worker-2"),
        pod("far", "worker-3"),
        *(pod(f"web-{number}", f"worker-{number}", app="web") for number in (1, 2, 3)),
    ]
    services = [
        found
        for family in (4, 6)
        for found in (
            service("plain", "web", family=family),
            sticky("sticky", family),
            sticky("brief", family, 3),
            sticky("briefest", family, 1),
            sticky("switching", family),
            sticky("short-lived", family, 60),
        )
    ]
    applied = cluster.apply([namespace("shop"), *pods, *services])
    assert applied.ready.ready, applied.ready.missing
    assert not applied.warnings
    return cluster


def ask(cluster: Cluster, source: str, name: str, family: int, port: str, **options: Any) -> set[str]:
    """Who answers at a Service's cluster IP; every connection has to."""
    options.setdefault("count", OFTEN)
    return answering(cluster.probe(source, f"svc/shop/{name}-v{family}", port, **options), options["count"])


def knock(
    cluster: Cluster, source: str, node: str, name: str, family: int, port: str, **options: Any
) -> set[str]:
    """Who answers at a Service's NodePort."""
    protocol = port.split("/")[1]
    number = node_port(cluster, name, family, protocol.upper())
    options.setdefault("count", OFTEN)
    report = cluster.probe(source, f"node/{node}", f"{number}/{protocol}", family=family, **options)
    return answering(report, options["count"])


def answering(report: Mapping[str, Any], count: int) -> set[str]:
    assert report["outcomes"] == {"connected": count}
    return set(report["endpoints"])


def memories(cluster: Cluster, node: int, client: str) -> list[str]:
    """What a node's bridge remembers of a client: the learned flows."""
    dump = inside(
        cluster, "ovs-ofctl", "-O", "OpenFlow13", "--no-stats", "dump-flows", f"n{node}", "table=22"
    )
    return [line for line in dump.splitlines() if re.search(rf"src={re.escape(client)}\b", line)]


@BOTH
def test_62_a_client_keeps_its_endpoint(shop: Cluster, family: int, port: str) -> None:
    for source in ("shop/client", "shop/remote", "node/worker-3"):
        kept = ask(shop, source, "sticky", family, port)
        assert len(kept) == 1
        assert ask(shop, source, "sticky", family, port) == kept
    assert ask(shop, "shop/client", "plain", family, port, count=40) == ALL, "a hash would not do that"


@BOTH
def test_62_also_a_client_from_outside(shop: Cluster, family: int, port: str) -> None:
    kept = knock(shop, "ext/client", "worker-1", "sticky", family, port)
    assert len(kept) == 1
    assert knock(shop, "ext/client", "worker-1", "sticky", family, port) == kept


def test_62_for_three_hours_unless_said_otherwise(shop: Cluster, family: int) -> None:
    ask(shop, "shop/client", "sticky", family, "80/tcp", count=1)
    ask(shop, "shop/client", "short-lived", family, "80/tcp", count=1)
    client = bare(pod_address(shop, "client", family))
    assert _times(shop, client) >= {10800, 60}
    longer = {"spec": {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 70}}}}
    shop.patch("Service", f"short-lived-v{family}", "shop", longer)
    assert shop.wait_ready().ready
    ask(shop, "shop/client", "short-lived", family, "80/tcp", count=1)
    assert _times(shop, client) >= {10800, 70}


def _times(cluster: Cluster, client: str) -> set[int]:
    """For how many seconds worker-1 remembers a client, in each case."""
    found = (re.search(r"idle_timeout=(\d+)", line) for line in memories(cluster, 1, client))
    return {int(time[1]) for time in found if time}


def test_63_the_window_slides_and_ends(shop: Cluster) -> None:
    """should have session affinity timeout work for service with type clusterIP [LinuxOnly], and
    should have session affinity timeout work for NodePort service [LinuxOnly]

    Connections a second apart outlast their window of three; pauses of 2.6 seconds are longer than a window
    of one (a switch looks for what has expired twice a second), and endpoints change.
    """

    def steady(family: int, port: str) -> set[str]:
        own = Cluster.connect(shop.name)
        return ask(own, "shop/client", "brief", family, port, count=6, interval=1)

    def pausing(source: str, family: int, port: str) -> set[str]:
        own = Cluster.connect(shop.name)
        return ask(own, source, "briefest", family, port, count=3, interval=2.6)

    def pausing_outside(source: str, node: int) -> set[str]:
        own, pauses = Cluster.connect(shop.name), {"count": 3, "interval": 2.6}
        return knock(own, source, f"worker-{node}", "briefest", 4, "80/tcp", **pauses)

    cases = list(product((4, 6), ("80/tcp", "81/udp")))
    pods = ("shop/client", "shop/neighbour", "shop/remote", "shop/far")
    sources = (*pods, "node/worker-1", "node/worker-2", "node/worker-3")
    with ThreadPoolExecutor(40) as pool:
        kept = [pool.submit(steady, *case) for case in cases]
        # That six clients meet one endpoint of three three times in a row has a probability below 1e-5.
        left = [[pool.submit(pausing, source, *case) for source in sources] for case in cases]
        outside = product(("ext/client", "ext/server"), (1, 2, 3))
        left.append([pool.submit(pausing_outside, *place) for place in outside])
        assert [len(one.result()) for one in kept] == [1, 1, 1, 1]
        for asked in left:
            assert max(len(one.result()) for one in asked) > 1


@BOTH
def test_64_all_frontends_share_it_and_each_port_has_its_own(shop: Cluster, family: int, port: str) -> None:
    kept = ask(shop, "shop/client", "sticky", family, port)
    assert knock(shop, "shop/client", "worker-1", "sticky", family, port) == kept
    for other in ("80/tcp", "81/udp"):
        ask(shop, "shop/client", "switching", family, other)
        ask(shop, "shop/client", "sticky", family, other)
    kept_for = memories(shop, 1, bare(pod_address(shop, "client", family)))
    of_ports = [re.search(r"reg2=(0x\w+)/0xffff", line) for line in kept_for]
    assert len({found[1] for found in of_ports if found}) == len(kept_for) >= 4


def test_65_each_node_has_its_own_memory(shop: Cluster) -> None:
    """Nine chances in ten that a client gets other endpoints at other nodes, in eight cases."""
    differs = []
    for family in (4, 6):
        for port in ("80/tcp", "81/udp"):
            for source in ("ext/client", "ext/server"):
                kept = [knock(shop, source, f"worker-{n}", "short-lived", family, port) for n in (1, 2, 3)]
                assert [len(endpoints) for endpoints in kept] == [1, 1, 1]
                differs.append(len(set.union(*kept)) > 1)
        client = external_address("client", family)
        assert all(len(memories(shop, node, client)) >= 2 for node in (1, 2, 3))
    assert any(differs)


@contextmanager
def outside_the_service(cluster: Cluster, name: str) -> Iterator[None]:
    """The pod goes on running under another label."""
    relabel(cluster, name, "resting")
    try:
        yield
    finally:
        relabel(cluster, name, "web")


def relabel(cluster: Cluster, name: str, app: str) -> None:
    cluster.patch("Pod", name, "shop", {"metadata": {"labels": {"app": app}}})
    readiness = cluster.wait_ready()
    assert readiness.ready, readiness.missing


@BOTH
@pytest.mark.parametrize("source", ["shop/neighbour", "shop/far"])
def test_66_it_ends_with_the_endpoint(shop: Cluster, family: int, source: str, port: str) -> None:
    """Few connections each time: one with an old UDP port would belong to an old connection (oracle 60)."""
    kept = ask(shop, source, "sticky", family, port, count=2)
    (endpoint,) = kept
    with outside_the_service(shop, endpoint.removeprefix("shop/")):
        moved = ask(shop, source, "sticky", family, port, count=10)
        assert len(moved) == 1
        assert moved < ALL - kept
    assert ask(shop, source, "sticky", family, port, count=10) == moved, "what returns is a stranger"


def test_67_up_to_a_day_of_which_a_switch_remembers_less(shop: Cluster, family: int) -> None:
    applied = shop.apply([sticky("patient-one", family, ONE_DAY)])
    assert applied.ready.ready
    (warning,) = applied.warnings
    assert f"remembered for 65535 seconds here, not {ONE_DAY}" in warning
    assert len(ask(shop, "shop/client", "patient-one", family, "80/tcp")) == 1
    client = bare(pod_address(shop, "client", family))
    assert any("idle_timeout=65535," in line for line in memories(shop, 1, client))


@BOTH
def test_affinity_is_switched_off_and_on_live(shop: Cluster, family: int, port: str) -> None:
    def switch(affinity: str) -> None:
        shop.patch("Service", f"switching-v{family}", "shop", {"spec": {"sessionAffinity": affinity}})
        assert shop.wait_ready().ready

    assert len(ask(shop, "shop/client", "switching", family, port)) == 1
    switch("None")
    assert ask(shop, "shop/client", "switching", family, port, count=60) == ALL
    switch("ClientIP")
    # A newcomer: whoever has asked before may get an old UDP port again, and with it an old connection.
    kept = ask(shop, "shop/remote", "switching", family, port)
    assert len(kept) == 1
    assert ask(shop, "shop/remote", "switching", family, port) == kept

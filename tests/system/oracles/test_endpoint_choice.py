"""Oracles of endpoint choice, by their numbers: policies, terminating endpoints, hints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import bare, cluster_ip, external_address, node_port
from tests.system.oracles.objects import namespace, pod
from tests.system.oracles.slices import DRAINING, GONE, UNREADY, endpoint, put, selectorless
from tests.system.oracles.wire import PORT_UNREACHABLE, refusal

PORTS = ("80/tcp", "81/udp")
OFTEN = 16
"""Connections that miss one of two endpoints with a probability below 1e-4."""
A_WHILE = 0.3
"""Seconds of silence that are enough where silence is expected."""

CLIENTS = ("shop/client-1", "shop/client-2", "shop/client-3")
"""One on each node; worker-1 is in zone a, worker-2 in b, worker-3 in c."""
NAMES = {
    "any": {},
    "near": {"internalTrafficPolicy": "Local"},
    "kept": {"type": "NodePort", "externalTrafficPolicy": "Local"},
    "open": {"type": "NodePort"},
}


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    pods = [pod(f"{kind}-{number}", f"worker-{number}") for kind in ("client", "web") for number in (1, 2, 3)]
    services = [selectorless(name, family, **spec) for name, spec in NAMES.items() for family in (4, 6)]
    applied = cluster.apply([namespace("shop"), *pods, *services])
    assert applied.ready.ready, applied.ready.missing
    return cluster


def answering(report: Mapping[str, Any]) -> set[str]:
    assert report["outcome"] == "connected", report["outcomes"]
    return {place.removeprefix("shop/") for place in report["endpoints"]}


def ask(cluster: Cluster, source: str, name: str, family: int) -> set[str]:
    """Who answers at the cluster IP, over TCP and UDP alike."""
    target = f"svc/shop/{name}-v{family}"
    tcp, udp = (answering(cluster.probe(source, target, port, count=OFTEN)) for port in PORTS)
    assert tcp == udp
    return tcp


def fate(cluster: Cluster, source: str, name: str, family: int, timeout: float) -> str:
    """What becomes of one connection to the cluster IP, over TCP and UDP alike."""
    target = f"svc/shop/{name}-v{family}"
    tcp, udp = (_fate(cluster.probe(source, target, port, timeout=timeout)) for port in PORTS)
    assert tcp == udp
    return tcp


def knock(cluster: Cluster, node: int, name: str, family: int, count: int = 1) -> set[str]:
    """Who answers `ext/client` at a NodePort, over TCP and UDP alike."""
    reports = (_knock(cluster, node, name, family, port, count=count) for port in PORTS)
    tcp, udp = map(answering, reports)
    assert tcp == udp
    return tcp


def fate_outside(cluster: Cluster, node: int, name: str, family: int, timeout: float) -> str:
    """What becomes of one connection of `ext/client` to a NodePort, over TCP and UDP alike."""
    reports = (_knock(cluster, node, name, family, port, timeout=timeout) for port in PORTS)
    tcp, udp = map(_fate, reports)
    assert tcp == udp
    return tcp


def _knock(cluster: Cluster, node: int, name: str, family: int, port: str, **options: Any) -> Any:
    protocol = port.split("/")[1]
    number = node_port(cluster, name, family, protocol.upper())
    return cluster.probe(
        "ext/client", f"node/worker-{node}", f"{number}/{protocol}", family=family, **options
    )


def _fate(report: Mapping[str, Any]) -> str:
    """The outcome; a drop is only one where nothing came back."""
    assert report["outcome"] != "dropped" or not report.get("rejections")
    return str(report["outcome"])


# -- traffic policies ------------------------------------------------------------------------------


def test_20_21_an_endpoint_that_is_not_ready_is_none(shop: Cluster, family: int) -> None:
    put(shop, "any", family, endpoint(shop, "web-1", family, UNREADY))
    assert fate(shop, "shop/client-1", "any", family, timeout=20) == "rejected"
    report = shop.probe("shop/client-1", f"svc/shop/any-v{family}", "81/udp", timeout=20)
    assert refusal(report) == PORT_UNREACHABLE[family]
    (refused,) = report["rejections"]
    assert refused["quotes"]["destination"] == bare(cluster_ip(shop, "any", family))
    put(shop, "any", family, endpoint(shop, "web-1", family))
    assert ask(shop, "shop/client-1", "any", family) == {"web-1"}


def test_22_23_internal_policy_local_keeps_to_the_node(shop: Cluster, family: int) -> None:
    put(shop, "near", family, *(endpoint(shop, name, family) for name in ("web-1", "web-2")))
    assert ask(shop, "shop/client-1", "near", family) == {"web-1"}
    assert ask(shop, "shop/client-2", "near", family) == {"web-2"}
    assert ask(shop, "node/worker-2", "near", family) == {"web-2"}
    for source in ("shop/client-3", "node/worker-3"):
        assert fate(shop, source, "near", family, timeout=A_WHILE) == "dropped"
    put(shop, "near", family)
    refused = fate(shop, "shop/client-3", "near", family, timeout=20)
    assert refused == "rejected", "none anywhere is another matter"


# -- terminating endpoints -------------------------------------------------------------------------


def test_54_cluster_takes_draining_endpoints_when_none_is_ready(shop: Cluster, family: int) -> None:
    ready, draining = endpoint(shop, "web-2", family), endpoint(shop, "web-1", family, DRAINING)
    also = endpoint(shop, "web-3", family, DRAINING)
    put(shop, "open", family, draining, ready, also)
    assert ask(shop, "shop/client-1", "open", family) == {"web-2"}
    assert knock(shop, 1, "open", family, count=OFTEN) == {"web-2"}
    put(shop, "open", family, draining, also)
    assert ask(shop, "shop/client-2", "open", family) == {"web-1", "web-3"}
    assert knock(shop, 2, "open", family, count=OFTEN) == {"web-1", "web-3"}


def test_54_local_decides_for_its_node_alone(shop: Cluster, family: int) -> None:
    """The node's draining endpoint serves, though ready ones are elsewhere."""
    draining, elsewhere = endpoint(shop, "web-1", family, DRAINING), endpoint(shop, "web-2", family)
    for name in ("near", "kept"):
        put(shop, name, family, draining, elsewhere)
    assert ask(shop, "shop/client-1", "near", family) == {"web-1"}
    assert knock(shop, 1, "kept", family) == {"web-1"}
    assert ask(shop, "shop/client-1", "kept", family) == {"web-2"}, "the cluster IP is under Cluster"
    for name in ("near", "kept"):
        put(shop, name, family, draining, elsewhere, endpoint(shop, "web-3", family))
    assert ask(shop, "shop/client-3", "near", family) == {"web-3"}


def test_55_draining_without_serving_is_nothing(shop: Cluster, family: int) -> None:
    gone = endpoint(shop, "web-1", family, GONE)
    for name in ("any", "kept"):
        put(shop, name, family, gone)
    assert fate(shop, "shop/client-1", "any", family, timeout=20) == "rejected"
    assert fate_outside(shop, 1, "kept", family, timeout=20) == "rejected"
    for name in ("any", "kept"):
        put(shop, name, family, gone, endpoint(shop, "web-2", family))
    assert ask(shop, "shop/client-1", "any", family) == {"web-2"}
    assert fate_outside(shop, 1, "kept", family, timeout=A_WHILE) == "dropped"
    assert knock(shop, 2, "kept", family) == {"web-2"}


# -- hints -----------------------------------------------------------------------------------------


def test_56_zone_hints_count_if_all_have_them_and_one_is_here(shop: Cluster, family: int) -> None:
    here, there = endpoint(shop, "web-1", family, zones=["a"]), endpoint(shop, "web-2", family, zones=["b"])
    put(shop, "any", family, here, there)
    asked = [ask(shop, client, "any", family) for client in CLIENTS]
    assert asked == [{"web-1"}, {"web-2"}, {"web-1", "web-2"}]
    assert ask(shop, "node/worker-1", "any", family) == {"web-1"}
    put(shop, "any", family, here, endpoint(shop, "web-2", family))
    assert [ask(shop, client, "any", family) for client in CLIENTS] == [{"web-1", "web-2"}] * 3
    # An endpoint that is not ready has no say.
    put(shop, "any", family, here, there, endpoint(shop, "web-3", family, UNREADY))
    assert ask(shop, "shop/client-2", "any", family) == {"web-2"}


def test_57_node_hints_beat_zone_hints(shop: Cluster, family: int) -> None:
    """Hints may lie: they are crossed here, so that it shows whose word counts."""
    put(
        shop,
        "near",
        family,
        endpoint(shop, "web-1", family, nodes=["worker-2"], zones=["a"]),
        endpoint(shop, "web-2", family, nodes=["worker-1"], zones=["b"]),
    )
    put(
        shop,
        "any",
        family,
        endpoint(shop, "web-1", family, nodes=["worker-2"], zones=["a", "c"]),
        endpoint(shop, "web-2", family, nodes=["worker-1"], zones=["b"]),
    )
    asked = [ask(shop, client, "any", family) for client in CLIENTS]
    assert asked == [{"web-2"}, {"web-1"}, {"web-1"}], "worker-3 is named by no node hint, zone c by one"
    assert ask(shop, "shop/client-1", "near", family) == {"web-1"}, "Local has no hints"


def test_58_local_outside_and_hints_inside(shop: Cluster, family: int) -> None:
    put(
        shop,
        "kept",
        family,
        endpoint(shop, "web-1", family, zones=["b"]),
        endpoint(shop, "web-2", family, zones=["a", "c"]),
    )
    assert knock(shop, 1, "kept", family, count=OFTEN) == {"web-1"}
    seen = _knock(shop, 1, "kept", family, "80/tcp")["sourceSeen"]
    assert seen == [external_address("client", family)]
    assert [ask(shop, client, "kept", family) for client in CLIENTS] == [
        {"web-2"},
        {"web-1"},
        {"web-2"},
    ]

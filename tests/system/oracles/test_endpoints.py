"""Oracle 59: a connection outlives its endpoint's membership; new connections know of it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import cluster_ip, external_address, node_address, node_port
from tests.system.oracles.held import held
from tests.system.oracles.objects import Object, pod

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

ALL = {"shop/web-1", "shop/web-2", "shop/web-3"}
BOTH = pytest.mark.parametrize("port", ["80/tcp", "81/udp"])
ENOUGH = 40
"""Connections after which an endpoint of three that was never chosen has a probability below 1e-6."""


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


def endpoints(cluster: Cluster, family: int, port: str, source: str = "shop/client") -> set[str]:
    report = cluster.probe(source, f"svc/shop/web-v{family}", port, count=ENOUGH, timeout=5)
    assert report["outcomes"] == {"connected": ENOUGH}
    return set(report["endpoints"])


def test_59_an_established_connection_outlives_its_endpoint(shop: Cluster, family: int) -> None:
    with held(shop, "shop/client", cluster_ip(shop, "web", family), 80) as connection:
        endpoint = connection.ask()
        assert f"shop/{endpoint}" in ALL
        with outside_the_service(shop, endpoint):
            assert connection.ask() == endpoint
            assert endpoints(shop, family, "80/tcp") == ALL - {f"shop/{endpoint}"}
            assert connection.ask() == endpoint
        assert connection.ask() == endpoint
    assert endpoints(shop, family, "80/tcp") == ALL


@BOTH
@pytest.mark.parametrize("gone", ["web-1", "web-2"], ids=["local", "remote"])
def test_59_new_connections_avoid_what_was_removed(shop: Cluster, family: int, port: str, gone: str) -> None:
    assert endpoints(shop, family, port) == ALL
    # Whoever has asked before may get an old port again, and with it an old UDP connection (oracle 60).
    newcomer = {"web-1": "shop/neighbour", "web-2": "shop/remote"}[gone]
    with outside_the_service(shop, gone):
        assert endpoints(shop, family, port, newcomer) == ALL - {f"shop/{gone}"}
    assert endpoints(shop, family, port) == ALL


def test_59_masqueraded_connections_outlive_it_too(shop: Cluster, family: int) -> None:
    """From outside, through a node that has not got the endpoint: two translations have to last."""
    address, number = node_address(shop, "worker-2", family), node_port(shop, "far", family)
    assert external_address("client", family)
    with held(shop, "ext/client", address, number) as connection:
        assert connection.ask() == "far"
        relabel(shop, "far", "resting")
        try:
            assert connection.ask() == "far"
            refused = shop.probe("ext/client", "node/worker-2", f"{number}/tcp", family=family, timeout=60)
            assert refused["outcome"] == "rejected"
        finally:
            relabel(shop, "far", "far")
        assert connection.ask() == "far"


def test_59_scaling_moves_new_connections_only(shop: Cluster, family: int) -> None:
    """One replica more and one less, with a connection to each of the old ones."""
    fourth: Object = pod("web-4", "worker-1", app="web")
    with held(shop, "shop/remote", cluster_ip(shop, "web", family), 80) as connection:
        endpoint = connection.ask()
        assert shop.apply([fourth]).ready.ready
        assert endpoints(shop, family, "80/tcp") == ALL | {"shop/web-4"}
        assert connection.ask() == endpoint
        assert shop.delete([fourth]).ready.ready
        assert endpoints(shop, family, "80/tcp") == ALL
        assert connection.ask() == endpoint

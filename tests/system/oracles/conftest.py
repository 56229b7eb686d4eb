"""The cluster of the oracle tests: the same pods and services for every module, in both families.

A module says with `pytest.mark.topologies` what it runs on, and gets one cluster after the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean, inside
from tests.system.oracles.objects import DEAD, Object, namespace, pod, service


def services(family: int) -> Iterator[Object]:
    """Services over the shop's pods, of one family. `-local` ones have externalTrafficPolicy Local."""
    first = 30000 + family * 100
    yield service("web", "web", family=family)
    yield service("solo", "solo", family=family)
    yield service("half", "half", family=family)
    yield service("nobody", "nobody", family=family)
    dead = {"targetPort": DEAD}
    ports = [{"name": "tcp", "port": 80, **dead}, {"name": "udp", "port": 81, "protocol": "UDP", **dead}]
    yield service("dead", "far", family=family, ports=ports)
    for offset, (name, app, policy) in enumerate(
        (
            ("far", "far", "Cluster"),
            ("near", "solo", "Cluster"),
            ("local", "solo", "Local"),
            ("local-nobody", "nobody", "Local"),
        )
    ):
        ports = [
            {"name": "http", "port": 80, "targetPort": 8080, "nodePort": first + 2 * offset},
            {
                "name": "udp",
                "port": 81,
                "protocol": "UDP",
                "targetPort": 8081,
                "nodePort": first + 2 * offset + 1,
            },
        ]
        yield service(name, app, family=family, ports=ports, type="NodePort", externalTrafficPolicy=policy)


def objects() -> list[Object]:
    """Everything. `solo` lives on worker-1 only, `far` on worker-3 only."""
    pods = [
        pod("client", "worker-1"),
        pod("neighbour", "worker-1"),
        pod("remote", "worker-2"),
        pod("web-1", "worker-1", app="web"),
        pod("web-2", "worker-2", app="web"),
        pod("web-3", "worker-3", app="web"),
        pod("solo", "worker-1"),
        pod("far", "worker-3"),
        pod("half-live", "worker-2", app="half"),
        pod("half-dead", "worker-3", app="half"),
    ]
    for one in pods:
        if one["metadata"]["name"] == "half-dead":
            one["spec"]["containers"][0]["args"] = ["netexec", "--http-port=9090", "--udp-port=9091"]
    return [namespace("shop"), *pods, *services(4), *services(6)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "topology" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("topologies")
        names = marker.args if marker else ("three-node",)
        metafunc.parametrize("topology", names, scope="module")


@pytest.fixture(scope="module")
def cluster(topology: str, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """An empty cluster, which the tests of the module share; it must be clean in the end."""
    stem = Path(request.path).stem.removeprefix("test_").replace("_", "-")
    running = Cluster.up(topology, name=f"{stem}-{topology}-{os.getpid()}")
    try:
        # Every warning counts: none may hide behind "dropped 10 log messages".
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        yield running
        assert_clean(running)
    finally:
        running.down()


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Cluster:
    applied = cluster.apply(objects())
    assert applied.ready.ready, applied.ready.missing
    assert not applied.ready.failing
    return cluster


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)

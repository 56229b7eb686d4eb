"""Four clusters of one topology at once: the same names and addresses in each, and none sees another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from emulator import Cluster
from emulator.sandbox import all as running
from tests.system.host import await_end, state
from tests.system.oracles.addresses import pod_address
from tests.system.oracles.objects import HTTP, pod
from tests.system.reachability import assert_everything_passes, shop

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parents[2]
NAMES = ("east", "north", "south", "west")


@pytest.fixture
def four(clusters_home: Path) -> Iterator[dict[str, Cluster]]:
    """Clusters with the same shop in them, and with one pod that only its own cluster knows."""

    def start(name: str) -> Cluster:
        return Cluster.up("three-node", [*shop(), pod(f"only-{name}", "worker-3")], name=name)

    with ExitStack() as stack, ThreadPoolExecutor(len(NAMES)) as pool:
        clusters = dict(zip(NAMES, pool.map(start, NAMES), strict=True))
        for cluster in clusters.values():
            stack.callback(cluster.down)
        yield clusters


def test_each_is_alone(clusters_home: Path, four: dict[str, Cluster]) -> None:
    assert [sandbox.name for sandbox in running()] == sorted(NAMES)
    with ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(assert_everything_passes, four.values()))
        addresses = dict(pool.map(_meet_the_only_one, four.items()))
    assert len(set(addresses.values())) == 1, "the test shows nothing when addresses differ"
    for name, cluster in four.items():
        pods = {found["metadata"]["name"] for found in cluster.get("Pod")}
        assert {found for found in pods if found.startswith("only-")} == {f"only-{name}"}
        _listens_on_its_own(cluster)


def _meet_the_only_one(named: tuple[str, Cluster]) -> tuple[str, str]:
    """At one and the same address everybody finds the pod of the own cluster."""
    name, cluster = named
    address = pod_address(cluster, f"only-{name}", 4)
    report = cluster.probe("shop/client", address, f"{HTTP}/tcp", http="/hostname")
    assert report["outcome"] == "connected"
    assert report["endpoints"] == {f"shop/only-{name}": 1}
    assert f"only-{name}" in json.dumps(report["http"])
    return name, address


def _listens_on_its_own(cluster: Cluster) -> None:
    """The controller's port is the same everywhere, and belongs to one controller in each."""
    command = cluster.sandbox.command(["ss", "-Hltn", "sport", "=", ":6653"])
    listening = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(listening) == 1


def test_down_all_leaves_nothing(clusters_home: Path) -> None:
    before = state()
    with ThreadPoolExecutor(2) as pool:
        started = list(pool.map(_mininetes_up, NAMES[:2]))
    assert [done.returncode for done in started] == [0, 0], started
    down = subprocess.run(
        [sys.executable, "-m", "emulator.cli", "down", "--all"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert down.stdout.splitlines() == [f"{name} stopped" for name in NAMES[:2]]
    await_end(clusters_home)
    assert list(clusters_home.iterdir()) == []
    assert state() == before


def _mininetes_up(name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emulator.cli", "up", "single-node", "--name", name]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

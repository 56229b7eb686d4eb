"""What impaired links do to datagrams and streams, counted at both ends; by netem or by the relay."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emulator import Cluster
from emulator.api.errors import ApiError
from tests.system.chance import assert_share
from tests.system.faults.restored import assert_restored, standing
from tests.system.oracles.objects import HTTP, pod
from tests.system.processes import PATIENCE, kill_and_await

pytestmark = pytest.mark.cluster(topology="three-node")

SCRIPT = Path(__file__).with_name("numbered.py")
WORKER_2 = {4: "192.168.50.12", 6: "fd00:192:168:50::12"}
COUNT, SHARE = 100, 0.3
LINK = "worker-1,fabric"


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Cluster:
    """Two pods, on the nodes between which a link is impaired."""
    shop = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    assert cluster.apply([shop, pod("near", "worker-1"), pod("far", "worker-2")]).ready.ready
    assert_sound(cluster)
    return cluster


@pytest.fixture
def whole(running: Cluster) -> Iterator[Cluster]:
    """A cluster that carries everything after each test, and so before the next one."""
    before = standing(running)
    yield running
    running.clear()
    assert running.wait_ready(PATIENCE).ready
    assert_sound(running)
    assert_restored(running, before)


def sent(cluster: Cluster, family: int = 4, size: int = 20_000, count: int = COUNT) -> dict[str, Any]:
    """What arrives of numbered datagrams and a stream, from worker-1 to worker-2."""
    words = ["node/worker-1", "node/worker-2", WORKER_2[family], str(count), str(size)]
    argv = cluster.sandbox.command(["python", str(SCRIPT), *words])
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_sound(cluster: Cluster) -> None:
    seen = sent(cluster, count=20)
    assert seen["order"] == list(range(20))
    assert seen["corrupted"] == 0
    assert seen["stream"]


def test_delay(whole: Cluster) -> None:
    did = whole.inject("link-impaired", link=LINK, delay="30ms")["did"]
    assert "delay 30ms" in did[0]
    for family in (4, 6):
        seen = sent(whole, family)
        assert seen["order"] == list(range(COUNT)), "a delay alone changes no order"
        assert min(seen["delays"]) >= 0.030
        assert seen["stream"]
        assert seen["seconds"] >= 4 * 0.030, "a handshake, the data, and the answer to it"


def test_loss_and_a_seed(whole: Cluster) -> None:
    fault = whole.inject("link-impaired", link="worker-1", loss="30%", seed=11)
    assert fault["arguments"]["seed"] == 11

    def lost(family: int) -> int:
        seen = sent(whole, family, size=3000)
        assert seen["order"] == sorted(set(seen["order"]))
        assert seen["stream"], "TCP sends again what is lost"
        return COUNT - len(seen["order"])

    for family in (4, 6):
        assert_share(SHARE, COUNT, partial(lost, family))


def test_duplication(whole: Cluster) -> None:
    whole.inject("link-impaired", link=LINK, duplicate="30%", seed=12)

    def doubled() -> int:
        seen = sent(whole)
        assert set(seen["order"]) == set(range(COUNT))
        assert seen["stream"]
        return len(seen["order"]) - COUNT

    assert_share(SHARE, COUNT, doubled)


@pytest.mark.parametrize("effect", [{"jitter": "20ms"}, {"reorder": "30%"}])
def test_packets_overtake(whole: Cluster, effect: dict[str, str]) -> None:
    whole.inject("link-impaired", link=LINK, delay="20ms", seed=13, **effect)
    seen = sent(whole)
    # That none of 100 overtakes has a probability below 1e-15 in either case.
    assert any(first > second for first, second in pairwise(seen["order"]))
    assert sorted(seen["order"]) == list(range(COUNT))
    assert seen["stream"], "TCP puts them in order"


def test_corruption(whole: Cluster) -> None:
    whole.inject("link-impaired", link=LINK, corrupt="30%", seed=14)

    def spoilt() -> int:
        seen = sent(whole, size=3000)
        assert seen["corrupted"] > 0
        assert seen["stream"], "TCP's checksum sees it"
        # Of 204 + 42 bytes the headers' bits lose the datagram; those of the payload are seen at the end.
        return int(seen["corrupted"] + COUNT - len(seen["order"]))

    assert_share(SHARE, COUNT, spoilt)


def test_rate(whole: Cluster) -> None:
    whole.inject("link-impaired", link=LINK, rate="4mbit")
    seen = sent(whole, size=300_000, count=10)
    assert seen["stream"]
    assert seen["seconds"] >= (300_000 - 2 * 15_000) * 8 / 4e6


def test_rate_and_delay_together(whole: Cluster) -> None:
    whole.inject("link-impaired", link=LINK, rate="4mbit", delay="10ms")
    seen = sent(whole, size=300_000, count=10)
    assert min(seen["delays"]) >= 0.010
    assert seen["seconds"] >= (300_000 - 2 * 15_000) * 8 / 4e6


def test_impairments_outlive_the_relay_the_engine_and_the_switch(whole: Cluster) -> None:
    did = whole.inject("link-impaired", link=LINK, delay="30ms")["did"][0]
    whole.inject("link-mtu", link=LINK)
    assert "by netem" in did or whole.sandbox.services()["relay"]["state"] == "ready"
    if whole.sandbox.services()["relay"]["state"] == "ready":
        kill_and_await(whole, "relay")
        assert min(sent(whole, size=1000, count=20)["delays"]) >= 0.030
    for service in ("engine", "ovs-vswitchd"):
        kill_and_await(whole, service)
        assert whole.wait_ready(PATIENCE).ready
        seen = sent(whole, size=1000, count=20)
        assert len(seen["order"]) == 20
        assert min(seen["delays"]) >= 0.030, service


@pytest.mark.parametrize("family", [4, 6])
def test_a_small_mtu_is_a_black_hole_for_pods(whole: Cluster, family: int) -> None:
    found = whole.get("Pod", "far", "shop")["status"]["podIPs"]
    far = next(one["ip"] for one in found if (":" in one["ip"]) == (family == 6))
    whole.inject("link-mtu", link=LINK, mtu="1400")

    def ping(size: int) -> bool:
        words = ["ping", "-M", "do", "-c1", "-W1", "-s", str(size - (28 if family == 4 else 48)), far]
        return whole.exec("shop/near", words).exit_code == 0

    assert ping(1350), "50 bytes of VXLAN around it make 1400"
    assert not ping(1351), "nobody is told: no error comes back, the packet is gone"
    assert whole.probe("shop/near", "shop/far", f"{HTTP}/tcp", family=family)["outcome"] == "connected"


def test_a_cut_cable_and_a_pods_own(whole: Cluster) -> None:
    assert whole.probe("shop/near", "shop/far", f"{HTTP}/tcp")["outcome"] == "connected"
    whole.inject("link-down", link="shop/far")
    assert whole.probe("shop/near", "shop/far", f"{HTTP}/tcp", timeout=0.5)["outcome"] == "dropped"
    assert "NO-CARRIER" in whole.exec("shop/far", ["ip", "link", "show", "eth0"]).stdout
    whole.clear("link-down")
    whole.inject("link-impaired", link="shop/far", delay="40ms")
    seen = whole.probe("shop/near", "shop/far", f"{HTTP}/tcp")
    assert seen["outcome"] == "connected"
    assert seen["milliseconds"]["least"] >= 40


def test_a_link_that_is_not_there(running: Cluster) -> None:
    with pytest.raises(ApiError, match=r"no one link 'worker-9'.*worker-1,fabric"):
        running.inject("link-down", link="worker-9")
    with pytest.raises(ApiError, match="there are several"):
        running.inject("link-down", link="fabric")
    assert running.faults() == []

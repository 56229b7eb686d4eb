"""Causes in routing daemons: an address that only one node advertises, and that nobody does any more."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from emulator import Cluster
from tests.system.diagnose.bgp import CASES, TOR, WORKER
from tests.system.diagnose.case import named
from tests.system.diagnose.objects import HTTP, UDP, pod, ports_to, service

SPEAKER_DOWN, SESSION_DOWN = CASES


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    objects = [
        pod("default", nodeName="worker-1"),
        service("default", type="LoadBalancer", externalTrafficPolicy="Local", ports=ports_to(HTTP, UDP)),
    ]
    with Cluster.up("on-prem-bgp", objects, name=f"diagnose-bgp-{os.getpid()}") as running:
        ready = running.wait_ready()
        assert ready.ready, ready.missing
        yield running


@pytest.fixture(scope="module")
def addresses(cluster: Cluster) -> dict[int, str]:
    found = cluster.get("Service", "server", "default")["status"]["loadBalancer"]["ingress"]
    return {6 if ":" in one["ip"] else 4: one["ip"] for one in found}


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_no_cause_is_named_when_nothing_is_wrong(
    cluster: Cluster, addresses: dict[int, str], family: int
) -> None:
    for port in ("80/tcp", "81/udp"):
        found = cluster.diagnose("ext/client", addresses[family], port)
        assert (found["outcome"], found["agrees"], found["cause"]) == ("connected", True, None), found


def test_a_node_whose_daemon_is_down(cluster: Cluster, addresses: dict[int, str]) -> None:
    """The other nodes advertise the whole range still, and have no endpoint."""
    case = SPEAKER_DOWN
    for fault, arguments in case.faults:
        cluster.inject(fault, **arguments)
    try:
        for family, port in case.asked():
            found = cluster.diagnose(case.source, addresses[family], port)
            assert found["outcome"] != "connected", found
            assert named(found) == case.causes(), found
    finally:
        cluster.clear()
    assert cluster.wait_ready(60).ready
    cluster.inject("bird-killed", place=WORKER)
    assert cluster.wait_ready(60).ready
    found = cluster.diagnose("ext/client", addresses[4], "80/tcp")
    assert (found["outcome"], found["causes"]) == ("connected", []), "it was over at once"


def test_a_session_that_is_disabled(cluster: Cluster, addresses: dict[int, str]) -> None:
    """Only of one family: the other one's goes on, and nothing is wrong with it."""
    case = SESSION_DOWN
    cluster.exec(TOR, ["birdc", "disable", "worker_1_4"])
    try:
        assert cluster.wait_ready(60).ready
        for family, port in case.asked():
            found = cluster.diagnose(case.source, addresses[family], port)
            assert found["outcome"] != "connected", found
            assert named(found) == case.causes(), found
        other = cluster.diagnose(case.source, addresses[6], "80/tcp")
        assert (other["outcome"], other["causes"]) == ("connected", []), other
    finally:
        cluster.exec(TOR, ["birdc", "enable", "worker_1_4"])
    assert cluster.wait_ready(60).ready

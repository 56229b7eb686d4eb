"""Servers that close many connections: each port that they close rests for a minute."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.oracles.objects import namespace, pod, service

pytestmark = pytest.mark.topologies("three-node")

RATE, REQUESTS = 450, 2000
"""With ports chosen at random, 60 of the second 2,000 connections would meet one of the first, and half of
these would not be let in: that none does has a chance below 1e-9."""


@pytest.fixture(scope="module")
def busy(cluster: Cluster) -> Cluster:
    web = pod("web", "worker-1")
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}]
    exposed = service("web", "web", family=4, ports=ports)
    exposed["spec"]["type"] = "NodePort"
    applied = cluster.apply([namespace("shop"), web, exposed])
    assert applied.ready.ready, applied.ready.missing
    return cluster


def test_masqueraded_connections_do_not_meet_those_that_rest(busy: Cluster) -> None:
    """Open vSwitch forgets a closed connection after 45 s, and a server after 60 s.

    Between the two bursts the switch is made to forget at once.
    """
    where = {"from": "ext/client", "to": "node/worker-3", "port": "30080/tcp"}
    stream = {**where, "rate": RATE, "http": "/hostname", "timeout": 4}
    for _ in range(2):
        load = busy.start_load([stream, stream])
        report = busy.stop_load(load, sent=REQUESTS)
        assert set(report["outcomes"]) == {"connected"}, report["outcomes"]
        inside(busy, "ovs-appctl", "dpctl/flush-conntrack")

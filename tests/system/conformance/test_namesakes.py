"""Pods that come back under their names at once keep their network when the first ones' end is complete."""

from __future__ import annotations

from emulator import Cluster
from tests.system.conformance.objects import namespace, server


def test_namesakes_keep_their_network(cluster: Cluster) -> None:
    pods = [server("again", "client"), server("again", "other", node="worker-2")]
    for _ in range(8):
        cluster.apply([namespace("again"), *pods])
        assert cluster.probe("again/client", "again/other", "8080/tcp")["outcome"] == "connected"
        cluster.delete([namespace("again")])

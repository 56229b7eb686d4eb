"""A node whose wire is cut, on real packets. Open vSwitch complains, so it has its own cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from emulator import Cluster
from emulator.cluster.pods import is_ready, node_name
from tests.system.hygiene import inside
from tests.system.living import answers, apply, deployment, everywhere, pod, service


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster.up("three-node", name=f"loss-{os.getpid()}") as running:
        yield running


def test_a_node_that_loses_its_wire(cluster: Cluster) -> None:
    """Its pods leave their Service at once, run elsewhere a moment later, and are gone when it is back."""
    never = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
        for key in ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
    ]
    space = "default"
    apply(cluster, pod(space, "client", "worker-1"))
    apply(cluster, service(space, "web"), deployment(space, "web", 3, tolerations=never))
    pods = cluster.get("Pod", None, space, "app=web")
    (lost,) = [one for one in pods if node_name(one) == "worker-3"]
    others = {one["metadata"]["name"] for one in pods if one is not lost}
    name = lost["metadata"]["name"]
    inside(cluster, "ip", "link", "set", "n3-up", "down")
    try:
        cluster.wait_for("Pod", name, space, lambda p: p is not None and not is_ready(p), 20)
        assert cluster.wait_ready().ready
        assert answers(cluster, f"{space}/client", f"svc/{space}/web", "80/tcp") >= others
        cluster.wait_for("Pod", name, space, lambda p: p is not None and "deletionTimestamp" in p["metadata"])
        ready = cluster.wait_ready()
        assert ready.ready, ready.missing
        again = {
            one["metadata"]["name"]: node_name(one) for one in cluster.get("Pod", None, space, "app=web")
        }
        assert again.pop(name) == "worker-3", "nobody can confirm that it has ended"
        assert sorted(again.values()) in (
            ["worker-1", "worker-1", "worker-2"],
            ["worker-1", "worker-2", "worker-2"],
        )
        everywhere(cluster, space, "web", set(again))
    finally:
        inside(cluster, "ip", "link", "set", "n3-up", "up")
    cluster.wait_for("Pod", name, space, lambda p: p is None, 20)
    node = cluster.get("Node", "worker-3")
    assert "taints" not in node["spec"]
    apply(cluster, pod(space, "back", "worker-3"))
    assert answers(cluster, f"{space}/client", f"{space}/back", "8080/tcp", count=3) == {"back"}

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from emulator.cli.program import program
from emulator.cli.session import Session

from ..fake_cluster import FakeCluster, node, pod

Invoke = Callable[..., Result]


@pytest.fixture
def cluster() -> FakeCluster:
    owner = {"kind": "ReplicaSet", "name": "web-5d"}
    return FakeCluster().add(
        node("worker-1"),
        pod("web-1", owner=owner),
        pod("web-2", ip="10.244.1.4", owner=owner),
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": "web-5d",
                "namespace": "shop",
                "ownerReferences": [{"kind": "Deployment", "name": "web"}],
            },
        },
        pod("db-0", namespace="default"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "type": "NodePort",
                "clusterIP": "10.96.0.20",
                "clusterIPs": ["10.96.0.20"],
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}],
                "selector": {"app": "web"},
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "generation": 1},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {}}},
            "status": {
                "observedGeneration": 1,
                "replicas": 2,
                "readyReplicas": 2,
                "updatedReplicas": 2,
                "availableReplicas": 2,
            },
        },
    )


@pytest.fixture
def invoke(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Invoke:
    """Run the program with the fake cluster behind it, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def start(topology: str, manifests: Any, **options: Any) -> FakeCluster:
        cluster.calls.append(("up", topology, options))
        cluster.apply(manifests)
        return cluster

    def run(*args: str, **options: Any) -> Result:
        session = Session(connect=lambda _name: cluster, start=start)
        return CliRunner().invoke(program, list(args), obj=session, **options)

    return run

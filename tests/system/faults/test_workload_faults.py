"""Faults of what runs in pods, and of kube-proxy: what clients see, and what is restored."""

from __future__ import annotations

from typing import Any

import pytest

from emulator import Cluster
from tests.system.oracles.objects import HTTP, UDP, pod, service
from tests.system.processes import PATIENCE, kill_and_await
from tests.system.reachability import FAMILIES, assert_everything_passes, shop

pytestmark = pytest.mark.cluster(topology="three-node")

PORTS = ("80/tcp", "81/udp")
SILENCE = 0.3
"""Seconds after which a probe that is not to be answered gives up."""


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Cluster:
    """A shop, and two Services with a pod of their own behind them."""
    assert cluster.apply([*shop(), pod("lone", "worker-2", app="lone"), *lone()]).ready.ready
    return cluster


def lone() -> list[dict[str, Any]]:
    ports = [
        {"name": "http", "port": 80, "targetPort": HTTP},
        {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": UDP},
    ]
    return [service("lone", "lone", family=family, ports=ports) for family in FAMILIES]


def served(cluster: Cluster, source: str = "shop/client", **options: Any) -> set[str]:
    return {
        str(cluster.probe(source, f"svc/shop/lone-v{family}", port, **options)["outcome"])
        for family in FAMILIES
        for port in PORTS
    }


def direct(cluster: Cluster) -> set[str]:
    return {
        str(cluster.probe("shop/client", "shop/lone", port, family=family)["outcome"])
        for family in FAMILIES
        for port in (f"{HTTP}/tcp", f"{UDP}/udp")
    }


def finish(cluster: Cluster) -> None:
    cluster.clear()
    readiness = cluster.wait_ready(PATIENCE)
    assert readiness.ready, readiness.missing
    assert cluster.faults() == []
    assert served(cluster) == {"connected"}


def test_readiness_failing(running: Cluster) -> None:
    """Out of the Service, which refuses without it, and reached directly all the same."""
    assert served(running) == {"connected"}
    running.inject("readiness-failing", pod="shop/lone")
    assert served(running) == {"rejected"}
    assert direct(running) == {"connected"}
    kill_and_await(running, "engine")
    assert running.wait_ready(PATIENCE).ready
    assert served(running) == {"rejected"}, "it outlives the engine"
    finish(running)


def test_container_crash(running: Cluster) -> None:
    """CrashLoopBackOff, and nobody listens; once it is cleared the container runs at once."""
    assert direct(running) == {"connected"}
    running.inject("container-crash", pod="shop/lone")
    assert direct(running) == {"rejected"}
    assert served(running) == {"rejected"}
    running.wait_for("Pod", "lone", "shop", lambda found: waits(found) == "CrashLoopBackOff", PATIENCE)
    finish(running)
    assert direct(running) == {"connected"}


def waits(found: dict[str, Any] | None) -> str:
    assert found is not None
    state = found["status"]["containerStatuses"][0]["state"]
    return str((state.get("waiting") or {}).get("reason", ""))


def test_container_killed(running: Cluster) -> None:
    """It is started again by its restartPolicy, and the pod keeps its address."""
    before = running.get("Pod", "own", "shop")
    running.inject("container-killed", pod="shop/own")
    restarts = before["status"]["containerStatuses"][0]["restartCount"] + 1
    running.wait_for("Pod", "own", "shop", lambda found: has_restarted(found, restarts), PATIENCE)
    assert running.wait_ready(PATIENCE).ready
    after = running.get("Pod", "own", "shop")
    assert after["status"]["podIPs"] == before["status"]["podIPs"]
    ended = after["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert ended["exitCode"] == 137
    assert running.faults() == []


def has_restarted(found: dict[str, Any] | None, restarts: int) -> bool:
    assert found is not None
    status = found["status"]["containerStatuses"][0]
    return bool(status["restartCount"] == restarts and "running" in status["state"])


def test_dns_down(running: Cluster) -> None:
    """Names fail and addresses work."""
    name = "lone-v4.shop.svc.cluster.local"
    assert running.probe("shop/client", name, "80/tcp")["outcome"] == "connected"
    running.inject("dns-down")
    assert running.probe("shop/client", name, "80/tcp")["outcome"] != "connected"
    assert served(running) == {"connected"}
    finish(running)
    assert running.probe("shop/client", name, "80/tcp")["outcome"] == "connected"


def test_kube_proxy_stopped(running: Cluster) -> None:
    """A Service that changes later changes for the others; the node's own pods go where it led before.

    What the controller does anew it does so, too; and once kube-proxy runs again, it knows everything.
    """
    running.inject("kube-proxy-stopped", node="worker-1")
    assert served(running) == {"connected"}, "what it knows, it knows"
    health = running.probe("node/worker-1", "192.168.50.11", "10256/tcp")
    assert health["outcome"] == "rejected"
    late = service("late", "lone", family=4, ports=[{"port": 80, "targetPort": HTTP}])
    late["metadata"]["name"] = "late"
    assert running.apply([late, pod("spare", "worker-3", app="lone")]).ready.ready
    assert running.delete([pod("lone", "worker-2", app="lone")]).ready.ready
    assert running.probe("shop/client", "svc/shop/late", "80/tcp", timeout=SILENCE)["outcome"] == "dropped"
    assert running.probe("shop/web-2", "svc/shop/late", "80/tcp")["outcome"] == "connected"
    assert "connected" not in served(running, timeout=SILENCE), "it leads to the pod that is gone"
    assert served(running, source="shop/web-2") == {"connected"}
    stale = running.drift("worker-1")["items"]
    assert any("late" in one["owner"] for one in stale)
    assert running.drift("worker-2")["items"] == []
    running.inject("controller-killed")
    assert running.wait_ready(PATIENCE).ready
    assert running.probe("shop/client", "svc/shop/late", "80/tcp", timeout=SILENCE)["outcome"] == "dropped"
    running.clear("kube-proxy-stopped")
    assert running.wait_ready(PATIENCE).ready
    assert running.probe("shop/client", "svc/shop/late", "80/tcp")["outcome"] == "connected"
    assert running.drift()["items"] == []
    finish(running)
    assert_everything_passes(running)

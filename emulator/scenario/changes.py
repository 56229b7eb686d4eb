"""The changes that are patches: scale, label, rollout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from emulator.api.objects import JsonObject
from emulator.scenario.cluster import LiveCluster

ROLLED_OUT = ("Deployment", "StatefulSet", "DaemonSet")


def scale(cluster: LiveCluster, kind: str, name: str, namespace: str | None, replicas: int) -> None:
    """Set the number of replicas. Raises ApiError."""
    cluster.patch(kind, name, namespace, {"spec": {"replicas": replicas}})


def label(
    cluster: LiveCluster, kind: str, name: str, namespace: str | None, labels: Mapping[str, str | None]
) -> None:
    """Set labels; None removes one. Raises ApiError."""
    cluster.patch(kind, name, namespace, {"metadata": {"labels": dict(labels)}})


def restart(cluster: LiveCluster, kind: str, name: str, namespace: str | None) -> None:
    """Replace all pods of a workload, as `kubectl rollout restart` does: by a changed template."""
    stamp = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    cluster.patch(kind, name, namespace, {"spec": {"template": {"metadata": {"annotations": stamp}}}})


def wait_rolled_out(
    cluster: LiveCluster, kind: str, name: str, namespace: str | None, timeout: float
) -> None:
    """Wait until the newest template runs everywhere. Raises TimeoutError."""
    cluster.wait_for(kind, name, namespace, rolled_out, timeout)


def rolled_out(workload: JsonObject | None) -> bool:
    """Whether a workload's newest template runs everywhere (kubectl's `rollout status`)."""
    if workload is None:
        return False
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("updatedNumberScheduled", 0) >= wanted <= status.get("numberAvailable", 0))
    wanted = spec.get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if workload["kind"] == "StatefulSet":
        available = status.get("readyReplicas", 0)
    return bool(updated >= wanted and status.get("replicas", 0) <= updated and available >= updated)

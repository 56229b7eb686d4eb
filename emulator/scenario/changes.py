"""The changes that are patches, and what is made of them: scale, label, rollout, cordon, drain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.drain import DrainOptions, DrainPlan, plan_drain
from emulator.cluster.pods import node_name
from emulator.cluster.rollouts import (
    Revision,
    RolloutError,
    Stage,
    history_of,
    progress_of,
    revision_to_restore,
    way_to,
)
from emulator.cluster.workloads.deployment import CHANGE_CAUSE
from emulator.scenario.cluster import Applied, LiveCluster

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
    cluster: LiveCluster,
    kind: str,
    name: str,
    namespace: str | None,
    timeout: float,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Wait until the newest template runs everywhere, and `tell` how far it is each time that changes.

    Raises TimeoutError, RolloutStuck when the rollout itself is over time, and ApiError.
    """
    told: list[str] = []

    def settled(workload: JsonObject | None) -> bool:
        if workload is None:
            raise ApiError(404, "NotFound", f'{kind.lower()} "{name}" is gone')
        progress = progress_of(workload)
        if progress.stage is Stage.STUCK:
            raise RolloutStuck(progress.text)
        if progress.text not in told[-1:]:
            told.append(progress.text)
            tell(progress.text)
        return progress.stage is Stage.DONE

    cluster.get(kind, name, namespace)
    cluster.wait_for(kind, name, namespace, settled, timeout)


class RolloutStuck(Exception):  # noqa: N818 - it is the rollout that is in error
    """Nothing has moved for longer than the Deployment allows."""

    exit_code = 1


def undo(cluster: LiveCluster, name: str, namespace: str | None, revision: int = 0) -> int | None:
    """Give a Deployment an earlier template: that of `revision`, or the one before the present one.

    Returns None, or the number of the revision that its template matches already. Raises ApiError and
    RolloutError.
    """
    deployment = cluster.get("Deployment", name, namespace)
    if deployment["spec"].get("paused"):
        raise RolloutError(
            "you cannot rollback a paused deployment; resume it first with 'rollout resume' and try again"
        )
    chosen = revision_to_restore(history(cluster, name, namespace), revision)
    patch = way_to(chosen, deployment)
    if patch is None:
        return chosen.number
    if chosen.cause:
        patch["metadata"] = {"annotations": {CHANGE_CAUSE: chosen.cause}}
    cluster.patch("Deployment", name, namespace, patch)
    return None


def history(cluster: LiveCluster, name: str, namespace: str | None) -> tuple[Revision, ...]:
    """What a Deployment can go back to. Raises ApiError."""
    deployment = cluster.get("Deployment", name, namespace)
    return history_of(deployment, cluster.get("ReplicaSet", None, namespace))


def pause(cluster: LiveCluster, name: str, namespace: str | None) -> None:
    """Let a Deployment's template change without pods being replaced. Raises ApiError."""
    cluster.patch("Deployment", name, namespace, {"spec": {"paused": True}})


def resume(cluster: LiveCluster, name: str, namespace: str | None) -> None:
    """Let a paused Deployment go on. Raises ApiError."""
    cluster.patch("Deployment", name, namespace, {"spec": {"paused": None}})


# -- nodes -----------------------------------------------------------------------------------------


def cordon(cluster: LiveCluster, node: str) -> bool:
    """Keep new pods from a node; False when it was so already. Raises ApiError."""
    if cluster.get("Node", node)["spec"].get("unschedulable"):
        return False
    cluster.patch("Node", node, None, {"spec": {"unschedulable": True}})
    return True


def uncordon(cluster: LiveCluster, node: str) -> bool:
    """Let a node have pods again; False when it was so already. Raises ApiError."""
    if not cluster.get("Node", node)["spec"].get("unschedulable"):
        return False
    cluster.patch("Node", node, None, {"spec": {"unschedulable": None}})
    return True


class DrainRefused(Exception):  # noqa: N818 - what kubectl calls an error is a refusal
    """The node has pods that the options do not allow to evict; it stays cordoned."""

    exit_code = 1


def plan_of_drain(
    cluster: LiveCluster, node: str, options: DrainOptions, selector: str | None = None
) -> DrainPlan:
    """What a drain of this node would do. Raises ApiError, and DrainRefused when it must not be done."""
    pods = [pod for pod in cluster.get("Pod", None, None, selector) if node_name(pod) == node]
    daemon_sets = {
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in cluster.get("DaemonSet")
    }
    plan = plan_drain(pods, daemon_sets, options)
    if plan.errors:
        errors = plan.errors[0] if len(plan.errors) == 1 else f"[{', '.join(plan.errors)}]"
        raise DrainRefused(f'unable to drain node "{node}" due to error: {errors}')
    return plan


def evict(cluster: LiveCluster, plan: DrainPlan, timeout: float, grace: int | None = None) -> Applied:
    """Delete the pods of a plan, each with its grace period unless `grace` says another, in seconds.

    Returns when they are gone and what replaces them is in force, or at the deadline. Raises ApiError.
    """
    named = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": m["name"], "namespace": m["namespace"]}}
        for m in (pod["metadata"] for pod in plan.evict)
    ]
    return cluster.delete(named, timeout=timeout, grace_seconds=grace)

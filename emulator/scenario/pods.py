"""From a place that stands for pods to one pod."""

from __future__ import annotations

from typing import Any

from emulator.api.objects import JsonObject
from emulator.scenario.cluster import LiveCluster
from emulator.verdict.expectation import dig
from emulator.verdict.places import WORKLOADS, Place, PlaceError, PlaceKind, parse_place

_KINDS = {
    PlaceKind.DEPLOYMENT: "Deployment",
    PlaceKind.STATEFUL_SET: "StatefulSet",
    PlaceKind.DAEMON_SET: "DaemonSet",
}


def pod_named(cluster: LiveCluster, text: str, namespace: str = "default") -> str:
    """`namespace/name` of the pod that `text` means; of a workload, its first ready pod.

    Raises PlaceError for what stands for no pod, ApiError for what does not exist.
    """
    place = parse_place(text, namespace)
    if place.kind is PlaceKind.POD:
        return f"{place.namespace}/{place.name}"
    if place.kind not in WORKLOADS:
        raise PlaceError(f"{text!r} is not a pod: write POD, NAMESPACE/POD or deploy/NAME")
    pods = pods_of(cluster, place)
    if not pods:
        raise PlaceError(f"{place} has no pod")
    ready = [pod for pod in pods if _is_ready(pod)]
    chosen = min(ready or pods, key=lambda pod: str(pod["metadata"]["name"]))
    return f"{place.namespace}/{chosen['metadata']['name']}"


def pods_of(cluster: LiveCluster, workload: Place) -> list[JsonObject]:
    """The pods that a workload owns, directly or through ReplicaSets. Raises ApiError (404)."""
    owner = cluster.get(_KINDS[workload.kind], workload.name, workload.namespace)
    owners = {_identity(owner)}
    if workload.kind is PlaceKind.DEPLOYMENT:
        sets = cluster.get("ReplicaSet", None, workload.namespace)
        owners = {_identity(one) for one in sets if _owned_by(one, owners)}
    return [pod for pod in cluster.get("Pod", None, workload.namespace) if _owned_by(pod, owners)]


def _identity(obj: JsonObject) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


def _owned_by(obj: JsonObject, owners: set[tuple[str, str]]) -> bool:
    references: list[dict[str, Any]] = obj["metadata"].get("ownerReferences") or []
    return any((reference.get("kind"), reference.get("name")) in owners for reference in references)


def _is_ready(pod: JsonObject) -> bool:
    return bool(dig(pod, "status.conditions[type=Ready].status") == "True")

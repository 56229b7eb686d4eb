"""From a place that stands for pods to one pod."""

from __future__ import annotations

from typing import Any

from emulator.api.errors import ApiError
from emulator.api.kinds import find_word
from emulator.api.objects import JsonObject
from emulator.cluster.places import MACHINES, Place, PlaceError, PlaceKind, parse_place
from emulator.scenario.cluster import LiveCluster
from emulator.verdict.expectation import dig

_KINDS = {
    PlaceKind.DEPLOYMENT: "Deployment",
    PlaceKind.STATEFUL_SET: "StatefulSet",
    PlaceKind.DAEMON_SET: "DaemonSet",
}
_OWNERS = frozenset({*_KINDS.values(), "ReplicaSet", "Job"})


def pod_named(cluster: LiveCluster, text: str, namespace: str = "default") -> str:
    """`namespace/name` of the pod that `text` means; of a workload or Service, its first ready pod.

    Kubernetes' words for kinds do too (`deployment/web`, `job/import`), unless a namespace is called so.
    Raises PlaceError for what stands for no pod, ApiError for what does not exist.
    """
    place = parse_place(text, namespace)
    kind = _KINDS.get(place.kind)
    if place.kind is PlaceKind.POD:
        kind = _kind_meant(cluster, text)
        if kind is None:
            return str(place)
        place = Place(place.kind, place.name, namespace)
    if kind == "Pod":
        return str(Place(PlaceKind.POD, place.name, namespace))
    if place.kind is PlaceKind.SERVICE:
        pods = _selected(cluster, place)
    elif kind is None:
        raise PlaceError(f"{text!r} is not a pod: write POD, NAMESPACE/POD, deploy/NAME or svc/NAME")
    else:
        pods = _owned(cluster, kind, place.name, place.namespace)
    if not pods:
        raise PlaceError(f"{text if place.kind is PlaceKind.POD else place} has no pod")
    ready = [pod for pod in pods if _is_ready(pod)]
    chosen = min(ready or pods, key=lambda pod: str(pod["metadata"]["name"]))
    return str(Place(PlaceKind.POD, chosen["metadata"]["name"], place.namespace))


def site_named(cluster: LiveCluster, text: str, namespace: str = "default") -> str:
    """Where a command is to run: what `pod_named` finds, or a node, a host outside or a router as it is."""
    place = parse_place(text, namespace)
    return str(place) if place.kind in MACHINES else pod_named(cluster, text, namespace)


def pods_of(cluster: LiveCluster, workload: Place) -> list[JsonObject]:
    """The pods that a workload owns, directly or through ReplicaSets. Raises ApiError (404)."""
    return _owned(cluster, _KINDS[workload.kind], workload.name, workload.namespace)


def _kind_meant(cluster: LiveCluster, text: str) -> str | None:
    """The kind that the first of two words names; None when it names a namespace, or nothing of the sort."""
    word, slash, name = text.partition("/")
    kind = find_word(word) if slash and "/" not in name else None
    if kind is None or kind.kind not in {"Pod", *_OWNERS}:
        return None
    try:
        cluster.get("Namespace", word, None)
    except ApiError:
        return kind.kind
    return None


def _selected(cluster: LiveCluster, service: Place) -> list[JsonObject]:
    """The pods that a Service's selector matches; one without a selector has none. Raises ApiError (404)."""
    labels = cluster.get("Service", service.name, service.namespace)["spec"].get("selector")
    wanted = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
    found: list[JsonObject] = cluster.get("Pod", None, service.namespace, wanted) if wanted else []
    return found


def _owned(cluster: LiveCluster, kind: str, name: str, namespace: str) -> list[JsonObject]:
    owners = {_identity(cluster.get(kind, name, namespace))}
    if kind == "Deployment":
        sets = cluster.get("ReplicaSet", None, namespace)
        owners = {_identity(one) for one in sets if _owned_by(one, owners)}
    return [pod for pod in cluster.get("Pod", None, namespace) if _owned_by(pod, owners)]


def _identity(obj: JsonObject) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


def _owned_by(obj: JsonObject, owners: set[tuple[str, str]]) -> bool:
    references: list[dict[str, Any]] = obj["metadata"].get("ownerReferences") or []
    return any((reference.get("kind"), reference.get("name")) in owners for reference in references)


def _is_ready(pod: JsonObject) -> bool:
    return bool(dig(pod, "status.conditions[type=Ready].status") == "True")

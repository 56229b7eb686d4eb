"""What the API server does to objects at birth, at an update and on the way to deletion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from emulator.api.kinds import Kind
from emulator.api.objects import JsonObject

IMMORTAL_NAMESPACES = frozenset({"default", "kube-system"})

_FIRST_STATUS: dict[str, JsonObject] = {
    "Namespace": {"phase": "Active"},
    "Pod": {"phase": "Pending"},
    "Service": {"loadBalancer": {}},
    "Ingress": {"loadBalancer": {}},
}
_DEFAULT_GRACE = 30


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def begin(kind: Kind, obj: JsonObject) -> None:
    """Give a new object the status that the API server starts it with; Nodes bring their own. In place."""
    if kind.has_status and kind.kind != "Node":
        obj["status"] = dict(_FIRST_STATUS.get(kind.kind, {}))
    if kind.kind == "Job":
        _select_own_pods(obj)


def _select_own_pods(job: JsonObject) -> None:
    """Give a Job the selector and the pod labels that no other Job has (unless it brings its own)."""
    spec = job.get("spec", {})
    if spec.get("manualSelector"):
        return
    metadata = job["metadata"]
    labels = {
        "batch.kubernetes.io/controller-uid": metadata["uid"],
        "batch.kubernetes.io/job-name": metadata["name"],
        "controller-uid": metadata["uid"],
        "job-name": metadata["name"],
    }
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    template["labels"] = {**(template.get("labels") or {}), **labels}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": metadata["uid"]}}


def carry_over(old: JsonObject, new: JsonObject) -> None:
    """Fill in what the server allocated at birth and a full replacement need not repeat. In place."""
    spec, previous = new.get("spec"), old.get("spec")
    if not isinstance(spec, dict) or not isinstance(previous, dict):
        return
    match new["kind"]:
        case "Job":
            spec.setdefault("selector", previous.get("selector"))
            if "labels" in previous.get("template", {}).get("metadata", {}):
                template = spec.setdefault("template", {}).setdefault("metadata", {})
                template["labels"] = {
                    **previous["template"]["metadata"]["labels"],
                    **(template.get("labels") or {}),
                }
        case "Pod" if previous.get("nodeName"):
            spec.setdefault("nodeName", previous["nodeName"])
        case "Namespace":
            new["spec"] = previous


def grace_seconds(obj: JsonObject, asked: int | None) -> int:
    """How long `obj` may take to end, in seconds: 0 for everything but a pod that runs somewhere."""
    if obj["kind"] != "Pod":
        return 0
    if not obj["spec"].get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    own = obj["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
    return max(0, int(own if asked is None else asked))


def marked_for_deletion(obj: JsonObject, grace: int, now: datetime) -> JsonObject:
    """The object with its deletion announced; a second announcement can only shorten the first one's
    grace."""
    metadata = dict(obj["metadata"])
    if "deletionTimestamp" in metadata and grace >= metadata.get("deletionGracePeriodSeconds", 0):
        return obj
    metadata["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace
    return {**obj, "metadata": metadata}


def may_go(obj: JsonObject) -> bool:
    """Whether a marked object has nothing left to wait for. A namespace waits for its contents instead."""
    metadata = obj["metadata"]
    return (
        "deletionTimestamp" in metadata
        and metadata.get("deletionGracePeriodSeconds", 0) == 0
        and not metadata.get("finalizers")
        and obj["kind"] != "Namespace"
    )


def terminating_namespace(obj: JsonObject, now: datetime) -> JsonObject:
    """A namespace on its way out."""
    marked = marked_for_deletion(obj, 0, now)
    return {**marked, "status": {**marked.get("status", {}), "phase": "Terminating"}}


def is_owned_by(obj: JsonObject, uid: str) -> bool:
    """Whether one of the object's owners has this uid."""
    return any(owner.get("uid") == uid for owner in obj["metadata"].get("ownerReferences") or ())


def disowned(obj: JsonObject, uid: str) -> JsonObject:
    """The object without that owner."""
    metadata = dict(obj["metadata"])
    metadata["ownerReferences"] = [o for o in metadata["ownerReferences"] if o.get("uid") != uid]
    if not metadata["ownerReferences"]:
        del metadata["ownerReferences"]
    return {**obj, "metadata": metadata}

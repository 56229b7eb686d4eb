"""What all workload controllers share: making pods, claiming them, judging them, reporting conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.api.selectors import Selector, from_label_selector, matches_all
from emulator.cluster.changes import Change, Update
from emulator.cluster.pods import condition, is_active, is_ready
from emulator.cluster.snapshot import Snapshot

POD_TEMPLATE_HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"


def owner_reference(owner: JsonObject) -> JsonObject:
    """What an object that `owner` controls carries in `ownerReferences`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_of(owner: JsonObject, name: str, labels: Mapping[str, str] | None = None) -> JsonObject:
    """A new pod after `owner`'s template, with `labels` beside the template's."""
    template = owner["spec"]["template"]
    metadata = template.get("metadata") or {}
    pod: JsonObject = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), **(labels or {})},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": dict(template["spec"]),
    }
    if metadata.get("annotations"):
        pod["metadata"]["annotations"] = dict(metadata["annotations"])
    return pod


@dataclass(frozen=True, slots=True)
class Claim:
    """The pods of an owner, and the changes that make the claim good."""

    pods: tuple[JsonObject, ...]
    changes: tuple[Change, ...]


def claim_pods(snapshot: Snapshot, owner: JsonObject) -> Claim:
    """The owner's pods: the selector's orphans are adopted, pods that no longer match are let go.

    Changing a pod's label is how people take it out of service to look at it.
    """
    selector = from_label_selector(owner["spec"].get("selector")) or ()
    pods: list[JsonObject] = []
    changes: list[Change] = []
    for pod in snapshot.owned(owner, "Pod"):
        if matches_all(selector, pod["metadata"].get("labels")):
            pods.append(pod)
        else:
            changes.append(_release(pod, owner))
    if "deletionTimestamp" not in owner["metadata"] and selector:
        for pod in _orphans(snapshot, owner, selector):
            adopted = _adopt(pod, owner)
            pods.append(adopted)
            changes.append(Update(adopted))
    return Claim(tuple(pods), tuple(changes))


def _orphans(snapshot: Snapshot, owner: JsonObject, selector: Selector) -> Iterator[JsonObject]:
    for pod in snapshot.orphans.get(owner["metadata"]["namespace"], ()):
        if is_active(pod) and matches_all(selector, pod["metadata"].get("labels")):
            yield pod


def _adopt(pod: JsonObject, owner: JsonObject) -> JsonObject:
    references = [*(pod["metadata"].get("ownerReferences") or ()), owner_reference(owner)]
    return {**pod, "metadata": {**pod["metadata"], "ownerReferences": references}}


def _release(pod: JsonObject, owner: JsonObject) -> Update:
    uid = owner["metadata"]["uid"]
    metadata = dict(pod["metadata"])
    metadata["ownerReferences"] = [ref for ref in metadata["ownerReferences"] if ref.get("uid") != uid]
    return Update({**pod, "metadata": metadata})


def is_available(pod: JsonObject, min_ready_seconds: int, now: datetime) -> bool:
    """Ready, and that for `min_ready_seconds`."""
    return is_ready(pod) and (not min_ready_seconds or available_at(pod, min_ready_seconds) <= now)


def available_at(pod: JsonObject, min_ready_seconds: int) -> datetime:
    """When a ready pod counts (or will count) as available."""
    ready = condition(pod, "Ready") or {}
    since = parse_time(ready.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"])
    return since + timedelta(seconds=min_ready_seconds)


def parse_time(text: str) -> datetime:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text)


def with_condition(
    obj: JsonObject, kind: str, reason: str, message: str, now: datetime, *, value: str
) -> list[JsonObject]:
    """`status.conditions` with one condition set to True, False or Unknown.

    Its transition time moves only when its status changes.
    """
    conditions = list((obj.get("status") or {}).get("conditions") or ())
    old = condition(obj, kind)
    new = {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": timestamp(now),
    }
    if old is not None:
        if old.get("status") == value:
            new["lastTransitionTime"] = old.get("lastTransitionTime", new["lastTransitionTime"])
        conditions[conditions.index(old)] = {**old, **new}
    else:
        conditions.append(new)
    return conditions


def share(value: object, total: int, *, round_up: bool) -> int:
    """An IntOrString: a number, or a percentage of `total`."""
    if isinstance(value, str) and value.endswith("%"):
        scaled = int(value[:-1]) * total
        return -(-scaled // 100) if round_up else scaled // 100
    return int(str(value))

"""Deployments: one ReplicaSet a template, and the walk from the old ones to the new one.

`maxSurge` and `maxUnavailable` hold against the pods that exist, not against what was asked
for: a pod that its ReplicaSet has yet to delete counts as present when pods are added, and as
gone when pods are taken away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, Update, delete, with_status
from emulator.cluster.naming import template_hash
from emulator.cluster.pods import is_active, is_finished, is_ready
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import (
    POD_TEMPLATE_HASH,
    is_available,
    owner_reference,
    share,
    with_condition,
)
from emulator.cluster.workloads.progress import with_progress

CHANGE_CAUSE = "kubernetes.io/change-cause"
REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, slots=True)
class _Set:
    """A ReplicaSet and what its pods do."""

    obj: JsonObject
    replicas: int
    """Asked for."""
    active: int
    ready: int
    available: int
    remaining: int
    """Pods not yet gone, terminating ones included."""

    @property
    def present(self) -> int:
        """Pods that are there or are about to be."""
        return max(self.replicas, self.active)

    @property
    def safely_available(self) -> int:
        """Available pods, less those that are about to be deleted (perhaps available ones)."""
        return max(0, self.available - max(0, self.active - self.replicas))


def deployments(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Create, scale and retire ReplicaSets; report counts and conditions."""
    for deployment in snapshot.all("Deployment"):
        if "deletionTimestamp" not in deployment["metadata"]:
            yield from _reconcile(snapshot, deployment, now)


def _reconcile(snapshot: Snapshot, deployment: JsonObject, now: datetime) -> Iterator[Change]:
    min_ready = deployment["spec"].get("minReadySeconds", 0)
    sets = [_observe(snapshot, obj, min_ready, now) for obj in snapshot.owned(deployment, "ReplicaSet")]
    hashed = template_hash(deployment["spec"]["template"])
    new = next(
        (s for s in sets if (s.obj["metadata"].get("labels") or {}).get(POD_TEMPLATE_HASH) == hashed), None
    )
    old = sorted((s for s in sets if s is not new), key=lambda s: revision_of(s.obj))
    if deployment["spec"].get("paused"):
        yield from _scale_paused(deployment, new, old)
    else:
        yield from _roll(deployment, hashed, new, old)
        yield from _forget(deployment, old)
    yield from _annotate(deployment, new, old)
    yield from with_status(deployment, _status(deployment, new, sets, now))


def _observe(snapshot: Snapshot, replica_set: JsonObject, min_ready: int, now: datetime) -> _Set:
    pods = list(snapshot.owned(replica_set, "Pod"))
    active = [pod for pod in pods if is_active(pod)]
    return _Set(
        obj=replica_set,
        replicas=replica_set["spec"].get("replicas", 1),
        active=len(active),
        ready=sum(is_ready(pod) for pod in active),
        available=sum(is_available(pod, min_ready, now) for pod in active),
        remaining=sum(not is_finished(pod) for pod in pods),
    )


def revision_of(obj: JsonObject) -> int:
    """The revision number that a Deployment or its ReplicaSet carries; 0 before it has one."""
    try:
        return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))
    except ValueError:
        return 0


def surge_and_unavailable(deployment: JsonObject) -> tuple[int, int]:
    """How many pods a rollout may add and miss; both at 0 would never move, so one may be missed then."""
    spec = deployment["spec"]
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    replicas = spec.get("replicas", 1)
    surge = share(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = share(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    return surge, unavailable if surge or unavailable else 1


# -- rolling ---------------------------------------------------------------------------------------


def _roll(deployment: JsonObject, hashed: str, new: _Set | None, old: Sequence[_Set]) -> Iterator[Change]:
    wanted = deployment["spec"].get("replicas", 1)
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        yield from (_scaled(s, 0) for s in old if s.replicas)
        target = 0 if any(s.remaining for s in old) else wanted
    else:
        target = _new_replicas(deployment, new, old)
        yield from _shrink(deployment, new, old)
    if new is None:
        yield Create(_replica_set(deployment, hashed, target, 1 + max(map(_revision, old), default=0)))
    elif new.replicas != target:
        yield _scaled(new, target)


def _revision(observed: _Set) -> int:
    return revision_of(observed.obj)


def _new_replicas(deployment: JsonObject, new: _Set | None, old: Sequence[_Set]) -> int:
    """How many pods the new ReplicaSet may have now (NewRSNewReplicas)."""
    wanted = deployment["spec"].get("replicas", 1)
    have = new.replicas if new else 0
    if have >= wanted:
        return int(wanted)
    surge, _ = surge_and_unavailable(deployment)
    present = sum(s.present for s in old) + (new.present if new else 0)
    return int(have + max(0, min(wanted + surge - present, wanted - have)))


def _shrink(deployment: JsonObject, new: _Set | None, old: Sequence[_Set]) -> Iterator[Change]:
    """Take pods from old ReplicaSets: broken ones first, then as many as the new ones' readiness allows."""
    wanted = deployment["spec"].get("replicas", 1)
    _, unavailable = surge_and_unavailable(deployment)
    least = wanted - unavailable
    sets = [*old, *([new] if new else [])]
    spare = sum(s.safely_available for s in sets) - least
    for observed in old:
        if not observed.replicas:
            continue
        broken = max(0, min(observed.replicas, observed.active) - observed.available)
        missing = max(0, observed.replicas - observed.active)
        healthy = max(0, min(observed.safely_available, spare))
        spare -= healthy
        fewer = observed.replicas - min(observed.replicas, broken + missing + healthy)
        if fewer != observed.replicas:
            yield _scaled(observed, fewer)


def _scale_paused(deployment: JsonObject, new: _Set | None, old: Sequence[_Set]) -> Iterator[Change]:
    """A paused Deployment still follows `replicas`, with the ReplicaSet that carries it at present."""
    carrying = [s for s in (*old, *([new] if new else [])) if s.replicas]
    wanted = deployment["spec"].get("replicas", 1)
    if len(carrying) == 1 and carrying[0].replicas != wanted:
        yield _scaled(carrying[0], wanted)


def _scaled(observed: _Set, replicas: int) -> Update:
    return Update({**observed.obj, "spec": {**observed.obj["spec"], "replicas": replicas}})


def _replica_set(deployment: JsonObject, hashed: str, replicas: int, revision: int) -> JsonObject:
    spec, metadata = deployment["spec"], deployment["metadata"]
    template_metadata = spec["template"].get("metadata") or {}
    labels = {**(template_metadata.get("labels") or {}), POD_TEMPLATE_HASH: hashed}
    selector = dict(spec.get("selector") or {})
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), POD_TEMPLATE_HASH: hashed}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {**_cause(metadata), REVISION: str(revision)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "selector": selector,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "template": {**spec["template"], "metadata": {**template_metadata, "labels": labels}},
        },
    }


# -- history and status ----------------------------------------------------------------------------


def _forget(deployment: JsonObject, old: Sequence[_Set]) -> Iterator[Change]:
    """Empty ReplicaSets beyond the history limit go, the oldest first."""
    empty = [s for s in old if not s.replicas and not s.remaining]
    surplus = len(empty) - deployment["spec"].get("revisionHistoryLimit", 10)
    yield from (delete(s.obj) for s in empty[: max(0, surplus)])


def _annotate(deployment: JsonObject, new: _Set | None, old: Sequence[_Set]) -> Iterator[Change]:
    """Number the revision: going back to an old template makes it the newest revision again."""
    if new is None:
        return
    revision = max(_revision(new), 1 + max(map(_revision, old), default=0))
    cause = _cause(deployment["metadata"])
    for obj in (new.obj, deployment):
        before = obj["metadata"].get("annotations") or {}
        annotations = {**before, **cause, REVISION: str(revision)}
        if annotations != before:
            yield Update({**obj, "metadata": {**obj["metadata"], "annotations": annotations}})


def _cause(metadata: JsonObject) -> JsonObject:
    """Why the present template is as it is, if somebody has said so: it stays with the revision."""
    annotations = metadata.get("annotations") or {}
    return {CHANGE_CAUSE: annotations[CHANGE_CAUSE]} if CHANGE_CAUSE in annotations else {}


def _status(deployment: JsonObject, new: _Set | None, sets: Sequence[_Set], now: datetime) -> JsonObject:
    wanted = deployment["spec"].get("replicas", 1)
    _, unavailable = surge_and_unavailable(deployment)
    total, available = sum(s.active for s in sets), sum(s.available for s in sets)
    updated = new.active if new else 0
    complete = updated == wanted == total == available
    enough = available >= wanted - unavailable
    name = new.obj["metadata"]["name"] if new else deployment["metadata"]["name"]
    conditions = with_condition(
        deployment,
        "Available",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        now,
        value=str(enough),
    )
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": sum(s.ready for s in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, max(total, wanted) - available),
    }
    observed = {**deployment, "status": {"conditions": conditions}}
    moved = any((deployment.get("status") or {}).get(field) != value for field, value in counts.items())
    progressing = with_progress(observed, name, now, complete=complete, moved=moved)
    return {**counts, "conditions": progressing}

"""How far a rollout is, which revisions a Deployment remembers, and the way back to one of them.

The words are those of `kubectl rollout` (k8s.io/kubectl/pkg/polymorphichelpers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from emulator.api.objects import JsonObject, copy_json
from emulator.cluster.pods import condition
from emulator.cluster.workloads.common import POD_TEMPLATE_HASH
from emulator.cluster.workloads.deployment import CHANGE_CAUSE, revision_of
from emulator.cluster.workloads.progress import STALLED


class RolloutError(Exception):
    """A rollout that cannot be looked at, or a revision that is not there."""

    exit_code = 2


class Stage(Enum):
    """Where a rollout is."""

    WAITING = auto()
    DONE = auto()
    STUCK = auto()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollout is, and that in words."""

    stage: Stage
    text: str


def progress_of(workload: JsonObject) -> Progress:
    """How far the rollout of a Deployment, DaemonSet or StatefulSet is.

    Raises RolloutError for one that replaces pods only when somebody deletes them.
    """
    kind, name = workload["kind"], workload["metadata"]["name"]
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        raise RolloutError("rollout status is only available for RollingUpdate strategy type")
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return Progress(Stage.WAITING, f"Waiting for {_SPOKEN[kind]} spec update to be observed...")
    match kind:
        case "Deployment":
            return _deployment(workload, name, spec.get("replicas", 1), status)
        case "DaemonSet":
            return _daemon_set(name, status)
    return _stateful_set(spec, status)


_SPOKEN = {"Deployment": "deployment", "DaemonSet": "daemon set", "StatefulSet": "statefulset"}


def _deployment(deployment: JsonObject, name: str, wanted: int, status: JsonObject) -> Progress:
    progressing = condition(deployment, "Progressing")
    if progressing is not None and progressing.get("reason") == STALLED:
        return Progress(Stage.STUCK, f'deployment "{name}" exceeded its progress deadline')
    total, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wanted:
        return Progress(
            Stage.WAITING, f"{waiting} {updated} out of {wanted} new replicas have been updated..."
        )
    if total > updated:
        left = total - updated
        return Progress(Stage.WAITING, f"{waiting} {left} old replicas are pending termination...")
    if available < updated:
        return Progress(
            Stage.WAITING, f"{waiting} {available} of {updated} updated replicas are available..."
        )
    return Progress(Stage.DONE, f'deployment "{name}" successfully rolled out')


def _daemon_set(name: str, status: JsonObject) -> Progress:
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    available = status.get("numberAvailable", 0)
    waiting = f'Waiting for daemon set "{name}" rollout to finish:'
    if updated < wanted:
        return Progress(Stage.WAITING, f"{waiting} {updated} out of {wanted} new pods have been updated...")
    if available < wanted:
        return Progress(Stage.WAITING, f"{waiting} {available} of {wanted} updated pods are available...")
    return Progress(Stage.DONE, f'daemon set "{name}" successfully rolled out')


def _stateful_set(spec: JsonObject, status: JsonObject) -> Progress:
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    updated, revision = status.get("updatedReplicas", 0), status.get("updateRevision", "")
    if ready < wanted:
        return Progress(Stage.WAITING, f"Waiting for {wanted - ready} pods to be ready...")
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
    if partition:
        due = max(0, wanted - partition)
        if updated < due:
            text = (
                f"Waiting for partitioned roll out to finish: {updated} out of {due} new pods "
                "have been updated..."
            )
            return Progress(Stage.WAITING, text)
        return Progress(Stage.DONE, f"partitioned roll out complete: {updated} new pods have been updated...")
    if revision != status.get("currentRevision", ""):
        text = f"waiting for statefulset rolling update to complete {updated} pods at revision {revision}..."
        return Progress(Stage.WAITING, text)
    text = f"statefulset rolling update complete {wanted} pods at revision {revision}..."
    return Progress(Stage.DONE, text)


# -- history ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Revision:
    """A template that a Deployment has had."""

    number: int
    cause: str
    """What the annotation kubernetes.io/change-cause said then; empty when nobody said anything."""
    template: JsonObject


def history_of(deployment: JsonObject, replica_sets: Iterable[JsonObject]) -> tuple[Revision, ...]:
    """The revisions of a Deployment, oldest first, read from its ReplicaSets."""
    uid = deployment["metadata"].get("uid")
    found = [
        Revision(
            revision_of(obj),
            (obj["metadata"].get("annotations") or {}).get(CHANGE_CAUSE, ""),
            _template(obj),
        )
        for obj in replica_sets
        if any(owner.get("uid") == uid for owner in obj["metadata"].get("ownerReferences") or ())
    ]
    return tuple(sorted(found, key=lambda revision: revision.number))


def _template(replica_set: JsonObject) -> JsonObject:
    template: JsonObject = copy_json(replica_set["spec"]["template"])
    template.get("metadata", {}).get("labels", {}).pop(POD_TEMPLATE_HASH, None)
    return template


def revision_to_restore(history: Sequence[Revision], wanted: int) -> Revision:
    """The revision numbered `wanted`, or with 0 the one before the present one. Raises RolloutError."""
    if wanted:
        for revision in history:
            if revision.number == wanted:
                return revision
        raise RolloutError(f"unable to find specified revision {wanted} in history")
    if len(history) < 2:
        raise RolloutError("no last revision to roll back to")
    return history[-2]


def way_to(revision: Revision, deployment: JsonObject) -> JsonObject | None:
    """The merge patch that gives the Deployment this revision's template; None when it has it already."""
    difference = _difference(deployment["spec"]["template"], revision.template)
    return {"spec": {"template": difference}} if difference else None


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> JsonObject:
    """The merge patch from one object to another (RFC 7386): lists are replaced, what is gone is null."""
    patch: JsonObject = {field: None for field in old if field not in new}
    for field, value in new.items():
        before = old.get(field)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = _difference(before, value)
            if inner:
                patch[field] = inner
        elif field not in old or before != value:
            patch[field] = value
    return patch

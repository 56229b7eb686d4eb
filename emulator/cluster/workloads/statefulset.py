"""StatefulSets: pods with names that stay, made and removed in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, delete, with_status
from emulator.cluster.naming import template_hash
from emulator.cluster.pods import is_active, is_finished, is_ready, is_terminating
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import REVISION_HASH, claim_pods, is_available, pod_of

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"


def stateful_sets(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """One step for every StatefulSet; with OrderedReady the next step waits for the pod of this one."""
    for stateful_set in snapshot.all("StatefulSet"):
        if "deletionTimestamp" in stateful_set["metadata"]:
            continue
        claim = claim_pods(snapshot, stateful_set)
        yield from claim.changes
        pods = {pod["metadata"]["name"]: pod for pod in claim.pods}
        revision = f"{stateful_set['metadata']['name']}-{template_hash(stateful_set['spec']['template'])}"
        yield from _step(stateful_set, pods, revision, now)
        yield from with_status(stateful_set, _status(stateful_set, pods, revision, now))


def pod_names(stateful_set: JsonObject) -> list[str]:
    """The names of its pods, in order of their ordinals."""
    spec, name = stateful_set["spec"], stateful_set["metadata"]["name"]
    start = (spec.get("ordinals") or {}).get("start", 0)
    return [f"{name}-{start + index}" for index in range(spec.get("replicas", 1))]


def _step(
    stateful_set: JsonObject, pods: Mapping[str, JsonObject], revision: str, now: datetime
) -> Iterator[Change]:
    parallel = stateful_set["spec"].get("podManagementPolicy") == "Parallel"
    min_ready = stateful_set["spec"].get("minReadySeconds", 0)
    for name in pod_names(stateful_set):
        pod = pods.get(name)
        if pod is None:
            yield Create(_pod(stateful_set, name, revision))
        elif is_finished(pod) and not is_terminating(pod):
            yield delete(pod)
        elif is_active(pod) and is_available(pod, min_ready, now):
            continue
        if not parallel:
            return
    surplus = _surplus(stateful_set, pods)
    if surplus:
        doomed = surplus if parallel else surplus[:1]
        yield from (delete(pod) for pod in doomed if not is_terminating(pod))
    elif all(_settled(pods.get(name), min_ready, now) for name in pod_names(stateful_set)):
        yield from _update(stateful_set, pods, revision)


def _settled(pod: JsonObject | None, min_ready: int, now: datetime) -> bool:
    return pod is not None and is_active(pod) and is_available(pod, min_ready, now)


def _surplus(stateful_set: JsonObject, pods: Mapping[str, JsonObject]) -> list[JsonObject]:
    """Pods beyond the wanted ordinals, the highest first."""
    wanted = set(pod_names(stateful_set))
    return sorted((p for name, p in pods.items() if name not in wanted), key=_ordinal, reverse=True)


def _ordinal(pod: JsonObject) -> int:
    tail = pod["metadata"]["name"].rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1


def _update(stateful_set: JsonObject, pods: Mapping[str, JsonObject], revision: str) -> Iterator[Change]:
    """Replace one outdated pod, from the highest ordinal down to the partition."""
    strategy = stateful_set["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    for name in reversed(pod_names(stateful_set)):
        pod = pods[name]
        if _ordinal(pod) < partition:
            return
        if _revision(pod) != revision:
            yield delete(pod)
            return


def _revision(pod: JsonObject) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION_HASH, ""))


def _pod(stateful_set: JsonObject, name: str, revision: str) -> JsonObject:
    labels = {POD_NAME_LABEL: name, POD_INDEX_LABEL: name.rpartition("-")[2], REVISION_HASH: revision}
    pod = pod_of(stateful_set, name, labels)
    pod["spec"]["hostname"] = name
    if stateful_set["spec"].get("serviceName"):
        pod["spec"]["subdomain"] = stateful_set["spec"]["serviceName"]
    claims = [c["metadata"]["name"] for c in stateful_set["spec"].get("volumeClaimTemplates") or ()]
    if claims:
        others = [v for v in pod["spec"].get("volumes") or () if v.get("name") not in claims]
        claimed = [{"name": c, "persistentVolumeClaim": {"claimName": f"{c}-{name}"}} for c in claims]
        pod["spec"]["volumes"] = [*others, *claimed]
    return pod


def _status(
    stateful_set: JsonObject, pods: Mapping[str, JsonObject], revision: str, now: datetime
) -> JsonObject:
    active = [pod for pod in pods.values() if is_active(pod)]
    min_ready = stateful_set["spec"].get("minReadySeconds", 0)
    updated = [pod for pod in active if _revision(pod) == revision]
    old = (stateful_set.get("status") or {}).get("currentRevision") or revision
    complete = len(updated) == len(active) == stateful_set["spec"].get("replicas", 1)
    complete = complete and all(is_ready(pod) for pod in active)
    current = revision if complete else old
    return {
        "observedGeneration": stateful_set["metadata"].get("generation", 1),
        "replicas": len(active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(is_available(pod, min_ready, now) for pod in active),
        "currentReplicas": sum(_revision(pod) == current for pod in active),
        "updatedReplicas": len(updated),
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
    }

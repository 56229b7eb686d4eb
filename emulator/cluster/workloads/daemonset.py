"""DaemonSets: one pod on every node that it may run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, delete, with_status
from emulator.cluster.naming import fresh_names, template_hash
from emulator.cluster.placement import matches_node, untolerated_taint
from emulator.cluster.pods import is_active, is_finished, is_ready, node_name
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import REVISION_HASH, claim_pods, is_available, pod_of, share

_DRIVING = frozenset({"NoExecute"})
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


def daemon_sets(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Create missing pods, delete stray, broken and outdated ones, report counts."""
    found = ((plan.name, snapshot.get("Node", "", plan.name)) for plan in snapshot.wiring.nodes)
    nodes = {name: node for name, node in found if node is not None}
    for daemon_set in snapshot.all("DaemonSet"):
        if "deletionTimestamp" in daemon_set["metadata"]:
            continue
        claim = claim_pods(snapshot, daemon_set)
        yield from claim.changes
        template = _pod_template(daemon_set)
        eligible = [name for name, node in nodes.items() if may_run(template, node)]
        by_node: dict[str, list[JsonObject]] = {}
        for pod in claim.pods:
            by_node.setdefault(target_node(pod), []).append(pod)
        revision = template_hash(daemon_set["spec"]["template"])
        welcome = [name for name, node in nodes.items() if may_stay(template, node)]
        yield from _place(snapshot, daemon_set, eligible, by_node, revision)
        yield from _leave(by_node, welcome)
        yield from _update(daemon_set, eligible, by_node, revision, now)
        yield from with_status(daemon_set, _status(daemon_set, eligible, by_node, revision, now))


def may_run(pod: JsonObject, node: JsonObject) -> bool:
    """Whether a daemon's pod belongs on a node: its selectors match and it tolerates the taints."""
    return matches_node(pod, node) and untolerated_taint(pod, node) is None


def may_stay(pod: JsonObject, node: JsonObject) -> bool:
    """Whether a daemon's pod that is on a node already may go on running: only NoExecute drives it away."""
    return matches_node(pod, node) and untolerated_taint(pod, node, _DRIVING) is None


def target_node(pod: JsonObject) -> str:
    """The node that a daemon's pod is made for, bound or not."""
    if node_name(pod):
        return node_name(pod)
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return ""


def _place(
    snapshot: Snapshot,
    daemon_set: JsonObject,
    eligible: Sequence[str],
    by_node: Mapping[str, Sequence[JsonObject]],
    revision: str,
) -> Iterator[Change]:
    taken = snapshot.pod_names.get(daemon_set["metadata"]["namespace"], frozenset())
    names = fresh_names(daemon_set, daemon_set["metadata"]["name"], taken)
    for node in eligible:
        alive = [pod for pod in by_node.get(node, ()) if not is_finished(pod)]
        if not alive:
            yield Create(_pod(daemon_set, next(names), node, revision))
        yield from (delete(pod) for pod in alive[1:] if is_active(pod) and is_active(alive[0]))


def _leave(by_node: Mapping[str, Sequence[JsonObject]], welcome: Sequence[str]) -> Iterator[Change]:
    for node, pods in by_node.items():
        stray = node not in welcome
        yield from (delete(pod) for pod in pods if (stray and is_active(pod)) or is_finished(pod))


def _pod_template(daemon_set: JsonObject) -> JsonObject:
    pod = pod_of(daemon_set, "")
    own = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
    if pod["spec"].get("hostNetwork"):
        unavailable = "node.kubernetes.io/network-unavailable"
        own.append({"key": unavailable, "operator": "Exists", "effect": "NoSchedule"})
    pod["spec"]["tolerations"] = [*(pod["spec"].get("tolerations") or ()), *own]
    return pod


def _pod(daemon_set: JsonObject, name: str, node: str, revision: str) -> JsonObject:
    pod = _pod_template(daemon_set)
    pod["metadata"]["name"] = name
    pod["metadata"]["labels"].update(
        {REVISION_HASH: revision, "pod-template-generation": _generation(daemon_set)}
    )
    affinity = dict(pod["spec"].get("affinity") or {})
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    pod["spec"]["affinity"] = affinity
    return pod


def _generation(daemon_set: JsonObject) -> str:
    return str(daemon_set["metadata"].get("generation", 1))


def _update(
    daemon_set: JsonObject,
    eligible: Sequence[str],
    by_node: Mapping[str, Sequence[JsonObject]],
    revision: str,
    now: datetime,
) -> Iterator[Change]:
    """Delete outdated pods: unavailable ones at once, others while `maxUnavailable` lets go of them."""
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return
    most = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
    allowance = max(1, share(most, len(eligible), round_up=True))
    min_ready = daemon_set["spec"].get("minReadySeconds", 0)
    outdated = []
    for node in eligible:
        active = [pod for pod in by_node.get(node, ()) if is_active(pod)]
        if not any(is_available(pod, min_ready, now) for pod in active):
            allowance -= 1
        outdated += [pod for pod in active if _revision(pod) != revision]
    for pod in outdated:
        if not is_available(pod, min_ready, now):
            yield delete(pod)
        elif allowance > 0:
            allowance -= 1
            yield delete(pod)


def _revision(pod: JsonObject) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION_HASH, ""))


def _status(
    daemon_set: JsonObject,
    eligible: Sequence[str],
    by_node: Mapping[str, Sequence[JsonObject]],
    revision: str,
    now: datetime,
) -> JsonObject:
    min_ready = daemon_set["spec"].get("minReadySeconds", 0)
    running = [next(filter(is_active, by_node.get(node, ())), None) for node in eligible]
    scheduled = [pod for pod in running if pod is not None and node_name(pod)]
    available = sum(is_available(pod, min_ready, now) for pod in scheduled)
    strays = [node for node, pods in by_node.items() if node not in eligible and any(map(is_active, pods))]
    return {
        "observedGeneration": daemon_set["metadata"].get("generation", 1),
        "desiredNumberScheduled": len(eligible),
        "currentNumberScheduled": len(scheduled),
        "numberMisscheduled": len(strays),
        "numberReady": sum(is_ready(pod) for pod in scheduled),
        "numberAvailable": available,
        "numberUnavailable": len(eligible) - available,
        "updatedNumberScheduled": sum(_revision(pod) == revision for pod in scheduled),
    }

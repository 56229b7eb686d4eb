"""Nodes that come and go: taints from conditions, pods that are no longer ready, eviction, orphans.

After kube-controller-manager's node lifecycle, taint eviction and pod garbage collection controllers
(KEP-166). A node is *lost* when nobody hears of it (Ready is Unknown): its pods cannot be told anything,
so they stay Terminating until it is back. A node that reports itself as not ready (Ready is False) obeys.

Kubernetes waits 50 seconds before it calls a silent node lost and lets pods stay for another 300. Here
nobody wants to wait for that: the first time is the engine's `NODE_MONITOR_GRACE`, the second
`DEFAULT_TOLERATION_SECONDS`. A pod that says how long it tolerates is taken at its word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject, copy_json
from emulator.cluster.changes import Change, Update, UpdateStatus, delete
from emulator.cluster.placement import tolerates
from emulator.cluster.pods import condition, is_finished, is_terminating, is_true, node_name
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import parse_time

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

NODE_MONITOR_GRACE = 2.0
"""Seconds of silence after which a node is lost; kube-controller-manager's default is 50."""
DEFAULT_TOLERATION_SECONDS = 5
"""How long pods that do not say stay on a node that is lost or not ready; the API server writes 300."""

_OWN_TAINTS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE})
_BY_STATUS = {"False": NOT_READY, "Unknown": UNREACHABLE}


def node_lifecycle(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Taint nodes by their state, mark their pods, evict those that do not tolerate it, sweep orphans."""
    nodes: dict[str, JsonObject] = {}
    for node in snapshot.all("Node"):
        tainted = _tainted(node, now)
        if tainted is not node:
            yield Update(tainted)
        nodes[node["metadata"]["name"]] = tainted
    for pod in snapshot.pods:
        if not node_name(pod):
            continue
        own = nodes.get(node_name(pod))
        if own is None:
            # Nobody is left who could confirm that it has ended (podgc, "orphaned").
            yield delete(pod, grace_seconds=0)
            continue
        yield from _marked(pod, own, now)
        moment = eviction_time(pod, own)
        if moment is not None and moment <= now and not is_terminating(pod):
            yield delete(pod)


def is_lost(node: JsonObject | None) -> bool:
    """Whether nothing can be told to the node's kubelet."""
    ready = condition(node, "Ready") if node is not None else None
    return ready is not None and ready.get("status") == "Unknown"


def eviction_moments(snapshot: Snapshot) -> Iterator[datetime]:
    """When the patience of pods on tainted nodes ends."""
    nodes = {
        node["metadata"]["name"]: node
        for node in snapshot.all("Node")
        if any(taint.get("effect") == "NoExecute" for taint in node.get("spec", {}).get("taints") or ())
    }
    if nodes:
        for pod in snapshot.pods:
            node = nodes.get(node_name(pod))
            moment = eviction_time(pod, node) if node and not is_terminating(pod) else None
            if moment is not None:
                yield moment


def eviction_time(pod: JsonObject, node: JsonObject) -> datetime | None:
    """When the node's NoExecute taints drive the pod away; None: never, or it has nothing left to run."""
    if is_finished(pod):
        return None
    moments = [moment for taint in _evicting(node) if (moment := _patience(pod, taint)) is not None]
    return min(moments, default=None)


def with_default_tolerations(pod: JsonObject) -> JsonObject:
    """A new pod as the DefaultTolerationSeconds admission leaves it: unless it says otherwise, it stays
    for a while on a node that is lost or not ready."""
    tolerations = list(pod["spec"].get("tolerations") or ())
    missing = [key for key in (NOT_READY, UNREACHABLE) if not any(_is_about(t, key) for t in tolerations)]
    if not missing:
        return pod
    added: list[JsonObject] = [
        {
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": DEFAULT_TOLERATION_SECONDS,
        }
        for key in missing
    ]
    return {**pod, "spec": {**pod["spec"], "tolerations": [*tolerations, *added]}}


def _is_about(toleration: JsonObject, key: str) -> bool:
    return toleration.get("key", "") in ("", key) and toleration.get("effect", "") in ("", "NoExecute")


# -- taints ----------------------------------------------------------------------------------------


def _tainted(node: JsonObject, now: datetime) -> JsonObject:
    """The node with the taints that its state asks for, or the very same object when it has them."""
    old: Sequence[JsonObject] = (node.get("spec") or {}).get("taints") or ()
    wanted = _wanted(node)
    kept = [taint for taint in old if taint.get("key") not in _OWN_TAINTS or _mark(taint) in wanted]
    known = {_mark(taint) for taint in kept}
    added = [
        {"key": key, "effect": effect, "timeAdded": timestamp(now)}
        for key, effect in wanted
        if (key, effect) not in known
    ]
    new = [_timed(taint, now) for taint in (*kept, *added)]
    if new == list(old):
        return node
    changed: JsonObject = copy_json(node)
    changed.setdefault("spec", {})["taints"] = new
    if not new:
        del changed["spec"]["taints"]
    return changed


def _wanted(node: JsonObject) -> dict[tuple[str, str], None]:
    ready = condition(node, "Ready")
    key = _BY_STATUS.get(str((ready or {}).get("status")))
    found = {(key, effect): None for effect in ("NoSchedule", "NoExecute")} if key else {}
    if (node.get("spec") or {}).get("unschedulable"):
        found[UNSCHEDULABLE, "NoSchedule"] = None
    return found


def _mark(taint: JsonObject) -> tuple[str, str]:
    return str(taint.get("key")), str(taint.get("effect"))


def _timed(taint: JsonObject, now: datetime) -> JsonObject:
    """A NoExecute taint that somebody put there counts from the moment it is first seen."""
    if taint.get("effect") != "NoExecute" or taint.get("timeAdded"):
        return taint
    return {**taint, "timeAdded": timestamp(now)}


def _evicting(node: JsonObject) -> Iterator[JsonObject]:
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") == "NoExecute":
            yield taint


def _patience(pod: JsonObject, taint: Mapping[str, str]) -> datetime | None:
    """When this taint drives the pod away; None: it tolerates it for ever."""
    own = [t for t in pod["spec"].get("tolerations") or () if tolerates(t, dict(taint))]
    since = parse_time(taint["timeAdded"])
    if not own:
        return since
    # The shortest of them counts (getMinTolerationTime).
    limits = [int(t["tolerationSeconds"]) for t in own if t.get("tolerationSeconds") is not None]
    return since + timedelta(seconds=max(0, min(limits))) if limits else None


# -- pods ------------------------------------------------------------------------------------------


def _marked(pod: JsonObject, node: JsonObject, now: datetime) -> Iterator[Change]:
    """Pods of a node that is not ready are not ready either (MarkPodsNotReady): Services leave them out."""
    ready = condition(node, "Ready")
    if ready is None or ready.get("status") == "True" or not is_true(pod, "Ready"):
        return
    conditions = [
        {**one, "status": "False", "reason": "NodeNotReady", "lastTransitionTime": timestamp(now)}
        if one["type"] == "Ready"
        else one
        for one in pod["status"]["conditions"]
    ]
    yield UpdateStatus({**pod, "status": {**pod["status"], "conditions": conditions}})

"""ReplicaSets: as many pods as asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, delete, with_status
from emulator.cluster.naming import fresh_names
from emulator.cluster.pods import is_active, is_ready, node_name, phase
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import claim_pods, is_available, pod_of

_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def replica_sets(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Create missing pods, delete surplus ones, report counts."""
    for replica_set in snapshot.all("ReplicaSet"):
        if "deletionTimestamp" in replica_set["metadata"]:
            continue
        claim = claim_pods(snapshot, replica_set)
        yield from claim.changes
        active = [pod for pod in claim.pods if is_active(pod)]
        missing = replica_set["spec"].get("replicas", 1) - len(active)
        if missing > 0:
            yield from _create(snapshot, replica_set, missing)
        elif missing < 0:
            yield from (delete(pod) for pod in islice(sorted_for_deletion(active), -missing))
        yield from with_status(replica_set, _status(replica_set, active, now))


def _create(snapshot: Snapshot, replica_set: JsonObject, count: int) -> Iterator[Create]:
    metadata = replica_set["metadata"]
    taken = snapshot.pod_names.get(metadata["namespace"], frozenset())
    for name in islice(fresh_names(replica_set, metadata["name"], taken), count):
        yield Create(pod_of(replica_set, name))


def sorted_for_deletion(pods: Sequence[JsonObject]) -> list[JsonObject]:
    """The pods, those first that are missed least (ActivePodsWithRanks in Kubernetes' controller_utils.go).

    Unassigned, then pending, then not ready; then lower deletion cost, then those that share
    their node with more of their kind, then the younger ones.
    """
    per_node: dict[str, int] = {}
    for pod in pods:
        per_node[node_name(pod)] = per_node.get(node_name(pod), 0) + 1

    def rank(pod: JsonObject) -> tuple[bool, int, bool, int, int]:
        metadata = pod["metadata"]
        return (
            bool(node_name(pod)),
            _PHASE_RANK.get(phase(pod), 0),
            is_ready(pod),
            _deletion_cost(metadata),
            -per_node[node_name(pod)],
        )

    youngest_first = sorted(
        pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True
    )
    return sorted(youngest_first, key=rank)


def _deletion_cost(metadata: JsonObject) -> int:
    try:
        return int((metadata.get("annotations") or {}).get(_DELETION_COST, 0))
    except ValueError:
        return 0


def _status(replica_set: JsonObject, active: Sequence[JsonObject], now: datetime) -> JsonObject:
    labels = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    min_ready = replica_set["spec"].get("minReadySeconds", 0)
    fully_labeled = [pod for pod in active if labels.items() <= (pod["metadata"].get("labels") or {}).items()]
    return {
        "replicas": len(active),
        "fullyLabeledReplicas": len(fully_labeled),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(is_available(pod, min_ready, now) for pod in active),
        "observedGeneration": replica_set["metadata"].get("generation", 1),
    }

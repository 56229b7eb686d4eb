"""Ready: every controller has seen the latest objects, every switch confirmed them, every pod is settled.

A pod is settled when it is Ready, has finished, or cannot get any further by waiting: it fits no
node, its containers crash again and again or have ended for good, its configuration is missing, or its
node is not ready.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.api.objects import JsonObject
from emulator.cluster.pods import is_finished, is_terminating, is_true, node_name

FAILED_FOR_GOOD = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "InvalidImageName",
    }
)
"""Reasons of a waiting container (as the kubelet writes them) that time alone does not mend."""


_BLOCKED = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of a container that will start soon, unless there is a message that says what is missing."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether everything asked for is in force; if not, what is missing, a phrase each."""

    ready: bool
    missing: tuple[str, ...]
    failing: tuple[str, ...] = ()
    """Pods that will not come up however long one waits: settled, but worth a warning."""
    seconds: float = 0.0
    impossible: str = ""
    """Why this machine will never get there, whatever the objects; empty when it may."""
    remarks: tuple[str, ...] = ()
    """What is in force as far as it goes, and does less than whoever wrote it will expect."""

    def as_json(self) -> JsonObject:
        """The answer of `GET /mininetes/v1/ready`."""
        return {
            "ready": self.ready,
            "missing": list(self.missing),
            "failing": list(self.failing),
            "seconds": round(self.seconds, 3),
            "impossible": self.impossible,
            "remarks": list(self.remarks),
        }

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Readiness:
        """The inverse of `as_json`."""
        return cls(
            bool(answer["ready"]),
            tuple(answer["missing"]),
            tuple(answer.get("failing", ())),
            float(answer.get("seconds", 0.0)),
            str(answer.get("impossible", "")),
            tuple(answer.get("remarks", ())),
        )


def unsettled_pods(pods: Iterable[JsonObject], lost: Collection[str] = ()) -> Iterator[str]:
    """What each pod that is still on its way waits for: `pod shop/web: ContainerCreating`.

    Pods on nodes that are `lost` will not get on: nobody tells them anything.
    """
    for pod in pods:
        if node_name(pod) in lost:
            continue
        if is_terminating(pod):
            yield f"pod {_name(pod)}: Terminating"
        elif not (is_true(pod, "Ready") or is_finished(pod) or failure_of(pod) or _has_done_its_part(pod)):
            yield f"pod {_name(pod)}: {_waiting_for(pod)}"


def failing_pods(pods: Iterable[JsonObject]) -> Iterator[str]:
    """What each pod that will not come up suffers from: `pod shop/db: CrashLoopBackOff (db)`."""
    for pod in pods:
        reason = failure_of(pod)
        if reason and not is_terminating(pod):
            yield f"pod {_name(pod)}: {reason}"


def unready_workloads(workloads: Iterable[JsonObject]) -> Iterator[str]:
    """Workloads whose controllers have not yet acted on their newest specification, or wait to go on."""
    for workload in workloads:
        metadata, status = workload["metadata"], workload.get("status") or {}
        name = f"{workload['kind'].lower()} {_name(workload)}"
        if status.get("observedGeneration", 0) < metadata.get("generation", 0):
            yield f"{name}: not yet observed"
        elif _count(status, "Available") < _count(status, "Ready"):
            yield f"{name}: waits for minReadySeconds"


def _count(status: JsonObject, what: str) -> int:
    """How many pods are so; a DaemonSet's status spells it another way than all others'."""
    return int(status.get(f"{what.lower()}Replicas") or status.get(f"number{what}") or 0)


def _has_done_its_part(pod: JsonObject) -> bool:
    """Every container is ready or has ended well and will not run again."""
    if pod["spec"].get("restartPolicy", "Always") == "Always":
        return False
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ended = [((entry.get("state") or {}).get("terminated") or {}).get("exitCode") for entry in statuses]
    return bool(statuses) and all(
        entry.get("ready") or code == 0 for entry, code in zip(statuses, ended, strict=True)
    )


def failure_of(pod: JsonObject) -> str:
    """Why the pod cannot get any further; empty while it can."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', 'Unschedulable')} ({condition.get('message', 'fits no node')})"
        if condition["type"] == "Ready" and condition.get("reason") == "ReadinessGatesNotReady":
            return f"ReadinessGatesNotReady ({condition.get('message')})"
        if condition["type"] == "Ready" and condition.get("reason") == "NodeNotReady":
            return f"NodeNotReady ({node_name(pod)})"
    if status.get("phase") == "Failed":
        return str(status.get("reason") or "Failed")
    never = (pod.get("spec") or {}).get("restartPolicy") == "Never"
    for container in _containers(status):
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        reason = waiting.get("reason")
        if reason in FAILED_FOR_GOOD or (reason in _BLOCKED and waiting.get("message")):
            return _with_cause(waiting["reason"], container, waiting)
        if never and ended.get("exitCode"):
            return _with_cause(ended.get("reason", "Error"), container, ended)
    return ""


def _with_cause(reason: str, container: JsonObject, waiting: JsonObject) -> str:
    last = ((container.get("lastState") or {}).get("terminated") or {}).get("message")
    cause = str(last or waiting.get("message") or "").strip()
    return f"{reason} ({container['name']}: {cause})" if cause else f"{reason} ({container['name']})"


def _containers(status: JsonObject) -> Iterator[JsonObject]:
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _waiting_for(pod: JsonObject) -> str:
    status = pod.get("status") or {}
    if not (pod.get("spec") or {}).get("nodeName"):
        return "waits for a node"
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"{waiting['reason']} ({container['name']})"
    unready = [
        container["name"] for container in status.get("containerStatuses") or () if not container.get("ready")
    ]
    if unready:
        return f"not ready ({', '.join(unready)})"
    return str(status.get("phase") or "Pending")


def _name(pod: JsonObject) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"

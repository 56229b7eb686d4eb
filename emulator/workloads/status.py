"""`PodStatus` as kubelet reports it, computed from the containers' records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.workloads.conditions import conditions
from emulator.workloads.records import (
    Record,
    Terminated,
    is_begun,
    is_initialized,
    plain,
    recalled,
)


def pod_status(
    pod: JsonObject,
    init: Sequence[Record],
    containers: Sequence[Record],
    *,
    started: datetime,
    before: Sequence[JsonObject] = (),
    now: datetime,
) -> JsonObject:
    """The pod's status but for its addresses; `before` are the conditions of the status before this one."""
    phase = _phase(pod, init, containers)
    status: JsonObject = {
        "phase": phase,
        "startTime": timestamp(started),
        "qosClass": _qos(pod),
        "conditions": conditions(pod, phase, init, containers, before, now),
        "containerStatuses": [record.json() for record in containers],
    }
    if init:
        status["initContainerStatuses"] = [record.json() for record in init]
    return status


def _phase(pod: JsonObject, init: Sequence[Record], containers: Sequence[Record]) -> str:
    policy = pod["spec"].get("restartPolicy") or "Always"
    if not is_initialized(pod, init, containers):
        failed = any(isinstance(r.state, Terminated) and r.state.exit_code for r in plain(pod, init))
        return "Failed" if failed and policy == "Never" else "Pending"
    ended = [record.state for record in containers if isinstance(record.state, Terminated)]
    if len(ended) == len(containers) and policy != "Always":
        if not any(state.exit_code for state in ended):
            return "Succeeded"
        if policy == "Never":
            return "Failed"
        return "Running"
    return "Running" if all(is_begun(record) for record in containers) else "Pending"


def interrupted_status(pod: JsonObject, now: datetime) -> JsonObject | None:
    """The status of a pod whose containers ended with the kubelet that ran them; None when none had begun."""
    old = pod.get("status") or {}
    if not old.get("containerStatuses") or old.get("phase") in ("Succeeded", "Failed"):
        return None
    spec = pod["spec"]
    init = [recalled(pod, container, now, first=True) for container in spec.get("initContainers") or ()]
    main = [recalled(pod, container, now, first=False) for container in spec["containers"]]
    started = datetime.fromisoformat(old["startTime"])
    return pod_status(pod, init, main, started=started, now=now)


def final_status(status: JsonObject) -> JsonObject:
    """`status` of a pod that was told to stop and whose containers have all ended."""
    ended = [(entry["state"].get("terminated") or {}) for entry in status["containerStatuses"]]
    failed = any(state.get("exitCode") for state in ended)
    return {**status, "phase": "Failed" if failed else "Succeeded"}


def _qos(pod: JsonObject) -> str:
    """The pod's quality-of-service class."""
    resources = [c.get("resources") or {} for c in _all_containers(pod)]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(r) for r in resources) else "Burstable"


def _is_guaranteed(resources: Mapping[str, Mapping[str, str]]) -> bool:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return all(
        name in limits and requests.get(name, limits[name]) == limits[name] for name in ("cpu", "memory")
    )


def _all_containers(pod: JsonObject) -> Iterable[JsonObject]:
    yield from pod["spec"].get("initContainers") or ()
    yield from pod["spec"]["containers"]

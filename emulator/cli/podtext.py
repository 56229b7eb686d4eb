"""How a pod's state reads: kubectl's READY, STATUS and RESTARTS."""

from __future__ import annotations

from emulator.api.objects import JsonObject
from emulator.cli.digging import dig
from emulator.cli.tables import age


def pod_status(pod: JsonObject) -> str:
    """The STATUS column: the most telling reason among phase, init containers and containers.

    The order is that of kubectl's `printPod`.
    """
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Unknown"
    init = _init_status(pod)
    if init and not _is_initialized(pod):
        reason = init
    else:
        for container in reversed(status.get("containerStatuses") or []):
            reason = _container_reason(container) or reason
        if reason == "Completed" and any(
            dig(one, "state", "running") and one.get("ready") for one in status.get("containerStatuses") or []
        ):
            reason = "Running"
    return "Terminating" if dig(pod, "metadata", "deletionTimestamp") else reason


def _is_initialized(pod: JsonObject) -> bool:
    conditions = dig(pod, "status", "conditions", default=[])
    return any(one["type"] == "Initialized" and one["status"] == "True" for one in conditions)


def _init_status(pod: JsonObject) -> str:
    declared = dig(pod, "spec", "initContainers", default=[])
    sidecars = {one["name"] for one in declared if one.get("restartPolicy") == "Always"}
    for index, container in enumerate(dig(pod, "status", "initContainerStatuses", default=[])):
        if dig(container, "state", "terminated", "exitCode") == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        reason = _container_reason(container)
        if reason and reason != "PodInitializing":
            return f"Init:{reason}"
        return f"Init:{index}/{len(declared)}"
    return ""


def _container_reason(container: JsonObject) -> str:
    waiting = dig(container, "state", "waiting", "reason")
    if waiting:
        return str(waiting)
    ended = dig(container, "state", "terminated")
    if not ended:
        return ""
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode')}"


def pod_ready(pod: JsonObject) -> str:
    """The READY column: ready containers of all, sidecars among them."""
    statuses = dig(pod, "status", "containerStatuses", default=[])
    total = len(dig(pod, "spec", "containers", default=[]))
    sidecars = [
        one for one in dig(pod, "spec", "initContainers", default=[]) if one.get("restartPolicy") == "Always"
    ]
    names = {one["name"] for one in sidecars}
    running = [
        one for one in dig(pod, "status", "initContainerStatuses", default=[]) if one.get("name") in names
    ]
    ready = sum(1 for one in [*statuses, *running] if one.get("ready"))
    return f"{ready}/{total + len(sidecars)}"


def pod_restarts(pod: JsonObject) -> str:
    """The RESTARTS column, with the age of the last one: of init containers while it is their turn."""
    starting = _init_status(pod) and not _is_initialized(pod)
    statuses = dig(pod, "status", "initContainerStatuses" if starting else "containerStatuses", default=[])
    total = sum(int(one.get("restartCount", 0)) for one in statuses)
    ends = [dig(one, "lastState", "terminated", "finishedAt") for one in statuses]
    last = max((end for end in ends if end), default=None)
    return f"{total} ({age(last)} ago)" if total and last else str(total)

"""Causes in pods: those that are not there, not placed, not running, not ready."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from emulator.api.objects import JsonObject
from emulator.cluster import pods as podlib
from emulator.cluster.crowd import host_ports, ports_clash
from emulator.cluster.places import WORKLOADS, Place, PlaceKind
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence

NO_SUCH_POD = Code(
    "no-such-pod",
    "There is no pod of that name in that namespace",
    "name one that exists (mininetes get pods -A), or a workload or Service instead of a pod",
)
PENDING = Code(
    "pod-pending",
    "The pod has no node: no node is fit for it",
    "change what the scheduler's message names: nodeSelector, affinity, taints, requests, capacity",
)
HOST_PORT = Code(
    "host-port-conflict",
    "The pod's hostPort is taken: another pod has it on every node that the pod may run on",
    "give it another hostPort, let it run on another node, or expose it by a Service instead",
)
NOT_RUNNING = Code(
    "pod-not-running",
    "A container of the pod does not run: it ends again and again, has ended, or cannot start",
    "read its log and events, and mend its command, image or configuration",
)
NOT_READY = Code(
    "pod-not-ready",
    "The pod runs but is not Ready, so Services do not send to it",
    "mend its readiness probe or what it asks; until then publishNotReadyAddresses shows it anyway",
)
NO_PODS = Code(
    "workload-without-pods",
    "The workload has no running pod",
    "scale it up, or see why its pods do not start",
)
CODES = (NO_SUCH_POD, PENDING, HOST_PORT, NOT_RUNNING, NOT_READY, NO_PODS)

_OWNERS = {
    PlaceKind.DEPLOYMENT: "Deployment",
    PlaceKind.STATEFUL_SET: "StatefulSet",
    PlaceKind.DAEMON_SET: "DaemonSet",
}


# -- finders -------------------------------------------------------------------------------------------


def source_ails(evidence: Evidence) -> Cause | None:
    """The sender is not on the network."""
    return _place(evidence, evidence.asked.source)


def target_ails(evidence: Evidence) -> Cause | None:
    """A pod that is asked for by name is not there, or does not run."""
    target = evidence.asked.target
    known = target.kind is not PlaceKind.POD or _object(evidence, target) is not None
    return _place(evidence, target) if known else _missing(evidence, target)


def claimant_ails(evidence: Evidence) -> Cause | None:
    """Nothing answers at a node's port, and the pod whose hostPort it is does not run."""
    node, port = evidence.asked.target, evidence.port
    if node.kind is not PlaceKind.NODE or port is None or evidence.answers.connects:
        return None
    for pod in evidence.snapshot.pods:
        wants = any(
            p.get("hostPort") == port.number and (p.get("protocol") or "TCP").lower() == port.protocol
            for p in podlib.container_ports(pod)
        )
        if wants and podlib.node_name(pod) in ("", node.name):
            found = ailment(evidence, pod)
            if found is not None:
                return found
    return None


def _place(evidence: Evidence, place: Place) -> Cause | None:
    if place.kind in WORKLOADS:
        return _workload(evidence, place)
    pod = _object(evidence, place) if place.kind is PlaceKind.POD else None
    if pod is None or podlib.is_ready(pod) or _ref(pod) in evidence.back:
        return None
    found = ailment(evidence, pod)
    # One that runs can be spoken with by its own address, ready or not.
    return None if found is None or found.code is NOT_READY else found


def _workload(evidence: Evidence, place: Place) -> Cause | None:
    kind = _OWNERS[place.kind]
    owner = evidence.snapshot.get(kind, place.namespace, place.name)
    if owner is None or not evidence.refusal:
        return None
    pods = list(_pods_of(evidence, owner))
    if any(podlib.addresses(pod) and podlib.is_active(pod) for pod in pods):
        return None
    for pod in pods:
        found = ailment(evidence, pod)
        if found is not None:
            return found
    scale = f"mininetes scale {kind.lower()}/{place.name} --replicas 1 -n {place.namespace}"
    sentence = f"{place} wants {owner['spec'].get('replicas', 0)} replicas, and has no running pod"
    return Cause(NO_PODS, f"{kind}/{place.namespace}/{place.name}", sentence, NO_PODS.remedy, "", scale)


def _pods_of(evidence: Evidence, owner: JsonObject) -> Iterator[JsonObject]:
    yield from evidence.snapshot.owned(owner, "Pod")
    for replica_set in evidence.snapshot.owned(owner, "ReplicaSet"):
        yield from evidence.snapshot.owned(replica_set, "Pod")


def _missing(evidence: Evidence, place: Place) -> Cause:
    objects = evidence.snapshot
    names = [pod["metadata"]["name"] for pod in objects.pods_by_namespace.get(place.namespace, ())]
    elsewhere = sorted(n for n, known in objects.pod_names.items() if place.name in known)
    if objects.get("Service", place.namespace, place.name) is not None:
        fix = f"ask the Service: svc/{place.namespace}/{place.name}"
    elif elsewhere:
        fix = f"name the namespace that it is in: {elsewhere[0]}/{place.name}"
    elif near := get_close_matches(place.name, names, n=1):
        fix = f"did you mean {place.namespace}/{near[0]}?"
    else:
        fix = f"mininetes get pods -n {place.namespace}"
    sentence = f"there is no pod {place.name} in namespace {place.namespace}"
    return Cause(NO_SUCH_POD, f"Pod/{place.namespace}/{place.name}", sentence, fix)


def _object(evidence: Evidence, place: Place) -> JsonObject | None:
    return evidence.snapshot.get("Pod", place.namespace, place.name)


# -- what a pod can suffer from --------------------------------------------------------------------------


def ailments(evidence: Evidence, pods: Iterable[JsonObject]) -> Iterator[Cause]:
    """What ails each pod that does not serve, the gravest first."""
    order = [code.name for code in (HOST_PORT, PENDING, NOT_RUNNING, NOT_READY)]
    found = [cause for pod in pods if (cause := ailment(evidence, pod)) is not None]
    return iter(sorted(found, key=lambda cause: order.index(cause.code.name)))


def ailment(evidence: Evidence, pod: JsonObject) -> Cause | None:
    """Why a pod does not serve; None for one that does, or that is about to end."""
    if podlib.is_terminating(pod) or podlib.is_ready(pod):
        return None
    refused = (pod.get("status") or {}).get("reason") == "NodePorts"
    if not podlib.node_name(pod) or refused:
        return _unplaced(evidence, pod)
    return _stopped(pod) or _unready(pod)


def _unplaced(evidence: Evidence, pod: JsonObject) -> Cause | None:
    condition, status = podlib.condition(pod, "PodScheduled") or {}, pod.get("status") or {}
    message = str(condition.get("message") or status.get("message") or "")
    place, ref = podlib.place_of(pod), _ref(pod)
    see = f"mininetes describe pod/{pod['metadata']['name']} -n {pod['metadata']['namespace']}"
    if "free ports" in message:
        taken = host_ports(pod)
        holder = next(
            (
                podlib.place_of(other)
                for other in evidence.snapshot.pods
                if other is not pod and podlib.is_active(other) and podlib.node_name(other)
                if ports_clash(taken, host_ports(other))
            ),
            "",
        )
        ports = ", ".join(
            str(port["hostPort"]) for port in podlib.container_ports(pod) if port.get("hostPort")
        )
        has = f": {holder} has it" if holder else ""
        sentence = f"{place} is not placed, since its hostPort {ports} is taken{has}"
        fix = f"give {place} another hostPort, let it run on another node, or use a Service"
        return Cause(HOST_PORT, ref, sentence, fix, see)
    if not message:
        return None
    return Cause(PENDING, ref, f"{place} has no node: {message}", PENDING.remedy, see)


def _stopped(pod: JsonObject) -> Cause | None:
    """A container does not run."""
    status, place = pod.get("status") or {}, podlib.place_of(pod)
    for entry in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        told = _state(entry)
        if told:
            return _not_running(pod, entry["name"], told)
    if podlib.is_finished(pod):
        sentence = f"{place} has ended: {podlib.phase(pod)}"
        return Cause(NOT_RUNNING, _ref(pod), sentence, NOT_RUNNING.remedy)
    return None


def ends_again(pod: JsonObject) -> Cause | None:
    """A container that runs at this moment, and has failed before: between two crashes it counts as ready."""
    for entry in (pod.get("status") or {}).get("containerStatuses") or ():
        last = (entry.get("lastState") or {}).get("terminated") or {}
        if last.get("exitCode"):
            told = f"ends again and again, with exit code {last['exitCode']}{_said(last)}"
            return _not_running(pod, entry["name"], told)
    return None


def _not_running(pod: JsonObject, container: str, told: str) -> Cause:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    sentence = f"container {container} of {podlib.place_of(pod)} {told}"
    fix = f"mininetes logs {name} -c {container} -n {namespace}, and mend what it says"
    return Cause(NOT_RUNNING, _ref(pod), sentence, fix, f"mininetes describe pod/{name} -n {namespace}")


def _state(entry: JsonObject) -> str:
    state = entry.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    if ended and ended.get("reason") != "Completed":
        return f"has ended with exit code {ended.get('exitCode')}{_said(ended)}"
    if waiting.get("reason") in (None, "PodInitializing"):
        return ""
    last = (entry.get("lastState") or {}).get("terminated") or {}
    if last:
        return (
            f"ends again and again ({waiting['reason']}), with exit code {last.get('exitCode')}{_said(last)}"
        )
    return f"does not start: {waiting['reason']}{_said(waiting)}"


def _said(state: JsonObject) -> str:
    lines = [line.strip() for line in str(state.get("message") or "").splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""


def _unready(pod: JsonObject) -> Cause | None:
    condition = podlib.condition(pod, "Ready") or {}
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    why = f" ({condition['message']})" if condition.get("message") else ""
    sentence = f"{podlib.place_of(pod)} runs but is not Ready{why}"
    fix = "mend its readinessProbe, or what makes it fail"
    return Cause(NOT_READY, _ref(pod), sentence, fix, f"mininetes describe pod/{name} -n {namespace}")


def _ref(pod: JsonObject) -> str:
    return f"Pod/{pod['metadata']['namespace']}/{pod['metadata']['name']}"

"""Who may answer a client of a Service, from the objects of one moment.

The rules are those of the Service and EndpointSlice API and of kube-proxy's choice of endpoints (KEP-1669,
KEP-2086, CategorizeEndpoints): ready pods; if there is none, those that still serve while they terminate; for
the policy Local only those of the node that chooses, and silence where others exist elsewhere. Zones, session
affinity and source ranges narrow the choice further and are not read here: who answers must be among these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from emulator.cluster.outcome import Outcome
from emulator.oracle.world import Json, World, has_address, is_ending, is_over, is_ready, name_of, node_of


class Frontend(Enum):
    """By which address of the Service a client comes."""

    CLUSTER_IP = auto()
    NODE_PORT = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """A client asks a Service's port."""

    namespace: str
    service: str
    port: int
    """The number of the Service's port, whichever frontend the client comes by."""
    protocol: str
    """`TCP` or `UDP`, as Kubernetes writes it."""
    family: int
    """4 or 6."""
    frontend: Frontend = Frontend.CLUSTER_IP
    node: str = ""
    """The node that chooses: the client's own for a clusterIP, the one that is asked for a node port."""
    from_pod_here: bool = False
    """A client at a node port is a pod of that very node: `Local` means nothing to it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What should happen."""

    outcome: Outcome
    pods: frozenset[str] = frozenset()
    """`shop/web-1`: those that may answer, when it is connected."""
    reason: str = ""
    draining: bool = False
    """None of them is ready: they serve while they terminate, and may be gone before they answer."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    pod: Json
    ready: bool
    draining: bool
    """It still serves, and will not for long."""


def expected(world: World, question: Question) -> Expected:
    """What should become of a new connection or first datagram at this moment."""
    service = world.service(question.namespace, question.service)
    if service is None:
        return Expected(Outcome.DROPPED, reason="there is no such Service")
    port = _port(service, question)
    if port is None:
        return Expected(Outcome.DROPPED, reason="the Service has no such port, family or node port")
    candidates = list(_candidates(world, service, port, question.family))
    if not _usable(candidates):
        return Expected(Outcome.REJECTED, reason="no pod is ready, and none still serves")
    where = "policy Cluster"
    if _is_local(service, question):
        where = f"policy Local on {question.node}"
        candidates = [one for one in candidates if node_of(one.pod) == question.node]
    pods = _usable(candidates)
    if not pods:
        return Expected(Outcome.DROPPED, reason=f"{where}: others exist, but not there")
    return Expected(Outcome.CONNECTED, pods, where, draining=not any(one.ready for one in candidates))


def _port(service: Json, question: Question) -> Json | None:
    spec = service["spec"]
    families = spec.get("ipFamilies") or ["IPv4"]
    if f"IPv{question.family}" not in families or spec.get("clusterIP") in (None, "", "None"):
        return None
    for port in spec.get("ports") or ():
        if (port["port"], port.get("protocol", "TCP")) == (question.port, question.protocol):
            exposed = question.frontend is Frontend.CLUSTER_IP or port.get("nodePort")
            return port if exposed else None
    return None


def _is_local(service: Json, question: Question) -> bool:
    spec = service["spec"]
    if question.frontend is Frontend.CLUSTER_IP:
        return bool(spec.get("internalTrafficPolicy") == "Local")
    return spec.get("externalTrafficPolicy") == "Local" and not question.from_pod_here


def _candidates(world: World, service: Json, port: Json, family: int) -> Iterator[_Candidate]:
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    for pod in world.selected(service):
        if is_over(pod) or not has_address(pod, family) or not _serves(pod, port):
            continue
        ready = unready_too or (is_ready(pod) and not is_ending(pod))
        yield _Candidate(pod, ready, draining=is_ready(pod) and is_ending(pod))


def _serves(pod: Json, port: Json) -> bool:
    """A named target port must be one of the pod's; a number needs no declaration."""
    target = port.get("targetPort", port["port"])
    if not isinstance(target, str):
        return True
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return any(
        declared.get("name") == target and declared.get("protocol", "TCP") == port.get("protocol", "TCP")
        for container in (*spec["containers"], *sidecars)
        for declared in container.get("ports") or ()
    )


def _usable(candidates: list[_Candidate]) -> frozenset[str]:
    ready = frozenset(name_of(one.pod) for one in candidates if one.ready)
    return ready or frozenset(name_of(one.pod) for one in candidates if one.draining)

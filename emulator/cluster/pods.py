"""Reading a pod's state: which phase it is in, whether it counts, is ready or ends."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from emulator.api.objects import JsonObject
from emulator.cluster.places import Place, PlaceKind
from emulator.cluster.wiring import IPAddress


def phase(pod: JsonObject) -> str:
    """`status.phase`; a pod that nobody has looked at yet is Pending."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_finished(pod: JsonObject) -> bool:
    """Succeeded or Failed: nothing in it runs and nothing will."""
    return phase(pod) in ("Succeeded", "Failed")


def is_terminating(pod: JsonObject) -> bool:
    """Its deletion has been announced."""
    return "deletionTimestamp" in pod["metadata"]


def is_active(pod: JsonObject) -> bool:
    """Counts as a replica: neither finished nor on its way out."""
    return not is_finished(pod) and not is_terminating(pod)


def node_name(pod: JsonObject) -> str:
    """The node that the pod is bound to; empty before."""
    return str(pod.get("spec", {}).get("nodeName") or "")


def place_of(pod: JsonObject) -> str:
    """`shop/web`: the pod's place."""
    return str(Place(PlaceKind.POD, pod["metadata"]["name"], pod["metadata"]["namespace"]))


def is_host_network(pod: JsonObject) -> bool:
    """It uses its node's network stack."""
    return bool(pod.get("spec", {}).get("hostNetwork"))


def condition(obj: JsonObject, kind: str) -> JsonObject | None:
    """The entry of `status.conditions` of a type, if any."""
    for item in (obj.get("status") or {}).get("conditions") or ():
        if item.get("type") == kind:
            found: JsonObject = item
            return found
    return None


def is_true(obj: JsonObject, kind: str) -> bool:
    """Whether a condition is there and True."""
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"


def is_ready(pod: JsonObject) -> bool:
    """Ready by its condition, and by every readiness gate (a missing one counts as False)."""
    gates = pod.get("spec", {}).get("readinessGates") or ()
    return is_true(pod, "Ready") and all(is_true(pod, gate.get("conditionType", "")) for gate in gates)


def addresses(pod: JsonObject) -> tuple[IPAddress, ...]:
    """`status.podIPs`, the primary one first."""
    status = pod.get("status") or {}
    listed = [entry.get("ip") for entry in status.get("podIPs") or ()] or [status.get("podIP")]
    return tuple(parse_address(text) for text in listed if text)


@lru_cache(maxsize=1 << 16)
def parse_address(text: str) -> IPAddress:
    """`ipaddress.ip_address`, remembered: every round reads the same few addresses again."""
    return ip_address(text)


def container_ports(pod: JsonObject) -> list[JsonObject]:
    """All ports that its containers (sidecars included) declare."""
    spec = pod.get("spec", {})
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [port for c in (*(spec.get("containers") or ()), *sidecars) for port in c.get("ports") or ()]

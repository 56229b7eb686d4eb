"""What a user should know about an object that is accepted: the warnings of an API server."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject

LONGEST_MEMORY = 65_535
"""Seconds: how long a switch can remember a client. OpenFlow counts idle time in 16 bits."""
_TOPOLOGY_MODES = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")


def remarks(obj: JsonObject) -> tuple[str, ...]:
    """Warnings about an object with its defaults; none for most."""
    if obj.get("kind") != "Service":
        return ()
    name = obj["metadata"].get("name", "")
    return tuple(f"Service {name}: {remark}" for remark in (*_affinity(obj), *_hints(obj)))


def _affinity(service: JsonObject) -> Iterator[str]:
    config = service.get("spec", {}).get("sessionAffinityConfig") or {}
    seconds = (config.get("clientIP") or {}).get("timeoutSeconds") or 0
    if seconds > LONGEST_MEMORY:
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield f"{field}: clients are remembered for {LONGEST_MEMORY} seconds here, not {seconds}"


def _hints(service: JsonObject) -> Iterator[str]:
    annotations = service["metadata"].get("annotations") or {}
    for name in _TOPOLOGY_MODES:
        if str(annotations.get(name, "Disabled")).lower() != "disabled":
            other = "spec.trafficDistribution: PreferSameZone keeps traffic in its zone"
            yield f"metadata.annotations[{name}] has no effect here; {other}"

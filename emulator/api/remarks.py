"""What a user should know about an object that is accepted: the warnings of an API server."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject

LONGEST_MEMORY = 65_535
"""Seconds: how long a switch can remember a client. OpenFlow counts idle time in 16 bits."""


def remarks(obj: JsonObject) -> tuple[str, ...]:
    """Warnings about an object with its defaults; none for most."""
    return tuple(_service(obj)) if obj.get("kind") == "Service" else ()


def _service(service: JsonObject) -> Iterator[str]:
    config = service.get("spec", {}).get("sessionAffinityConfig") or {}
    seconds = (config.get("clientIP") or {}).get("timeoutSeconds") or 0
    if seconds > LONGEST_MEMORY:
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        memory = f"clients are remembered for {LONGEST_MEMORY} seconds here, not {seconds}"
        yield f"Service {service['metadata'].get('name', '')}: {field}: {memory}"

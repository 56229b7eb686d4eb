"""The field `health` of a load balancer: when it asks nodes, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.api.objects import Path
from emulator.cluster.quantities import parse_delay
from emulator.cluster.specs import TopologyError
from emulator.cluster.wiring import HealthCheck

_FIELDS = ("interval", "timeout", "healthy", "unhealthy")
_MOST = 10


def read_health(health: Mapping[str, Any], path: Path) -> HealthCheck:
    """The schedule, with what is left out filled in. Raises TopologyError."""
    for field in health:
        if field not in _FIELDS:
            raise TopologyError((*path, field), f"unknown field {field!r}", "known: " + ", ".join(_FIELDS))
    usual = HealthCheck()
    interval = _seconds(health, "interval", usual.interval, path)
    timeout = _seconds(health, "timeout", min(usual.timeout, interval), path)
    if timeout > interval:
        raise TopologyError((*path, "timeout"), "is longer than the interval between two checks")
    return HealthCheck(
        interval=interval,
        timeout=timeout,
        healthy=_count(health, "healthy", usual.healthy, path),
        unhealthy=_count(health, "unhealthy", usual.unhealthy, path),
    )


def _seconds(health: Mapping[str, Any], field: str, usual: float, path: Path) -> float:
    value = health.get(field)
    if value is None:
        return usual
    try:
        seconds = parse_delay(str(value)) / 1_000_000
    except ValueError as error:
        raise TopologyError((*path, field), f"{value!r} is no {field}", str(error)) from None
    if not seconds:
        raise TopologyError((*path, field), "must be longer than nothing", "1s")
    return seconds


def _count(health: Mapping[str, Any], field: str, usual: int, path: Path) -> int:
    value = health.get(field, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        raise TopologyError((*path, field), f"{value!r} is no number of answers", f"1 to {_MOST}")
    return value

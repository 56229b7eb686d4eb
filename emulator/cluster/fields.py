"""The fields of a topology, one by one: what they hold, or a TopologyError with their path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from emulator.api.objects import Path
from emulator.cluster.specs import TopologyError
from emulator.cluster.wiring import IPAddress, IPNetwork

T = TypeVar("T", bound=StrEnum)
Q = TypeVar("Q", int, float)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def quantity(item: Mapping[str, Any], field: str, parse: Callable[[str], Q], path: Path) -> Q | None:
    """A quantity as `parse` reads it; None when it is left out."""
    value = item.get(field)
    if value is None:
        return None
    try:
        return parse(str(value))
    except ValueError as error:
        raise TopologyError((*path, field), f"{value!r} is no {field}", str(error)) from None


def network(value: object, path: Path) -> IPNetwork:
    """An address range."""
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise TopologyError(path, f"{value!r} is no address range", str(error)) from None


def address(value: object, path: Path) -> IPAddress:
    """An IP address."""
    try:
        return ip_address(str(value))
    except ValueError:
        raise TopologyError(path, f"{value!r} is no IP address") from None


def name(value: object, path: Path) -> str:
    """A name, such as a host may have: one label of the DNS."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        what = "is missing" if value is None else f"{value!r} is no name"
        raise TopologyError(path, what, "lower case letters, digits and '-', at most 63 characters")
    return value


def choice(kind: type[T], value: object, path: Path) -> T:
    """One of the words of an enumeration."""
    try:
        return kind(str(value))
    except ValueError:
        raise TopologyError(path, f"{value!r} is not possible here", "one of " + ", ".join(kind)) from None


def mapping(value: object, path: Path) -> Mapping[str, Any]:
    """Fields; none where nothing is written."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TopologyError(path, "expected fields, got " + type(value).__name__)
    return value


def sequence(value: object, path: Path) -> Sequence[Any]:
    """A list; empty where nothing is written."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TopologyError(path, "expected a list, got " + type(value).__name__)
    return value


def known(item: Mapping[str, Any], path: Path, fields: str) -> None:
    """Refuse fields of other names than these, which blanks separate."""
    for key in item:
        if key not in fields.split():
            raise TopologyError((*path, key), f"unknown field {key!r}", "known: " + ", ".join(fields.split()))

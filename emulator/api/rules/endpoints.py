"""Endpoints and EndpointSlices."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.findings import Finding, Reason, invalid, required
from emulator.api.names import dns1123_label, dns1123_subdomain
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import (
    PROTOCOLS,
    address,
    has_form,
    items,
    one_of,
    parsed_address,
    port_number,
    unique,
)

_TYPES = ("IPv4", "IPv6", "FQDN")
_MOST_ENDPOINTS = 1000
_MOST_ADDRESSES = 100


def endpoints_findings(endpoints: JsonObject) -> list[Finding]:
    """What is wrong with a legacy Endpoints object."""
    return [f for subset, path in items(endpoints, "subsets", ()) for f in _subset(subset, path)]


def _subset(subset: JsonObject, path: Path) -> Iterator[Finding]:
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        yield required(path, "must specify `addresses` or `notReadyAddresses`")
    for field in ("addresses", "notReadyAddresses"):
        for entry, here in items(subset, field, path):
            yield from address(entry.get("ip"), (*here, "ip"))
            yield from _reachable(entry.get("ip"), (*here, "ip"))
    ports = list(items(subset, "ports", path))
    yield from _ports(ports)
    for port, here in ports:
        if len(ports) > 1 and not port.get("name"):
            yield required((*here, "name"))


def _ports(ports: list[tuple[JsonObject, Path]]) -> Iterator[Finding]:
    for port, here in ports:
        yield from port_number(port, "port", here)
        yield from one_of(port, "protocol", PROTOCOLS, here)
        if port.get("name"):
            yield from has_form(port["name"], (*here, "name"), dns1123_label)
    yield from unique((port.get("name"), (*here, "name")) for port, here in ports)


def _reachable(value: str | None, path: Path) -> Iterator[Finding]:
    """Endpoints must not lead to a node's own insides."""
    parsed = parsed_address(value or "")
    if parsed is None:
        return
    forms = {
        "unspecified": parsed.is_unspecified,
        "in the loopback range (127.0.0.0/8, ::1/128)": parsed.is_loopback,
        "in the link-local range (169.254.0.0/16, fe80::/10)": parsed.is_link_local,
        "in the multicast range (224.0.0.0/4, ff00::/8)": parsed.is_multicast,
    }
    for form, holds in forms.items():
        if holds:
            yield invalid(path, value, f"may not be {form}")


def endpoint_slice_findings(endpoint_slice: JsonObject) -> list[Finding]:
    """What is wrong with an EndpointSlice."""
    return list(_endpoint_slice(endpoint_slice))


def _endpoint_slice(endpoint_slice: JsonObject) -> Iterator[Finding]:
    kind = endpoint_slice.get("addressType")
    yield from one_of(endpoint_slice, "addressType", _TYPES, ())
    endpoints = list(items(endpoint_slice, "endpoints", ()))
    if len(endpoints) > _MOST_ENDPOINTS:
        message = f"Too many: {len(endpoints)}: must have at most {_MOST_ENDPOINTS} items"
        yield Finding(("endpoints",), Reason.TOO_MANY, message)
    for endpoint, path in endpoints:
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield required((*path, "addresses"), "must contain at least 1 address")
        if len(addresses) > _MOST_ADDRESSES:
            message = f"Too many: {len(addresses)}: must have at most {_MOST_ADDRESSES} items"
            yield Finding((*path, "addresses"), Reason.TOO_MANY, message)
        for index, value in enumerate(addresses):
            yield from _address(value, kind, (*path, "addresses", index))
    yield from _ports(list(items(endpoint_slice, "ports", ())))


def _address(value: str, kind: str | None, path: Path) -> Iterator[Finding]:
    if kind == "FQDN":
        yield from has_form(value, path, dns1123_subdomain)
        return
    parsed = parsed_address(value)
    if parsed is None or kind != f"IPv{parsed.version}":
        form = {"IPv4": "IPv4", "IPv6": "IPv6"}.get(kind or "", "IP")
        yield invalid(path, value, f"must be a valid {form} address")
    yield from _reachable(value, path)

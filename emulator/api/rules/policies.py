"""NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.findings import Finding, forbidden, invalid, required
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import (
    PORT_RANGE,
    PROTOCOLS,
    is_port,
    items,
    label_selector,
    network,
    one_of,
    parsed_network,
    port_or_name,
    word_of,
)

_DIRECTIONS = ("Ingress", "Egress")
_PATH: Path = ("spec",)


def network_policy_findings(policy: JsonObject) -> list[Finding]:
    """What is wrong with a NetworkPolicy."""
    return list(_policy(policy.get("spec") or {}))


def _policy(spec: JsonObject) -> Iterator[Finding]:
    yield from label_selector(spec.get("podSelector"), (*_PATH, "podSelector"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule, path in items(spec, direction, _PATH):
            for port, here in items(rule, "ports", path):
                yield from _port(port, here)
            for peer, here in items(rule, peers, path):
                yield from _peer(peer, here)
    types = spec.get("policyTypes") or []
    if len(types) > len(_DIRECTIONS):
        yield invalid((*_PATH, "policyTypes"), types, "may not specify more than two policyTypes")
    for index, word in enumerate(types):
        yield from word_of(word, _DIRECTIONS, (*_PATH, "policyTypes", index))


def _port(port: JsonObject, path: Path) -> Iterator[Finding]:
    yield from one_of(port, "protocol", PROTOCOLS, path)
    number, end = port.get("port"), port.get("endPort")
    yield from port_or_name(number, (*path, "port"))
    if end is None:
        return
    here = (*path, "endPort")
    if number is None:
        yield invalid(here, end, "may not be specified when `port` is not specified")
    elif isinstance(number, str):
        yield invalid(here, end, "may not be specified when `port` is non-numeric")
    elif not is_port(end):
        yield invalid(here, end, PORT_RANGE)
    elif end < number:
        yield invalid(here, end, "must be greater than or equal to `port`")


def _peer(peer: JsonObject, path: Path) -> Iterator[Finding]:
    selectors = [field for field in ("podSelector", "namespaceSelector") if peer.get(field) is not None]
    block = peer.get("ipBlock")
    if not selectors and block is None:
        yield required(path, "must specify a peer: podSelector, namespaceSelector or ipBlock")
    for field in selectors:
        yield from label_selector(peer[field], (*path, field))
    if block is not None and selectors:
        yield forbidden(path, "may not specify both ipBlock and another peer")
    if isinstance(block, dict):
        yield from _block(block, (*path, "ipBlock"))


def _block(block: JsonObject, path: Path) -> Iterator[Finding]:
    yield from network(block.get("cidr"), (*path, "cidr"))
    around = parsed_network(block.get("cidr") or "")
    for index, text in enumerate(block.get("except") or ()):
        here = (*path, "except", index)
        yield from network(text, here)
        inside = parsed_network(text)
        if around is None or inside is None:
            continue
        fits = inside.version == around.version and inside.prefixlen > around.prefixlen
        if not fits or inside.network_address not in around:
            yield invalid(here, text, "must be a strict subset of `cidr`")

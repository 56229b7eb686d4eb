"""NetworkPolicies from objects to values (networking.k8s.io/v1).

Defaults hold for objects that did not pass admission, too: a port's protocol is TCP; a policy without
`policyTypes` rules ingress, and egress when it has egress rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from emulator.api.objects import JsonObject
from emulator.api.selectors import Selector, from_label_selector
from emulator.cluster.model import (
    Direction,
    NetworkPolicy,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
)


def network_policies(objects: Iterable[JsonObject]) -> Iterator[NetworkPolicy]:
    """The typed reading of NetworkPolicy objects, in their order."""
    for obj in objects:
        yield _policy(obj)


def _policy(obj: JsonObject) -> NetworkPolicy:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    return NetworkPolicy(
        ref=Ref("NetworkPolicy", metadata.get("namespace", ""), metadata["name"]),
        pods=from_label_selector(spec.get("podSelector") or {}) or (),
        directions=frozenset(_directions(spec)),
        ingress=_rules(spec.get("ingress"), "from"),
        egress=_rules(spec.get("egress"), "to"),
    )


def _directions(spec: JsonObject) -> Iterator[Direction]:
    if spec.get("policyTypes"):
        yield from map(Direction, spec["policyTypes"])
        return
    yield Direction.INGRESS
    if spec.get("egress"):
        yield Direction.EGRESS


def _rules(rules: list[JsonObject] | None, peers: str) -> tuple[PolicyRule, ...]:
    return tuple(
        PolicyRule(
            peers=tuple(_peer(peer) for peer in rule.get(peers) or ()),
            ports=tuple(_port(port) for port in rule.get("ports") or ()),
        )
        for rule in rules or ()
    )


def _peer(peer: JsonObject) -> PolicyPeer:
    block = peer.get("ipBlock")
    if block is not None:
        excepts = tuple(ip_network(text, strict=False) for text in block.get("except") or ())
        return PolicyPeer(block=ip_network(block["cidr"], strict=False), excepts=excepts)
    return PolicyPeer(pods=_selector(peer, "podSelector"), namespaces=_selector(peer, "namespaceSelector"))


def _selector(peer: JsonObject, field: str) -> Selector | None:
    """An empty selector chooses everything; one that is absent (or null) chooses nothing by itself."""
    return from_label_selector(peer.get(field))


def _port(port: JsonObject) -> PolicyPort:
    return PolicyPort(Protocol(port.get("protocol") or "TCP"), port.get("port"), port.get("endPort"))

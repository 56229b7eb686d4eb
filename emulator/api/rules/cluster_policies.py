"""ClusterNetworkPolicies (policy.networking.k8s.io/v1alpha2): what its CustomResourceDefinition checks."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.findings import Finding, Reason, forbidden, invalid, required
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import given, items, label_selector, network, port_name_findings, unique

MOST = 25
"""Of rules, peers, networks, names and protocols."""
_LONGEST_NAME = 100
_PATH: Path = ("spec",)
_PODS = ("namespaces", "pods")
_WITHOUT_NAMED_PORTS = ("nodes", "networks", "domainNames")
_PEERS = {"from": _PODS, "to": (*_PODS, *_WITHOUT_NAMED_PORTS)}
_PROTOCOLS = ("tcp", "udp", "sctp", "destinationNamedPort")


def cluster_network_policy_findings(policy: JsonObject) -> list[Finding]:
    """What is wrong with a ClusterNetworkPolicy."""
    spec = policy.get("spec")
    return list(_policy(spec)) if isinstance(spec, dict) else []


def _policy(spec: JsonObject) -> Iterator[Finding]:
    if isinstance(spec.get("subject"), dict):
        yield from _chosen(spec["subject"], _PODS, (*_PATH, "subject"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        yield from _at_most(spec, direction, _PATH)
        for rule, path in items(spec, direction, _PATH):
            yield from _rule(rule, peers, path)


def _rule(rule: JsonObject, peers: str, path: Path) -> Iterator[Finding]:
    name = rule.get("name") or ""
    if len(name) > _LONGEST_NAME:
        message = f"Too long: may not be more than {_LONGEST_NAME} characters"
        yield Finding((*path, "name"), Reason.TOO_LONG, message)
    yield from _at_most(rule, peers, path)
    yield from _at_most(rule, "protocols", path)
    for peer, here in items(rule, peers, path):
        yield from _chosen(peer, _PEERS[peers], here)
        if peer.get("domainNames") and rule.get("action") in ("Deny", "Pass"):
            yield forbidden((*here, "domainNames"), "only rules with action Accept may name domains")
    for protocol, here in items(rule, "protocols", path):
        yield from _protocol(protocol, here)
        if protocol.get("destinationNamedPort") and any(
            given(peer, _WITHOUT_NAMED_PORTS) for peer, _ in items(rule, peers, path)
        ):
            detail = "networks, nodes and domainNames have no named ports"
            yield forbidden((*here, "destinationNamedPort"), detail, "give the port's number")


def _chosen(peer: JsonObject, fields: tuple[str, ...], path: Path) -> Iterator[Finding]:
    yield from _exactly_one(peer, fields, path)
    for field in ("namespaces", "nodes"):
        yield from label_selector(peer.get(field), (*path, field))
    pods = peer.get("pods") or {}
    for field in ("namespaceSelector", "podSelector"):
        yield from label_selector(pods.get(field), (*path, "pods", field))
    for field in ("networks", "domainNames"):
        yield from _at_most(peer, field, path)
        yield from unique((one, (*path, field, index)) for index, one in enumerate(peer.get(field) or ()))
    for index, text in enumerate(peer.get("networks") or ()):
        yield from network(text, (*path, "networks", index))


def _protocol(protocol: JsonObject, path: Path) -> Iterator[Finding]:
    yield from _exactly_one(protocol, _PROTOCOLS, path)
    yield from port_name_findings(protocol.get("destinationNamedPort"), (*path, "destinationNamedPort"))
    for word in _PROTOCOLS[:3]:
        matched, here = protocol.get(word), (*path, word)
        if matched is None:
            continue
        port = matched.get("destinationPort")
        if port is None:
            yield required(here, "must not be empty: destinationPort")
            continue
        here = (*here, "destinationPort")
        yield from _exactly_one(port, ("number", "range"), here)
        numbers = port.get("range") or {}
        start, end = numbers.get("start"), numbers.get("end")
        if start is not None and end is not None and start >= end:
            yield invalid((*here, "range", "end"), end, "Start port must be less than End port")


def _exactly_one(holder: JsonObject, fields: tuple[str, ...], path: Path) -> Iterator[Finding]:
    found = given(holder, fields)
    words = f"{', '.join(fields[:-1])} or {fields[-1]}"
    if not found:
        yield required(path, f"exactly one of {words}")
    elif len(found) > 1:
        yield forbidden((*path, found[1]), f"exactly one of {words} may be given")


def _at_most(holder: JsonObject, field: str, path: Path) -> Iterator[Finding]:
    found = len(holder.get(field) or ())
    if found > MOST:
        message = f"Too many: {found}: must have at most {MOST} items"
        yield Finding((*path, field), Reason.TOO_MANY, message)

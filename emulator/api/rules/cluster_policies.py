"""ClusterNetworkPolicies and their forerunners (policy.networking.k8s.io, v1alpha2 and v1alpha1): what their
CustomResourceDefinitions check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import NamedTuple

from emulator.api.findings import Finding, Reason, forbidden, invalid, required
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import (
    given,
    items,
    label_selector,
    network,
    parsed_network,
    port_name_findings,
    unique,
)

MOST = 25
"""Of networks and names; of a ClusterNetworkPolicy's rules, peers and protocols, too."""
_LONGEST_NAME = 100
_PATH: Path = ("spec",)
_PODS = ("namespaces", "pods")
_WITHOUT_NAMED_PORTS = ("nodes", "networks", "domainNames")
_PEERS = {"from": _PODS, "to": (*_PODS, *_WITHOUT_NAMED_PORTS)}
_PROTOCOLS = ("tcp", "udp", "sctp", "destinationNamedPort")
_PORTS = ("portNumber", "namedPort", "portRange")
_PortCheck = Callable[[JsonObject, Path], Iterator[Finding]]


class _Form(NamedTuple):
    """How one of the kinds writes what they all mean."""

    most: int
    """Rules, peers of one rule, and ports."""
    allow: str
    """The action that lets pass."""
    ports: str
    named: str
    """The field of a port that has a name."""
    port: _PortCheck
    is_exact: bool
    """Whether networks may have no bits beyond their length."""


def cluster_network_policy_findings(policy: JsonObject) -> list[Finding]:
    """What is wrong with a ClusterNetworkPolicy."""
    spec = policy.get("spec")
    return list(_policy(spec, _CLUSTER)) if isinstance(spec, dict) else []


def admin_network_policy_findings(policy: JsonObject) -> list[Finding]:
    """What is wrong with an AdminNetworkPolicy or a BaselineAdminNetworkPolicy."""
    spec = policy.get("spec")
    found = list(_policy(spec, _ADMIN)) if isinstance(spec, dict) else []
    name = (policy.get("metadata") or {}).get("name")
    if policy["kind"] == "BaselineAdminNetworkPolicy" and name not in (None, "", "default"):
        message = 'Only one baseline admin network policy with metadata.name="default" can be created'
        found.append(invalid(("metadata", "name"), name, message))
    return found


def _policy(spec: JsonObject, form: _Form) -> Iterator[Finding]:
    if isinstance(spec.get("subject"), dict):
        yield from _chosen(spec["subject"], _PODS, (*_PATH, "subject"), form)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        yield from _at_most(spec, direction, _PATH, form.most)
        for rule, path in items(spec, direction, _PATH):
            yield from _rule(rule, peers, path, form)


def _rule(rule: JsonObject, peers: str, path: Path, form: _Form) -> Iterator[Finding]:
    name = rule.get("name") or ""
    if len(name) > _LONGEST_NAME:
        message = f"Too long: may not be more than {_LONGEST_NAME} characters"
        yield Finding((*path, "name"), Reason.TOO_LONG, message)
    yield from _at_most(rule, peers, path, form.most)
    yield from _at_most(rule, form.ports, path, form.most)
    for peer, here in items(rule, peers, path):
        yield from _chosen(peer, _PEERS[peers], here, form)
        if peer.get("domainNames") and rule.get("action") in ("Deny", "Pass"):
            yield forbidden((*here, "domainNames"), f"only rules with action {form.allow} may name domains")
    for port, here in items(rule, form.ports, path):
        yield from form.port(port, here)
        if port.get(form.named) and any(
            given(peer, _WITHOUT_NAMED_PORTS) for peer, _ in items(rule, peers, path)
        ):
            detail = "networks, nodes and domainNames have no named ports"
            yield forbidden((*here, form.named), detail, "give the port's number")


def _chosen(peer: JsonObject, fields: tuple[str, ...], path: Path, form: _Form) -> Iterator[Finding]:
    yield from _exactly_one(peer, fields, path)
    for field in ("namespaces", "nodes"):
        yield from label_selector(peer.get(field), (*path, field))
    pods = peer.get("pods") or {}
    for field in ("namespaceSelector", "podSelector"):
        yield from label_selector(pods.get(field), (*path, "pods", field))
    for field in ("networks", "domainNames"):
        yield from _at_most(peer, field, path, MOST)
        yield from unique((one, (*path, field, index)) for index, one in enumerate(peer.get(field) or ()))
    for index, text in enumerate(peer.get("networks") or ()):
        here = (*path, "networks", index)
        yield from network(text, here)
        found = parsed_network(text) if isinstance(text, str) else None
        if form.is_exact and found is not None and not _is_masked(text):
            yield invalid(here, text, "Invalid CIDR format provided", f"write {found}")


def _is_masked(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


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
        yield from _range(port.get("range") or {}, (*here, "range"))


def _port(port: JsonObject, path: Path) -> Iterator[Finding]:
    yield from _exactly_one(port, _PORTS, path)
    yield from port_name_findings(port.get("namedPort"), (*path, "namedPort"))
    yield from _range(port.get("portRange") or {}, (*path, "portRange"))


def _range(numbers: JsonObject, path: Path) -> Iterator[Finding]:
    start, end = numbers.get("start"), numbers.get("end")
    if start is not None and end is not None and start >= end:
        yield invalid((*path, "end"), end, "Start port must be less than End port")


_CLUSTER = _Form(MOST, "Accept", "protocols", "destinationNamedPort", _protocol, is_exact=True)
_ADMIN = _Form(100, "Allow", "ports", "namedPort", _port, is_exact=False)


def _exactly_one(holder: JsonObject, fields: tuple[str, ...], path: Path) -> Iterator[Finding]:
    found = given(holder, fields)
    words = f"{', '.join(fields[:-1])} or {fields[-1]}"
    if not found:
        yield required(path, f"exactly one of {words}")
    elif len(found) > 1:
        yield forbidden((*path, found[1]), f"exactly one of {words} may be given")


def _at_most(holder: JsonObject, field: str, path: Path, most: int) -> Iterator[Finding]:
    found = len(holder.get(field) or ())
    if found > most:
        message = f"Too many: {found}: must have at most {most} items"
        yield Finding((*path, field), Reason.TOO_MANY, message)

"""NetworkPolicies in words, as kubectl describes them, and ClusterNetworkPolicies in the same manner."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.cli.columns import selector_text

_DIRECTIONS = (("ingress", "Ingress", "From"), ("egress", "Egress", "To"))
_PEERS = {"From": "from", "To": "to"}


def policy_lines(policy: JsonObject) -> Iterator[str]:
    """The `Spec:` part of a description."""
    spec = policy.get("spec") or {}
    types = spec.get("policyTypes") or []
    yield "Spec:"
    pods = spec.get("podSelector")
    meaning = " (Allowing the specific traffic to all pods in this namespace)"
    yield f"  PodSelector:     {selector_text(pods) + ('' if _selects(pods) else meaning)}"
    for field, kind, word in _DIRECTIONS:
        if kind not in types:
            yield f"  Not affecting {field} traffic"
            continue
        yield f"  Allowing {field} traffic:"
        rules = spec.get(field) or []
        if not rules:
            yield f"    <none> (Selected pods are isolated for {field} connectivity)"
        for number, rule in enumerate(rules):
            if number:
                yield "    ----------"
            yield from (f"    {line}" for line in _rule(rule, word))
    yield f"  Policy Types: {', '.join(types)}"


def _selects(selector: JsonObject | None) -> bool:
    return any((selector or {}).values())


def _rule(rule: JsonObject, word: str) -> Iterator[str]:
    ports, peers = rule.get("ports") or [], rule.get(_PEERS[word]) or []
    if not ports:
        yield "To Port: <any> (traffic allowed to all ports)"
    for port in ports:
        yield f"To Port: {_port(port)}"
    if not peers:
        restricted = "source" if word == "From" else "destination"
        yield f"{word}: <any> (traffic not restricted by {restricted})"
    for peer in peers:
        yield f"{word}:"
        yield from (f"  {line}" for line in _peer(peer))


def _port(port: JsonObject) -> str:
    number = port.get("port", "<any>")
    last = f"-{port['endPort']}" if port.get("endPort") else ""
    return f"{number}{last}/{port.get('protocol') or 'TCP'}"


def _peer(peer: JsonObject) -> Iterator[str]:
    block = peer.get("ipBlock")
    if block is not None:
        yield "IPBlock:"
        yield f"  CIDR: {block.get('cidr', '')}"
        yield f"  Except: {', '.join(block.get('except') or [])}".rstrip()
    for title, field in (("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")):
        if peer.get(field) is not None:
            yield f"{title}: {selector_text(peer[field])}"


def cluster_policy_lines(policy: JsonObject) -> Iterator[str]:
    """The `Spec:` part of a ClusterNetworkPolicy's description, or of its forerunners'; the order of rules is
    their order."""
    spec = policy.get("spec") or {}
    yield "Spec:"
    for title, field in (("Tier", "tier"), ("Priority", "priority")):
        if field in spec:
            yield f"  {title + ':':<10} {spec[field]}"
    yield "  Subject:"
    yield from (f"    {line}" for line in _cluster_peer(spec.get("subject") or {}))
    for field, _, word in _DIRECTIONS:
        rules = spec.get(field) or []
        if not rules:
            yield f"  Not affecting {field} traffic"
            continue
        yield f"  {field.capitalize()} rules, the first that matches decides:"
        for number, rule in enumerate(rules, start=1):
            name = f" ({rule['name']})" if rule.get("name") else ""
            yield f"    {number}. {rule.get('action', '')}{name}"
            yield from (f"       {line}" for line in _cluster_rule(rule, word))


def _cluster_rule(rule: JsonObject, word: str) -> Iterator[str]:
    ports = [
        *map(_cluster_port, rule.get("protocols") or ()),
        *map(_admin_port, rule.get("ports") or ()),
    ]
    for port in ports or ["<any> (all protocols)"]:
        yield f"To Port: {port}"
    for peer in rule.get(_PEERS[word]) or []:
        yield f"{word}:"
        yield from (f"  {line}" for line in _cluster_peer(peer))


def _cluster_port(protocol: JsonObject) -> str:
    if protocol.get("destinationNamedPort"):
        return str(protocol["destinationNamedPort"])
    word, matched = next(iter(protocol.items()))
    port = (matched or {}).get("destinationPort") or {}
    numbers = port.get("range")
    found = f"{numbers.get('start')}-{numbers.get('end')}" if numbers else port.get("number", "<any>")
    return f"{found}/{word.upper()}"


def _admin_port(port: JsonObject) -> str:
    if port.get("namedPort"):
        return str(port["namedPort"])
    one = port.get("portNumber") or port.get("portRange") or {}
    numbers = one.get("port", f"{one.get('start')}-{one.get('end')}")
    return f"{numbers}/{one.get('protocol') or 'TCP'}"


def _cluster_peer(peer: JsonObject) -> Iterator[str]:
    pods = peer.get("pods")
    if pods is not None:
        yield f"NamespaceSelector: {selector_text(pods.get('namespaceSelector'))}"
        yield f"PodSelector: {selector_text(pods.get('podSelector'))}"
    for title, field in (("NamespaceSelector", "namespaces"), ("NodeSelector", "nodes")):
        if peer.get(field) is not None:
            yield f"{title}: {selector_text(peer[field])}"
    for title, field in (("Networks", "networks"), ("DomainNames", "domainNames")):
        if peer.get(field):
            yield f"{title}: {', '.join(peer[field])}"

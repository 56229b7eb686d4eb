"""ClusterNetworkPolicies from objects to values (policy.networking.k8s.io/v1alpha2).

`domainNames` choose nobody here: nothing watches which addresses names are given. The API has a rule Accept
that cannot be followed match nothing, and wants names in such rules alone; admission says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_network

from emulator.api.objects import JsonObject
from emulator.api.selectors import from_label_selector
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    ClusterPolicyRule,
    PolicyAction,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Tier,
)


def cluster_network_policies(objects: Iterable[JsonObject]) -> Iterator[ClusterNetworkPolicy]:
    """The typed reading of ClusterNetworkPolicy objects, in their order."""
    for obj in objects:
        spec = obj["spec"]
        yield cluster_policy(obj, Tier(spec["tier"]), spec["priority"], _rule)


def cluster_policy(
    obj: JsonObject, tier: Tier, priority: int, rule: Callable[[JsonObject, str], ClusterPolicyRule]
) -> ClusterNetworkPolicy:
    """What all kinds of cluster-wide policies have in common; `rule` reads one with the name of its peers."""
    spec = obj["spec"]
    return ClusterNetworkPolicy(
        ref=Ref(obj["kind"], "", obj["metadata"]["name"]),
        tier=tier,
        priority=priority,
        subject=_chosen_pods(spec["subject"]),
        ingress=tuple(rule(one, "from") for one in spec.get("ingress") or ()),
        egress=tuple(rule(one, "to") for one in spec.get("egress") or ()),
    )


def policy_rule(
    rule: JsonObject, peers: str, action: PolicyAction, ports: Iterable[PolicyPort]
) -> ClusterPolicyRule:
    """A rule whose action and ports have been read: these differ from kind to kind."""
    found = tuple(found for peer in rule.get(peers) or () for found in _policy_peers(peer))
    return ClusterPolicyRule(action, PolicyRule(peers=found, ports=tuple(ports)), rule.get("name") or "")


def _rule(rule: JsonObject, peers: str) -> ClusterPolicyRule:
    ports = (port for protocol in rule.get("protocols") or () for port in _ports(protocol))
    return policy_rule(rule, peers, PolicyAction(rule["action"]), ports)


def _policy_peers(peer: JsonObject) -> Iterator[PolicyPeer]:
    if peer.get("nodes") is not None:
        yield PolicyPeer(nodes=from_label_selector(peer["nodes"]))
    elif peer.get("namespaces") is not None or peer.get("pods") is not None:
        yield _chosen_pods(peer)
    for text in peer.get("networks") or ():
        yield PolicyPeer(block=ip_network(text, strict=False))


def _chosen_pods(chosen: JsonObject) -> PolicyPeer:
    """Pods by their namespaces, and perhaps by their own labels."""
    pods = chosen.get("pods")
    if pods is None:
        return PolicyPeer(namespaces=from_label_selector(chosen["namespaces"]))
    return PolicyPeer(
        pods=from_label_selector(pods.get("podSelector") or {}),
        namespaces=from_label_selector(pods.get("namespaceSelector") or {}),
    )


def named_ports(name: str) -> Iterator[PolicyPort]:
    """The name is of a port, and that port's protocol is meant."""
    yield from (PolicyPort(each, name) for each in Protocol)


def _ports(protocol: JsonObject) -> Iterator[PolicyPort]:
    name = protocol.get("destinationNamedPort")
    if name:
        yield from named_ports(name)
        return
    for word, matched in protocol.items():
        port = (matched or {}).get("destinationPort") or {}
        numbers = port.get("range") or {}
        first = numbers.get("start", port.get("number"))
        yield PolicyPort(Protocol(word.upper()), first, numbers.get("end"))

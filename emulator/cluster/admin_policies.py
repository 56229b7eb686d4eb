"""AdminNetworkPolicies and the BaselineAdminNetworkPolicy, as the ClusterNetworkPolicies that succeeded them.

policy.networking.k8s.io/v1alpha1 has the two tiers as kinds of their own, says Allow for Accept, and writes
ports as NetworkPolicies' like. Read here, they mean the same; their names stay their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emulator.api.objects import JsonObject
from emulator.cluster.cluster_policies import chosen_pods, named_ports, policy_peers
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    ClusterPolicyRule,
    PolicyAction,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Tier,
)

_TIERS = {"AdminNetworkPolicy": Tier.ADMIN, "BaselineAdminNetworkPolicy": Tier.BASELINE}
_ACTIONS = {"Allow": PolicyAction.ACCEPT, "Deny": PolicyAction.DENY, "Pass": PolicyAction.PASS}
_LAST = 1001
"""The baseline has no priority: it is asked after all ClusterNetworkPolicies of its tier (left open)."""


def admin_network_policies(objects: Iterable[JsonObject]) -> Iterator[ClusterNetworkPolicy]:
    """The typed reading of objects of either kind, in their order."""
    for obj in objects:
        kind, spec = obj["kind"], obj["spec"]
        yield ClusterNetworkPolicy(
            ref=Ref(kind, "", obj["metadata"]["name"]),
            tier=_TIERS[kind],
            priority=spec.get("priority", _LAST),
            subject=chosen_pods(spec["subject"]),
            ingress=tuple(_rule(rule, "from") for rule in spec.get("ingress") or ()),
            egress=tuple(_rule(rule, "to") for rule in spec.get("egress") or ()),
        )


def _rule(rule: JsonObject, peers: str) -> ClusterPolicyRule:
    traffic = PolicyRule(
        peers=tuple(found for peer in rule.get(peers) or () for found in policy_peers(peer)),
        ports=tuple(found for port in rule.get("ports") or () for found in _ports(port)),
    )
    return ClusterPolicyRule(_ACTIONS[rule["action"]], traffic, rule.get("name") or "")


def _ports(port: JsonObject) -> Iterator[PolicyPort]:
    if name := port.get("namedPort"):
        yield from named_ports(name)
    if one := port.get("portNumber"):
        yield PolicyPort(Protocol(one.get("protocol") or "TCP"), one["port"])
    if some := port.get("portRange"):
        yield PolicyPort(Protocol(some.get("protocol") or "TCP"), some["start"], some["end"])

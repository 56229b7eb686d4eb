"""AdminNetworkPolicies and the BaselineAdminNetworkPolicy, as the ClusterNetworkPolicies that succeeded them.

policy.networking.k8s.io/v1alpha1 has the two tiers as kinds of their own, says Allow for Accept, and writes
ports as NetworkPolicies' like. Read here, they mean the same; their names stay their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emulator.api.objects import JsonObject
from emulator.cluster.cluster_policies import cluster_policy, named_ports, policy_rule
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    ClusterPolicyRule,
    PolicyAction,
    PolicyPort,
    Protocol,
    Tier,
)

_TIERS = {"AdminNetworkPolicy": Tier.ADMIN, "BaselineAdminNetworkPolicy": Tier.BASELINE}
_ACTIONS = {"Allow": PolicyAction.ACCEPT, "Deny": PolicyAction.DENY, "Pass": PolicyAction.PASS}
_LAST = 1001
"""The baseline has no priority: it is asked after all ClusterNetworkPolicies of its tier (left open)."""


def admin_network_policies(objects: Iterable[JsonObject]) -> Iterator[ClusterNetworkPolicy]:
    """The typed reading of objects of either kind, in their order."""
    for obj in objects:
        yield cluster_policy(obj, _TIERS[obj["kind"]], obj["spec"].get("priority", _LAST), _rule)


def _rule(rule: JsonObject, peers: str) -> ClusterPolicyRule:
    ports = (found for port in rule.get("ports") or () for found in _ports(port))
    return policy_rule(rule, peers, _ACTIONS[rule["action"]], ports)


def _ports(port: JsonObject) -> Iterator[PolicyPort]:
    if name := port.get("namedPort"):
        yield from named_ports(name)
    if one := port.get("portNumber"):
        yield PolicyPort(Protocol(one.get("protocol") or "TCP"), one["port"])
    if some := port.get("portRange"):
        yield PolicyPort(Protocol(some.get("protocol") or "TCP"), some["start"], some["end"])

"""ClusterNetworkPolicy: the first rule that means a packet decides (policy.networking.k8s.io/v1alpha2).

A tier's policies are asked by priority, of equal ones by name and kind (which Kubernetes leaves open), and
their rules from the top. A packet that no rule means is left to the next tier: nobody is isolated by being a
subject. Selectors mean pods with a network of their own; `networks` mean whatever address the packet bears.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.api.selectors import matches_all
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    ClusterPolicyRule,
    ClusterState,
    Direction,
    Pod,
    PolicyPeer,
    Protocol,
    Tier,
)
from emulator.oracle.policy import Peer, at_port


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rule that decides in its tier."""

    policy: ClusterNetworkPolicy
    rule: ClusterPolicyRule
    number: int
    """From 1, as people count."""

    @property
    def title(self) -> str:
        """`ClusterNetworkPolicy/no-lateral, rule 2 (from-tenants), Admin tier`."""
        name = f" ({self.rule.name})" if self.rule.name else ""
        return f"{self.policy.ref}, rule {self.number}{name}, {self.policy.tier} tier"


def ruling(
    state: ClusterState,
    tier: Tier,
    direction: Direction,
    pod: Pod,
    peer: Peer,
    protocol: Protocol | None,
    port: int | None,
) -> Ruling | None:
    """What the tier says of this packet of `pod`'s; None: nothing."""
    receiver = pod if direction is Direction.INGRESS else peer.pod
    asked = (policy for policy in state.cluster_policies if policy.tier is tier)
    for policy in sorted(asked, key=_order):
        if pod.host_network or not _is_pod(state, policy.subject, pod):
            continue
        for number, rule in enumerate(policy.rules(direction), start=1):
            meant = any(_is(state, one, peer) for one in rule.traffic.peers)
            ports = rule.traffic.ports
            if meant and (not ports or any(at_port(one, receiver, protocol, port) for one in ports)):
                return Ruling(policy, rule, number)
    return None


def _order(policy: ClusterNetworkPolicy) -> tuple[int, str, str]:
    return policy.priority, policy.ref.name, policy.ref.kind


def _is(state: ClusterState, meant: PolicyPeer, peer: Peer) -> bool:
    if meant.block is not None:
        return peer.address.version == meant.block.version and peer.address in meant.block
    if meant.nodes is not None:
        chosen = {node.name for node in state.nodes if matches_all(meant.nodes, node.labels)}
        nodes = (node for node in state.wiring.nodes if node.name in chosen)
        return any(peer.address == interface.ip for node in nodes for interface in node.addresses)
    return peer.pod is not None and _is_pod(state, meant, peer.pod)


def _is_pod(state: ClusterState, meant: PolicyPeer, pod: Pod) -> bool:
    assert meant.namespaces is not None
    if not matches_all(meant.namespaces, state.namespaces.get(pod.ref.namespace)):
        return False
    return meant.pods is None or matches_all(meant.pods, pod.labels)

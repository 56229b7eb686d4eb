"""NetworkPolicy: whom an isolated pod may speak with (networking.k8s.io/v1; website, network-policies).

A pod that no policy selects for a direction is not isolated in it. One that is may have what any of those
policies allows: they add up. Selectors mean pods with a network of their own; address blocks mean whatever
address the packet bears where it is judged, pods' too, as the upstream e2e tests have it.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.api.selectors import matches_all
from emulator.cluster.model import (
    ClusterState,
    Direction,
    NetworkPolicy,
    Pod,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
)
from emulator.cluster.wiring import IPAddress


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end, as the packet shows it: an address, and the pod that owns it, if one does."""

    address: IPAddress
    pod: Pod | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the policies of one direction say about one packet."""

    isolating: tuple[NetworkPolicy, ...]
    """Those that select the pod; none: it is not isolated."""
    allowing: tuple[NetworkPolicy, ...]
    """Those of them that allow the packet."""

    @property
    def passes(self) -> bool:
        """Whether the packet may go on."""
        return bool(self.allowing) or not self.isolating


def judge(
    state: ClusterState,
    direction: Direction,
    pod: Pod,
    peer: Peer,
    protocol: Protocol | None,
    port: int | None,
) -> Judgement:
    """May `pod` be sent this packet by `peer` (Ingress), or send it to `peer` (Egress)?"""
    isolating = tuple(
        policy
        for policy in state.policies
        if direction in policy.directions
        and policy.ref.namespace == pod.ref.namespace
        and matches_all(policy.pods, pod.labels)
    )
    receiver = pod if direction is Direction.INGRESS else peer.pod
    allowing = tuple(
        policy
        for policy in isolating
        if any(
            _allows(state, policy, rule, peer, receiver, protocol, port) for rule in policy.rules(direction)
        )
    )
    return Judgement(isolating, allowing)


def _allows(
    state: ClusterState,
    policy: NetworkPolicy,
    rule: PolicyRule,
    peer: Peer,
    receiver: Pod | None,
    protocol: Protocol | None,
    port: int | None,
) -> bool:
    peers = not rule.peers or any(_is(state, policy, one, peer) for one in rule.peers)
    ports = not rule.ports or any(at_port(one, receiver, protocol, port) for one in rule.ports)
    return peers and ports


def _is(state: ClusterState, policy: NetworkPolicy, meant: PolicyPeer, peer: Peer) -> bool:
    if meant.block is not None:
        inside = peer.address.version == meant.block.version and peer.address in meant.block
        return inside and not any(
            peer.address.version == part.version and peer.address in part for part in meant.excepts
        )
    if peer.pod is None:
        return False
    namespace = peer.pod.ref.namespace
    if meant.namespaces is None:
        if namespace != policy.ref.namespace:
            return False
    elif not matches_all(meant.namespaces, state.namespaces.get(namespace)):
        return False
    return meant.pods is None or matches_all(meant.pods, peer.pod.labels)


def at_port(meant: PolicyPort, receiver: Pod | None, protocol: Protocol | None, port: int | None) -> bool:
    """ICMP has no ports, so a rule with ports does not mean it. Named ports are the receiving pod's."""
    if protocol is not meant.protocol or port is None:
        return False
    if meant.port is None:
        return True
    if isinstance(meant.port, int):
        return meant.port <= port <= (meant.end_port or meant.port)
    declared = receiver.container_ports if receiver else ()
    return any((one.name, one.protocol, one.port) == (meant.port, protocol, port) for one in declared)

"""NetworkPolicies as one node has to enforce them: selectors and names resolved to ports and addresses.

Only nodes with selected pods get anything. What is resolved here compares by value, so that a change of the
cluster that means nothing to a node's policies does not touch its flows.

The rules are those of networking.k8s.io/v1. Where they leave a choice (docs/fidelity.md):

- pods of the host network are their node: no selector chooses them, at either end; an `ipBlock` may;
- an `ipBlock` means pods' addresses, too;
- a named port is a number of the destination pod. To an `ipBlock` or to everybody, it is the number of every
  pod that has a port of that name, and nothing beyond the cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import NamedTuple

from emulator.api.selectors import Selector, matches_all
from emulator.cluster.model import (
    ClusterState,
    Direction,
    Pod,
    PolicyAction,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Tier,
)
from emulator.cluster.wiring import IPAddress, IPNetwork

Place = IPAddress | IPNetwork
"""Whom a peer's addresses are."""


@dataclass(frozen=True, slots=True, order=True)
class Ports:
    """Destination ports of one protocol, both ends included; `first` None is all of them."""

    protocol: Protocol
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one rule of a policy allows some pods of a node."""

    policy: Ref
    direction: Direction
    rule: int
    """The rule's place in the policy, from 0."""
    targets: tuple[int, ...]
    """OpenFlow ports of the pods."""
    peers: tuple[Place, ...] | None
    """None: everybody."""
    ports: tuple[Ports, ...] | None
    """None: every port of every protocol."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """A pod that gets nothing, or sends nothing, but what is allowed."""

    direction: Direction
    target: int
    """The pod's OpenFlow port."""
    policies: tuple[Ref, ...]
    """By whose will; in the order of names, one at least."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule of a ClusterNetworkPolicy says of some pods of a node."""

    tier: Tier
    action: PolicyAction
    rank: int
    """Its place among the rules of its tier and direction, from 0: the first one that is met decides. What
    is left of one rule has one rank."""
    traffic: Allowance


@dataclass(frozen=True, slots=True)
class NodePolicies:
    """Everything that one node's bridge has to enforce."""

    allowances: tuple[Allowance, ...] = ()
    isolations: tuple[Isolation, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """ClusterNetworkPolicies' rules, in the order in which they are asked."""


NOTHING = NodePolicies()


def node_policies(state: ClusterState) -> Mapping[str, NodePolicies]:
    """What each node has to enforce; nodes without selected pods are left out."""
    if not state.policies and not state.cluster_policies:
        return {}
    directory = Directory(state)
    allowances: dict[str, list[Allowance]] = {}
    isolated: dict[tuple[str, Direction, int], list[Ref]] = {}
    for policy in state.policies:
        selected = [pod for pod in directory.of(policy.ref.namespace) if matches_all(policy.pods, pod.labels)]
        for direction in sorted(policy.directions):
            for pod in selected:
                isolated.setdefault((pod.node, direction, _target(pod)), []).append(policy.ref)
            for number, rule in enumerate(policy.rules(direction)):
                about = _About(policy.ref, direction, number, rule)
                for node, allowance in _allowances(directory, about, selected):
                    allowances.setdefault(node, []).append(allowance)
    isolations: dict[str, list[Isolation]] = {}
    for (node, direction, target), policies in isolated.items():
        isolations.setdefault(node, []).append(Isolation(direction, target, tuple(sorted(policies))))
    verdicts = _verdicts(state, directory, isolated)
    return {
        node: NodePolicies(
            tuple(allowances.get(node, ())), tuple(isolations.get(node, ())), tuple(verdicts.get(node, ()))
        )
        for node in dict.fromkeys((*isolations, *verdicts))
    }


def _verdicts(
    state: ClusterState, directory: Directory, isolated: Collection[tuple[str, Direction, int]]
) -> Mapping[str, list[Verdict]]:
    """The rules of both tiers by node. Baseline is about pods that no NetworkPolicy isolates."""
    found: dict[str, list[Verdict]] = {}
    ordered = sorted(state.cluster_policies, key=lambda one: (one.priority, one.ref.name, one.ref.kind))
    for tier, direction in product(Tier, Direction):
        asked = [(policy, policy.rules(direction)) for policy in ordered if policy.tier is tier]
        ranks = count()
        for policy, rules in asked:
            chosen = directory.chosen(policy.subject, "") if rules else ()
            subjects = [
                pod
                for pod in chosen
                if tier is Tier.ADMIN or (pod.node, direction, _target(pod)) not in isolated
            ]
            for number, rule in enumerate(rules):
                rank, about = next(ranks), _About(policy.ref, direction, number, rule.traffic)
                for node, traffic in _allowances(directory, about, subjects):
                    found.setdefault(node, []).append(Verdict(tier, rule.action, rank, traffic))
    return found


class Directory:
    """The pods that policies can choose, by namespace."""

    def __init__(self, state: ClusterState) -> None:
        self._pods: dict[str, list[Pod]] = {}
        for pod in state.pods:
            if pod.port is not None and not pod.host_network:
                self._pods.setdefault(pod.ref.namespace, []).append(pod)
        self._labels = state.namespaces
        self._state = state

    def of(self, namespace: str) -> Sequence[Pod]:
        """The pods of one namespace."""
        return self._pods.get(namespace, ())

    def nodes(self, selector: Selector) -> Iterator[IPAddress]:
        """The addresses of the nodes with these labels."""
        names = {node.name for node in self._state.nodes if matches_all(selector, node.labels)}
        for node in self._state.wiring.nodes:
            if node.name in names:
                yield from (interface.ip for interface in node.addresses)

    def chosen(self, peer: PolicyPeer, namespace: str) -> Iterator[Pod]:
        """The pods that a peer means in a policy of `namespace`."""
        if peer.nodes is not None:
            return
        if peer.block is not None:
            for pods in self._pods.values():
                yield from (pod for pod in pods if any(_inside(peer, address) for address in pod.addresses))
            return
        for name, pods in self._pods.items():
            if peer.namespaces is None:
                wanted = name == namespace
            else:
                wanted = matches_all(peer.namespaces, self._labels.get(name))
            if wanted:
                yield from (pod for pod in pods if peer.pods is None or matches_all(peer.pods, pod.labels))

    def everybody(self) -> Iterator[Pod]:
        """All of them."""
        for pods in self._pods.values():
            yield from pods


def _inside(peer: PolicyPeer, address: IPAddress) -> bool:
    if peer.block is None or address.version != peer.block.version or address not in peer.block:
        return False
    return not any(address in part for part in peer.excepts)


def _target(pod: Pod) -> int:
    assert pod.port is not None
    return pod.port.ofport


Found = Iterator[tuple[str, Allowance]]


class _About(NamedTuple):
    """The rule that is resolved."""

    policy: Ref
    direction: Direction
    number: int
    rule: PolicyRule


def _allowances(directory: Directory, about: _About, selected: Sequence[Pod]) -> Found:
    rule, direction = about.rule, about.direction

    def on_nodes(
        targets: Iterable[Pod], peers: tuple[Place, ...] | None, ports: tuple[Ports, ...] | None
    ) -> Found:
        by_node: dict[str, list[int]] = {}
        for pod in targets:
            by_node.setdefault(pod.node, []).append(_target(pod))
        for node, found in by_node.items():
            if peers != () and ports != ():
                yield (
                    node,
                    Allowance(about.policy, direction, about.number, tuple(sorted(found)), peers, ports),
                )

    namespace = about.policy.namespace
    peers = _places(directory, rule, namespace)
    if not rule.ports:
        yield from on_nodes(selected, peers, None)
        return
    numbers = tuple(dict.fromkeys(_numbered(port) for port in rule.ports if not isinstance(port.port, str)))
    named = [port for port in rule.ports if isinstance(port.port, str)]
    if direction is Direction.INGRESS:
        for ports, pods in _by_ports(selected, named, numbers).items():
            yield from on_nodes(pods, peers, ports)
        return
    yield from on_nodes(selected, peers, numbers)
    meant = _destinations(directory, rule, namespace)
    for ports, pods in _by_ports((pod for pod, _ in meant.values()), named).items():
        addresses = tuple(address for pod in pods for address in meant[pod.ref][1])
        yield from on_nodes(selected, addresses, ports)


def _places(directory: Directory, rule: PolicyRule, namespace: str) -> tuple[Place, ...] | None:
    """The addresses of a rule's peers; None is everybody."""
    if not rule.peers:
        return None
    found: dict[Place, None] = {}
    for peer in rule.peers:
        if peer.block is not None:
            found.update(dict.fromkeys(_without(peer.block, peer.excepts)))
        elif peer.nodes is not None:
            found.update(dict.fromkeys(directory.nodes(peer.nodes)))
        else:
            chosen = directory.chosen(peer, namespace)
            found.update(dict.fromkeys(address for pod in chosen for address in pod.addresses))
    return tuple(found)


def _without(block: IPNetwork, excepts: Iterable[IPNetwork]) -> list[IPNetwork]:
    """`block` less its exceptions: a /k out of a /m leaves k-m ranges."""
    left: list[IPNetwork] = [block]
    for part in excepts:
        left = [piece for network in left for piece in _less(network, part)]
    return sorted(left, key=lambda network: int(network.network_address))


def _less(network: IPNetwork, part: IPNetwork) -> Iterator[IPNetwork]:
    if not network.overlaps(part):
        yield network
    elif part.prefixlen > network.prefixlen:
        yield from network.address_exclude(part)  # type: ignore[arg-type]


def _destinations(
    directory: Directory, rule: PolicyRule, namespace: str
) -> Mapping[Ref, tuple[Pod, tuple[IPAddress, ...]]]:
    """The pods among a rule's peers, with the addresses that are meant: a block of one family is not about
    the other one, but another peer of the rule may be."""
    if not rule.peers:
        return {pod.ref: (pod, pod.addresses) for pod in directory.everybody()}
    found: dict[Ref, tuple[Pod, tuple[IPAddress, ...]]] = {}
    for peer in rule.peers:
        for pod in directory.chosen(peer, namespace):
            _, known = found.get(pod.ref, (pod, ()))
            named = (a for a in pod.addresses if peer.block is None or _inside(peer, a))
            found[pod.ref] = (pod, tuple(dict.fromkeys((*known, *named))))
    return found


def _numbered(port: PolicyPort) -> Ports:
    if not isinstance(port.port, int):
        return Ports(port.protocol)
    return Ports(port.protocol, port.port, port.end_port or port.port)


def _by_ports(
    pods: Iterable[Pod], named: Sequence[PolicyPort], numbers: tuple[Ports, ...] = ()
) -> Mapping[tuple[Ports, ...], list[Pod]]:
    """Pods together whose ports of these names have the same numbers; `numbers` come first."""
    found: dict[tuple[Ports, ...], list[Pod]] = {}
    for pod in pods:
        ports = dict.fromkeys((*numbers, *(ports for port in named for ports in _resolved(port, pod))))
        found.setdefault(tuple(ports), []).append(pod)
    return found


def _resolved(port: PolicyPort, pod: Pod) -> Iterator[Ports]:
    """The numbers of a pod's ports of that name and protocol."""
    for declared in pod.container_ports:
        if declared.name == port.port and declared.protocol is port.protocol:
            yield Ports(declared.protocol, declared.port, declared.port)

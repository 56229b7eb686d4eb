"""NetworkPolicy: what isolated pods may send and be sent (networking.k8s.io/v1).

The source's node judges egress, before the route is found; the destination's node judges ingress, after it.
Both see a service's endpoint instead of its address, and a client's own address where it is not yet
masqueraded (on the node that masquerades it), as a Linux node's FORWARD chain does.

A rule with pods T, peers P and ports Q takes T + P + Q + 1 flows a family at most, not T x P x Q: each flow
notes one condition that the packet meets, and one more lets pass who meets them all (conjunctive matches,
ovs-fields(7)). Of a range of ports, P or Q count the masked pieces: 30 at most. Rules share flows that say
the same. Each isolated pod has one flow more a direction, that drops the rest; it is its policy's, and its
counter says how many packets the policy has cost.

Known connections are not judged again, as in Calico and kube-router. SCTP is, in the direction in which it
was begun: connection tracking sees its addresses alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Conjunction, Goto
from controllers.pipeline.fields import Term, ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import Match, dst, ip, match, src, to_ports, transport
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.policies import Allowance, Isolation, NodePolicies, Place, Ports
from controllers.pipeline.registers import HAIRPIN, OUT_PORT, SOURCE, Source
from controllers.pipeline.tables import (
    CONNTRACK_COMMIT,
    EGRESS_DEFAULT_RULE,
    EGRESS_RULE,
    INGRESS_DEFAULT_RULE,
    INGRESS_RULE,
    L3_FORWARDING,
    Stage,
)
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Direction, Protocol, Ref

EXEMPT, ALLOWED, CONDITION = 300, 210, 200
"""Priorities: what no policy can forbid; a rule of one condition; a rule of several."""

_CONJUNCTIONS = 0x7FFFFFFF
_ICMP = {4: 1, 6: 58}
_PORT_BITS = 16


class _Side(NamedTuple):
    """One direction's stages."""

    rules: Stage
    default: Stage
    onward: Stage


_SIDES = {
    Direction.EGRESS: _Side(EGRESS_RULE, EGRESS_DEFAULT_RULE, L3_FORWARDING),
    Direction.INGRESS: _Side(INGRESS_RULE, INGRESS_DEFAULT_RULE, CONNTRACK_COMMIT),
}


def flows(view: NodeView) -> Iterator[Flow]:
    """What holds whatever the policies are."""
    for side in _SIDES.values():
        passes = (Goto(side.onward),)
        for condition, name in _exempt(view):
            yield Flow(side.rules, EXEMPT, condition, passes, PIPELINE, name)
        yield Flow(side.rules, 0, match(), (Goto(side.default),), PIPELINE, "not-allowed-by-a-rule")
        yield Flow(side.default, 0, match(), passes, PIPELINE, "not-isolated")
    for family in view.families:
        for address in view.addresses(family):
            own = match(dst(address))
            yield Flow(EGRESS_RULE, EXEMPT, own, (Goto(L3_FORWARDING),), view.ref, "to-the-node")
    own = match(SOURCE(Source.HOST))
    yield Flow(INGRESS_RULE, EXEMPT, own, (Goto(CONNTRACK_COMMIT),), PIPELINE, "from-the-node")


def _exempt(view: NodeView) -> Iterator[tuple[Match, str]]:
    known = ct_state("+trk-new")
    yield match(ct_state("+trk-new+rpl")), "answer"
    yield match(HAIRPIN(1)), "to-itself"
    for family in view.families:
        yield match(known, transport(family, Protocol.TCP)), "known-connection"
        yield match(known, transport(family, Protocol.UDP)), "known-connection"
        yield match(known, ip(family), f.IP_PROTO(_ICMP[family])), "known-connection"


def policy_flows(view: NodeView, policies: NodePolicies) -> Iterator[Flow]:
    """What the policies of the node's pods allow, and the end of everything else."""
    for direction in Direction:
        rules = [rule for rule in policies.allowances if rule.direction is direction]
        yield from _rules(view, direction, rules)
    for isolation in policies.isolations:
        yield _isolation(isolation)


def _isolation(isolation: Isolation) -> Flow:
    """A drop is the policy's, of several the first one's; the name tells how many there are."""
    side, several = _SIDES[isolation.direction], len(isolation.policies)
    name = "isolated" if several == 1 else f"isolated-by-{several}"
    condition = match(_target(isolation.direction, isolation.target))
    return Flow(side.default, ALLOWED, condition, (), isolation.policies[0], name)


@dataclass(slots=True)
class _Condition:
    """A match that several rules may need."""

    owner: Ref
    meets: dict[Conjunction, None]


def _rules(view: NodeView, direction: Direction, rules: Iterable[Allowance]) -> Iterator[Flow]:
    side = _SIDES[direction]
    passes: tuple[Action, ...] = (Goto(side.onward),)
    plain: dict[Match, Ref] = {}
    shared: dict[Match, _Condition] = {}
    taken: set[int] = set()
    for rule in rules:
        clauses = _clauses(view, rule)
        if not all(clauses):
            continue
        if len(clauses) == 1:
            for condition in clauses[0]:
                plain.setdefault(condition, rule.policy)
            continue
        number = _number(rule, taken)
        for place, clause in enumerate(clauses, start=1):
            meets = Conjunction(number, place, len(clauses))
            for condition in clause:
                shared.setdefault(condition, _Condition(rule.policy, {})).meets[meets] = None
        allowed = match(f.CONJ_ID(number))
        yield Flow(side.rules, CONDITION, allowed, passes, rule.policy, "allowed-by-a-rule")
    for condition, owner in plain.items():
        yield Flow(side.rules, ALLOWED, condition, passes, owner, "allowed")
    for condition, found in shared.items():
        yield Flow(side.rules, CONDITION, condition, tuple(found.meets), found.owner, "condition")


def _number(rule: Allowance, taken: set[int]) -> int:
    """A conjunction's id: the same as long as the rule lives, whatever other rules come and go."""
    number = crc32(repr((rule.policy, rule.rule, rule.ports, rule.peers is None)).encode()) & _CONJUNCTIONS
    while number in taken or not number:
        number = (number + 1) & _CONJUNCTIONS
    taken.add(number)
    return number


def _clauses(view: NodeView, rule: Allowance) -> list[list[Match]]:
    """The rule's conditions, each as the matches any of which meets it."""
    clauses = [[match(_target(rule.direction, target)) for target in rule.targets]]
    if rule.peers is not None:
        peers = (peer for peer in rule.peers if peer.version in view.families)
        clauses.append([_peer(rule.direction, peer) for peer in peers])
    if rule.ports is not None:
        found = (match(terms) for ports in rule.ports for terms in _ports(view, ports))
        clauses.append(list(dict.fromkeys(found)))
    return clauses


def _target(direction: Direction, ofport: int) -> Term:
    return f.IN_PORT(ofport) if direction is Direction.EGRESS else OUT_PORT(ofport)


@lru_cache(maxsize=1 << 16)
def _peer(direction: Direction, place: Place) -> Match:
    """Many rules name the same pods."""
    return match(dst(place) if direction is Direction.EGRESS else src(place))


def _ports(view: NodeView, ports: Ports) -> Iterator[tuple[Term, ...]]:
    for family in view.families:
        if ports.first is None or ports.last is None:
            yield transport(family, ports.protocol)
        else:
            for value, mask in masked(ports.first, ports.last):
                yield to_ports(family, ports.protocol, value, mask)


def masked(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The ports `first..last` as values and masks: the fewest that are exactly these, 30 at most."""
    while first <= last:
        width = (first & -first).bit_length() - 1 if first else _PORT_BITS
        while first + (1 << width) - 1 > last:
            width -= 1
        yield first, (1 << _PORT_BITS) - (1 << width)
        first += 1 << width

"""NetworkPolicy: what isolated pods may send and be sent (networking.k8s.io/v1).

The source's node judges egress, before the route is found; the destination's node judges ingress, after it.
Both see a service's endpoint instead of its address, and a client's own address where it is not yet
masqueraded (on the node that masquerades it), as a Linux node's FORWARD chain does.

ClusterNetworkPolicies of the Admin tier are asked before (`cluster_network_policy`), those of the Baseline
tier afterwards, about pods that no NetworkPolicy isolates. Known connections are not judged again, as in
Calico and kube-router.

Rules become flows as `conjunctions` says, and share flows that say the same. Each isolated pod has one flow
more a direction, that drops the rest; it is its policy's, and its counter says how many packets the policy
has cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from controllers.pipeline import conjunctions
from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Conjunction, Goto
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import Match, dst, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.policies import Allowance, Isolation, NodePolicies
from controllers.pipeline.registers import HAIRPIN, SOURCE, Source
from controllers.pipeline.tables import (
    BASELINE_EGRESS,
    BASELINE_INGRESS,
    EGRESS_DEFAULT_RULE,
    EGRESS_RULE,
    INGRESS_DEFAULT_RULE,
    INGRESS_RULE,
    L3_FORWARDING,
    SCTP_QUESTION,
    Stage,
)
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Direction, Ref

OWN_NODE, EXEMPT, ALLOWED, CONDITION = 310, 300, 210, 200
"""Priorities: a pod's own node speaks; a pod's own business; a rule of one condition; a rule of several."""


class _Side(NamedTuple):
    """One direction's stages."""

    rules: Stage
    default: Stage
    baseline: Stage
    onward: Stage


_SIDES = {
    Direction.EGRESS: _Side(EGRESS_RULE, EGRESS_DEFAULT_RULE, BASELINE_EGRESS, L3_FORWARDING),
    Direction.INGRESS: _Side(INGRESS_RULE, INGRESS_DEFAULT_RULE, BASELINE_INGRESS, SCTP_QUESTION),
}


def flows(view: NodeView) -> Iterator[Flow]:
    """What holds whatever the policies are."""
    for side in _SIDES.values():
        beyond = (Goto(side.baseline),)
        yield Flow(side.rules, EXEMPT, match(HAIRPIN(1)), beyond, PIPELINE, "to-itself")
        yield Flow(side.rules, 0, match(), (Goto(side.default),), PIPELINE, "not-allowed-by-a-rule")
        yield Flow(side.default, 0, match(), beyond, PIPELINE, "not-isolated")
    for family in view.families:
        for address in view.addresses(family):
            own = match(dst(address))
            yield Flow(EGRESS_RULE, EXEMPT, own, (Goto(BASELINE_EGRESS),), view.ref, "to-the-node")
    own = match(SOURCE(Source.HOST))
    yield Flow(INGRESS_RULE, OWN_NODE, own, (Goto(SCTP_QUESTION),), PIPELINE, "from-the-node")


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
    condition = match(conjunctions.target(isolation.direction, isolation.target))
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
        clauses = conjunctions.clauses(view, rule)
        if not all(clauses):
            continue
        if len(clauses) == 1:
            for condition in clauses[0]:
                plain.setdefault(condition, rule.policy)
            continue
        number = conjunctions.number(rule, taken)
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

"""ClusterNetworkPolicy: rules above and below NetworkPolicies (policy.networking.k8s.io/v1alpha2).

Two stages a direction, for the tiers Admin and Baseline. The first rule that means a packet decides: each
has a priority of its own in its stage. Accept leaves the policies, Deny drops, Pass leaves the tier, and so
does a packet that no rule means. A pod's own node and the pod itself are peers as all others.

A rule takes T + F*(P + Q) + 1 flows for T pods, F families, P peers and Q ports: conjunctive matches as those
of NetworkPolicies, but never shared between rules, whose priorities differ. The one flow more is what
decides; where it drops, its counter says how many packets the rule has cost.

The baseline is about pods that no NetworkPolicy isolates: the others have no flows there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from controllers.pipeline import conjunctions
from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Conjunction, Goto
from controllers.pipeline.flow import Flow, PipelineError
from controllers.pipeline.match import Match, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.policies import NodePolicies, Verdict
from controllers.pipeline.registers import KNOWN
from controllers.pipeline.tables import (
    ADMIN_EGRESS,
    ADMIN_INGRESS,
    BASELINE_EGRESS,
    BASELINE_INGRESS,
    EGRESS_RULE,
    INGRESS_RULE,
    L3_FORWARDING,
    SCTP_QUESTION,
    Stage,
)
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Direction, PolicyAction, Ref, Tier

EXEMPT, FIRST = 65_000, 60_000
"""Priorities: known connections; the first rule, from which the others count down."""
_WORDS = {PolicyAction.ACCEPT: "accepted", PolicyAction.DENY: "denied", PolicyAction.PASS: "passed-on"}


class _Place(NamedTuple):
    """One tier's stage, what follows it, and what follows the policies."""

    rules: Stage
    following: Stage
    onward: Stage


_PLACES = {
    (Tier.ADMIN, Direction.EGRESS): _Place(ADMIN_EGRESS, EGRESS_RULE, L3_FORWARDING),
    (Tier.ADMIN, Direction.INGRESS): _Place(ADMIN_INGRESS, INGRESS_RULE, SCTP_QUESTION),
    (Tier.BASELINE, Direction.EGRESS): _Place(BASELINE_EGRESS, L3_FORWARDING, L3_FORWARDING),
    (Tier.BASELINE, Direction.INGRESS): _Place(BASELINE_INGRESS, SCTP_QUESTION, SCTP_QUESTION),
}


def flows(_view: NodeView) -> Iterator[Flow]:
    """What holds whatever the policies are."""
    for (tier, _), place in _PLACES.items():
        if tier is Tier.ADMIN:
            onward = (Goto(place.onward),)
            yield Flow(place.rules, EXEMPT, match(KNOWN(1)), onward, PIPELINE, "known-connection")
        meant_by_none = (Goto(place.following),)
        yield Flow(place.rules, 0, match(), meant_by_none, PIPELINE, f"no-{tier.lower()}-rule")


def policy_flows(view: NodeView, policies: NodePolicies) -> Iterator[Flow]:
    """The rules of both tiers about the node's pods. Raises PipelineError beyond 59,999 rules of a tier."""
    for (tier, direction), place in _PLACES.items():
        ours = (one for one in policies.verdicts if (one.tier, one.traffic.direction) == (tier, direction))
        yield from _rules(view, place, ours)


def _rules(view: NodeView, place: _Place, verdicts: Iterable[Verdict]) -> Iterator[Flow]:
    taken: set[int] = set()
    conditions: dict[tuple[int, Match], tuple[Ref, list[Action]]] = {}
    for verdict in verdicts:
        rule, priority = verdict.traffic, FIRST - verdict.rank
        if priority <= 0:
            raise PipelineError(f"more rules of ClusterNetworkPolicies than {place.rules} has priorities")
        clauses = conjunctions.clauses(view, rule)
        if not all(clauses):
            continue
        number = conjunctions.number(rule, taken)
        for position, clause in enumerate(clauses, start=1):
            for condition in clause:
                _, meets = conditions.setdefault((priority, condition), (rule.policy, []))
                meets.append(Conjunction(number, position, len(clauses)))
        name = f"{_WORDS[verdict.action]}-by-rule-{rule.rule + 1}"
        decides = _actions(place, verdict.action)
        yield Flow(place.rules, priority, match(f.CONJ_ID(number)), decides, rule.policy, name)
    for (priority, condition), (owner, meets) in conditions.items():
        yield Flow(place.rules, priority, condition, tuple(meets), owner, "condition")


def _actions(place: _Place, action: PolicyAction) -> tuple[Action, ...]:
    match action:
        case PolicyAction.ACCEPT:
            return (Goto(place.onward),)
        case PolicyAction.PASS:
            return (Goto(place.following),)
        case PolicyAction.DENY:
            return ()

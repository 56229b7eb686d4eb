"""What would alter an outcome that is as the manifests say."""

from __future__ import annotations

from emulator.cluster.model import Pod
from emulator.cluster.outcome import Outcome
from emulator.oracle.answer import Code, Reason
from emulator.verdict.diagnose.evidence import Evidence


def change(evidence: Evidence) -> str:
    """One change of the manifests that makes it another outcome; empty where there is none to name."""
    spec = evidence.answers.spec
    if spec is None or spec.outcome is not Outcome.CONNECTED:
        return ""
    for code in (Code.INGRESS_ALLOWED, Code.EGRESS_ALLOWED):
        allowing = [reason for reason in spec.reasons if reason.code is code]
        if allowing:
            return _without(allowing)
    sender = evidence.typed_pod(evidence.source) if evidence.source else None
    return _isolation(evidence, sender)


def _without(allowing: list[Reason]) -> str:
    """A ClusterNetworkPolicy's Accept has the last word, and its rule can say Deny as well. Of
    NetworkPolicies, each allows it for itself."""
    first = allowing[0]
    if first.judged is not None and first.judged.rule:
        return f"if rule {first.judged.rule} of {first.object} said Deny, it would be dropped"
    policies = list(dict.fromkeys(str(reason.object) for reason in allowing))
    *others, last = policies
    rules = "rules" if others else "rule"
    named = f"{', '.join(others)} and {last}" if others else last
    allow = "allow" if others else "allows"
    return f"without the {rules} of {named} that {allow} it, it would be dropped"


def _isolation(evidence: Evidence, sender: Pod | None) -> str:
    """A policy that there is not. None comes between a pod and its own node, or itself."""
    places = list(evidence.arrivals())
    receivers = [pod for place in places if (pod := evidence.typed_pod(place)) is not None]
    receiver = receivers[0] if receivers else None
    if receiver is not None and not receiver.host_network:
        if receiver == sender or evidence.source == f"node/{receiver.node}":
            return ""
        where = f"{places[0]} for ingress" + (" and its likes" if len(places) > 1 else "")
        return (
            f"a NetworkPolicy in {receiver.ref.namespace} that isolates {where} without a rule that allows it"
        )
    if sender is not None and not sender.host_network and f"node/{sender.node}" not in places:
        return (
            f"a NetworkPolicy in {sender.ref.namespace} that isolates {evidence.source} for egress "
            "without a rule that allows it"
        )
    return ""

"""What would alter an outcome that is as the manifests say."""

from __future__ import annotations

from emulator.cluster.outcome import Outcome
from emulator.oracle.answer import Code
from emulator.verdict.diagnose.evidence import Evidence


def change(evidence: Evidence) -> str:
    """One change of the manifests that makes it another outcome; empty where there is none to name."""
    spec = evidence.answers.spec
    if spec is None or spec.outcome is not Outcome.CONNECTED:
        return ""
    allowing = [r for r in spec.reasons if r.code in (Code.INGRESS_ALLOWED, Code.EGRESS_ALLOWED)]
    if allowing:
        return f"without the rule of {allowing[0].object} that allows it, it would be dropped"
    places = list(evidence.arrivals())
    receiver = evidence.typed_pod(places[0]) if places else None
    if receiver is not None and not receiver.host_network:
        where = f"{places[0]} for ingress" + (" and its likes" if len(places) > 1 else "")
        return (
            f"a NetworkPolicy in {receiver.ref.namespace} that isolates {where} without a rule that allows it"
        )
    sender = evidence.typed_pod(evidence.source) if evidence.source else None
    if sender is not None and not sender.host_network:
        return (
            f"a NetworkPolicy in {sender.ref.namespace} that isolates {evidence.source} for egress "
            "without a rule that allows it"
        )
    return ""

"""Causes in ClusterNetworkPolicies, and in their forerunners, whose rules are written as theirs."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.cluster.model import Direction
from emulator.oracle.answer import Code as Said
from emulator.oracle.answer import Judged, Reason
from emulator.verdict.causes import parties
from emulator.verdict.diagnose.diagnosis import Cause, Code, written
from emulator.verdict.diagnose.evidence import Evidence

_REMEDY = (
    "put a rule that says Accept (an AdminNetworkPolicy's: Allow) before it, or narrow or delete it; "
    "what the Admin tier denies, no NetworkPolicy can allow"
)
SOURCE_DENIED = Code(
    "cluster-policy-denies-source",
    "A rule of a ClusterNetworkPolicy denies what the sending pod sends there",
    _REMEDY,
)
DESTINATION_DENIED = Code(
    "cluster-policy-denies-destination",
    "A rule of a ClusterNetworkPolicy denies what the receiving pod is sent from there",
    _REMEDY,
)
CODES = (SOURCE_DENIED, DESTINATION_DENIED)


def source_denied(evidence: Evidence) -> Cause | None:
    """An egress rule about the sender."""
    return _denied(evidence, Said.EGRESS_DENIED, SOURCE_DENIED, Direction.EGRESS)


def destination_denied(evidence: Evidence) -> Cause | None:
    """An ingress rule about the receiver."""
    return _denied(evidence, Said.INGRESS_DENIED, DESTINATION_DENIED, Direction.INGRESS)


def _denied(evidence: Evidence, said: Said, code: Code, direction: Direction) -> Cause | None:
    reasons = evidence.answers.reasons(said)
    if not reasons:
        return None
    reason = reasons[0]
    see = f"mininetes describe {written(reason.object)}"
    return Cause(code, str(reason.object), reason.sentence, exception(evidence, reason, direction), see)


def exception(evidence: Evidence, reason: Reason, direction: Direction) -> str:
    """The rule that, put before the one that denies, lets it pass: YAML for the policy's spec."""
    assert reason.judged is not None, "a rule has judged"
    return "\n".join(_exception(evidence, reason, reason.judged, direction))


def _exception(evidence: Evidence, reason: Reason, judged: Judged, direction: Direction) -> Iterator[str]:
    is_new = reason.object.kind == "ClusterNetworkPolicy"
    yield f"{direction.value.lower()}:   # before rule {judged.rule} of {reason.object}"
    yield f"- action: {'Accept' if is_new else 'Allow'}"
    yield f"  {'to' if direction is Direction.EGRESS else 'from'}:"
    pod, node = parties.pod_of(evidence, judged), parties.node_of(evidence, judged)
    if pod is not None:
        namespaces, pods = parties.selectors(pod)
        yield "  - pods:"
        yield f"      {namespaces}"
        yield f"      {pods}"
    elif node is not None:
        yield f"  - nodes: {{matchLabels: {{kubernetes.io/hostname: {node}}}}}"
    else:
        yield f'  - networks: ["{parties.whole(judged)}"]'
    if judged.protocol is None or not judged.port:
        return
    if is_new:
        yield "  protocols:"
        yield f"  - {judged.protocol.lower()}: {{destinationPort: {{number: {judged.port}}}}}"
    else:
        yield "  ports:"
        yield f"  - portNumber: {{protocol: {judged.protocol}, port: {judged.port}}}"

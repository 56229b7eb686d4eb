"""Causes in NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.cluster.model import Direction
from emulator.oracle.answer import Code as Said
from emulator.oracle.answer import Judged
from emulator.verdict.causes import parties
from emulator.verdict.diagnose.diagnosis import Cause, Code, written
from emulator.verdict.diagnose.evidence import Evidence

SOURCE_ISOLATED = Code(
    "policy-isolates-source",
    "A policy isolates the sending pod for egress, and no rule allows this destination and port",
    "add an egress rule that allows it, or take the pod out of the policy's podSelector",
)
DESTINATION_ISOLATED = Code(
    "policy-isolates-destination",
    "A policy isolates the receiving pod for ingress, and no rule allows this source and port",
    "add an ingress rule that allows it, or take the pod out of the policy's podSelector",
)
CODES = (SOURCE_ISOLATED, DESTINATION_ISOLATED)


def source_isolated(evidence: Evidence) -> Cause | None:
    """The sender's own policies stop it."""
    return _isolated(evidence, Said.EGRESS_ISOLATED, SOURCE_ISOLATED, Direction.EGRESS)


def destination_isolated(evidence: Evidence) -> Cause | None:
    """The receiver's policies stop it."""
    return _isolated(evidence, Said.INGRESS_ISOLATED, DESTINATION_ISOLATED, Direction.INGRESS)


def _isolated(evidence: Evidence, said: Said, code: Code, direction: Direction) -> Cause | None:
    reasons = evidence.answers.reasons(said)
    if not reasons:
        return None
    reason = reasons[0]
    fix = "\n".join(_rule(evidence, direction, reason.judged)) if reason.judged else code.remedy
    see = f"mininetes describe {written(reason.object)}"
    return Cause(code, str(reason.object), reason.sentence, fix, see)


def _rule(evidence: Evidence, direction: Direction, judged: Judged) -> Iterator[str]:
    """The rule that would allow it, as YAML for the policy's spec."""
    yield f"{direction.value.lower()}:"
    yield f"- {'to' if direction is Direction.EGRESS else 'from'}:"
    pod = parties.pod_of(evidence, judged)
    if pod is None:
        yield f"  - ipBlock: {{cidr: {parties.whole(judged)}}}"
    else:
        namespaces, pods = parties.selectors(pod)
        yield f"  - {namespaces}"
        yield f"    {pods}"
    if judged.protocol is not None and judged.port:
        yield "  ports:"
        yield f"  - {{port: {judged.port}, protocol: {judged.protocol}}}"

"""Causes in NetworkPolicies."""

from __future__ import annotations

from emulator.cluster.model import Direction, Pod
from emulator.oracle.answer import Code as Said
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
    return Cause(code, str(reason.object), reason.sentence, _rule(evidence, direction), _see(evidence, said))


def _see(evidence: Evidence, said: Said) -> str:
    first = evidence.answers.reasons(said)[0].object
    return f"mininetes describe {written(first)}"


def _rule(evidence: Evidence, direction: Direction) -> str:
    """The rule that would allow it, as YAML for the policy's spec."""
    egress = direction is Direction.EGRESS
    source = evidence.typed_pod(evidence.source)
    receivers = [evidence.typed_pod(place) for place in evidence.arrivals()]
    other = next(iter(receivers), None) if egress else source
    lines = [f"{direction.value.lower()}:", f"- {'to' if egress else 'from'}:", *_peer(evidence, other)]
    if evidence.port is not None and evidence.port.number:
        lines += ["  ports:", f"  - {{port: {_port(evidence)}, protocol: {evidence.port.protocol.upper()}}}"]
    return "\n".join(lines)


def _peer(evidence: Evidence, other: Pod | None) -> list[str]:
    if other is None or other.host_network:
        address = evidence.address
        bits = 32 if address is None or address.version == 4 else 128
        return [f"  - ipBlock: {{cidr: {address}/{bits}}}"]
    labels = ", ".join(f"{key}: {value}" for key, value in sorted(other.labels.items())) or ""
    return [
        f"  - namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {other.ref.namespace}}}}}",
        f"    podSelector: {{matchLabels: {{{labels}}}}}" if labels else "    podSelector: {}",
    ]


def _port(evidence: Evidence) -> int:
    """Policies judge what Services have translated: it is the pod's own port that a rule names."""
    assert evidence.port is not None
    asked = evidence.port
    service = evidence.service()
    typed = evidence.typed(service) if service else None
    behind = {
        endpoint.port
        for port in (typed.ports if typed else ())
        if port.protocol.lower() == asked.protocol and asked.number in (port.port, port.node_port)
        for endpoint in port.endpoints
    }
    return min(behind, default=asked.number)

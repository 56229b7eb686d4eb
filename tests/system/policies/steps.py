"""What the cases are made of: steps, and policies in few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ALL_PODS = "podSelector: {}"
POD_A = "podSelector: {matchLabels: {pod: a}}"
DENY_INGRESS = f"{ALL_PODS}, policyTypes: [Ingress]"
DENY_EGRESS = f"{ALL_PODS}, policyTypes: [Egress]"
DENY_ALL = f"{ALL_PODS}, policyTypes: [Ingress, Egress]"
NS_Y = "{namespaceSelector: {matchLabels: {ns: y}}}"
NOT_X = "namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}"
POD_B = "{podSelector: {matchLabels: {pod: b}}}"
YA = "{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: a}}}"


@dataclass(frozen=True)
class Apply:
    """Create or change a policy."""

    namespace: str
    name: str
    spec: str


@dataclass(frozen=True)
class Delete:
    """Delete it."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Label:
    """Give a pod or a namespace more labels."""

    place: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Expect:
    """Who reaches whom."""

    rows: tuple[str, ...]
    protocol: str = "tcp"


Step = Apply | Delete | Label | Expect


@dataclass(frozen=True)
class Case:
    """One test of the suite."""

    number: int
    name: str
    steps: tuple[Step, ...]


def case(number: int, name: str, *steps: Step) -> Case:
    return Case(number, name, steps)


def expect(*rows: str, protocol: str = "tcp") -> Expect:
    return Expect(rows, protocol)


def ingress(*peers: str, ports: str = "", pods: str = POD_A) -> str:
    """A policy with one ingress rule."""
    return _one_rule("ingress", "from", "Ingress", peers, ports, pods)


def egress(*peers: str, ports: str = "", pods: str = POD_A) -> str:
    """A policy with one egress rule."""
    return _one_rule("egress", "to", "Egress", peers, ports, pods)


def _one_rule(field: str, key: str, kind: str, peers: Any, ports: str, pods: str) -> str:
    parts = [f"{key}: [{', '.join(peers)}]"] if peers else []
    parts += [f"ports: [{ports}]"] if ports else []
    return f"{pods}, policyTypes: [{kind}], {field}: [{{{', '.join(parts)}}}]"

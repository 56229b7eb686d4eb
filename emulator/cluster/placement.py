"""Whether one pod may run on one node, other pods aside: selectors, affinity to nodes, taints."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.api.selectors import Operator, Requirement

UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
REPELLING = frozenset({"NoSchedule", "NoExecute"})


def matches_node(pod: JsonObject, node: JsonObject) -> bool:
    """`nodeSelector` and the required node affinity."""
    spec, labels = pod["spec"], node["metadata"].get("labels") or {}
    selector = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_matches_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def node_preference(pod: JsonObject, node: JsonObject) -> int:
    """The sum of the weights of preferred node affinities that the node fulfils."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(
        item.get("weight", 1) for item in preferred if _matches_term(item.get("preference") or {}, node)
    )


def _matches_term(term: JsonObject, node: JsonObject) -> bool:
    """All expressions of a term must hold; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels, names = node["metadata"].get("labels") or {}, {"metadata.name": node["metadata"]["name"]}
    return all(_requirement(e).matches(labels) for e in expressions) and all(
        _requirement(f).matches(names) for f in fields
    )


def _requirement(expression: JsonObject) -> Requirement:
    values = tuple(str(value) for value in expression.get("values") or ())
    return Requirement(expression["key"], Operator(expression["operator"]), values)


def taints(node: JsonObject) -> Iterator[JsonObject]:
    """The node's taints, with the one that `spec.unschedulable` stands for."""
    spec = node.get("spec") or {}
    yield from spec.get("taints") or ()
    if spec.get("unschedulable"):
        yield UNSCHEDULABLE_TAINT


def untolerated_taint(
    pod: JsonObject, node: JsonObject, effects: frozenset[str] = REPELLING
) -> JsonObject | None:
    """The first taint with one of these effects that the pod does not tolerate."""
    tolerations = pod["spec"].get("tolerations") or ()
    for taint in taints(node):
        if taint.get("effect") in effects and not any(tolerates(t, taint) for t in tolerations):
            return taint
    return None


def tolerates(toleration: JsonObject, taint: JsonObject) -> bool:
    """Whether a pod with this toleration puts up with the taint, at least for a while."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    key = toleration.get("key")
    if key and key != taint.get("key"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(key) and (toleration.get("value") or "") == (taint.get("value") or "")

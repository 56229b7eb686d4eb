"""Label and field selectors, with the semantics of Kubernetes' apimachinery.

`NotIn`, `!=` and `DoesNotExist` match objects that lack the key altogether.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from emulator.api.objects import JsonObject


class Operator(StrEnum):
    """How a requirement compares; values as `matchExpressions` writes them."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GREATER = "Gt"
    LESS = "Lt"


class SelectorError(ValueError):
    """A selector that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` satisfy the condition."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.GREATER | Operator.LESS:
                return value is not None and self._compares(value)

    def _compares(self, value: str) -> bool:
        try:
            given, bound = int(value), int(self.values[0])
        except ValueError:
            return False
        return given > bound if self.operator is Operator.GREATER else given < bound


Selector = tuple[Requirement, ...]
"""Requirements that must all hold. The empty selector matches everything."""


def matches_all(selector: Iterable[Requirement], labels: Mapping[str, str] | None) -> bool:
    """Whether `labels` satisfy every requirement."""
    given = labels or {}
    return all(requirement.matches(given) for requirement in selector)


def from_label_selector(label_selector: JsonObject | None) -> Selector | None:
    """The requirements of a `LabelSelector` object; None (nothing is selected) when it is absent.

    Raises SelectorError for an operator that does not exist.
    """
    if label_selector is None:
        return None
    exact = (Requirement(k, Operator.IN, (v,)) for k, v in (label_selector.get("matchLabels") or {}).items())
    return (*exact, *(_expression(e) for e in label_selector.get("matchExpressions") or ()))


def _expression(expression: JsonObject) -> Requirement:
    try:
        operator = Operator(expression.get("operator", ""))
    except ValueError:
        given = expression.get("operator")
        raise SelectorError(f"{given!r} is not a valid label selector operator") from None
    return Requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ()))


def matches(label_selector: JsonObject | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a `LabelSelector` object selects `labels`: an absent one selects nothing, an empty one all."""
    selector = from_label_selector(label_selector)
    return selector is not None and matches_all(selector, labels)


_TOKEN = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)")


def parse(text: str) -> Selector:
    """Read the query form: `app=web,tier in (a, b),!canary,env notin (x),n > 1`.

    Raises SelectorError when the text is not a selector.
    """
    return _Parser(text).parse()


class _Parser:
    """A recursive descent over the tokens of one selector."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)
        self._next = 0

    def parse(self) -> Selector:
        requirements: list[Requirement] = []
        if self._peek() == "":
            return ()
        while True:
            requirements.append(self._requirement())
            match self._take():
                case "":
                    return tuple(requirements)
                case ",":
                    continue
                case other:
                    raise self._error(f"found {other!r}, expected: ',' or the end")

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._take()
            return Requirement(self._word(), Operator.DOES_NOT_EXIST)
        key = self._word()
        match self._peek():
            case "" | ",":
                return Requirement(key, Operator.EXISTS)
            case "=" | "==":
                self._take()
                return Requirement(key, Operator.IN, (self._value(),))
            case "!=":
                self._take()
                return Requirement(key, Operator.NOT_IN, (self._value(),))
            case "in" | "notin" as word:
                self._take()
                return Requirement(key, Operator.IN if word == "in" else Operator.NOT_IN, self._values())
            case ">" | "<" as sign:
                self._take()
                return Requirement(key, Operator.GREATER if sign == ">" else Operator.LESS, (self._number(),))
            case other:
                raise self._error(f"found {other!r}, expected: in, notin, =, ==, !=, >, <")

    def _word(self) -> str:
        token = self._take()
        if not token or not (token[0].isalnum() or token[0] in "_./-"):
            raise self._error(f"found {token!r}, expected: a label's key")
        return token

    def _value(self) -> str:
        return "" if self._peek() in ("", ",") else self._word()

    def _number(self) -> str:
        token = self._take()
        if not re.fullmatch(r"[+-]?\d+", token):
            raise self._error(f"found {token!r}, expected: an integer")
        return token

    def _values(self) -> tuple[str, ...]:
        if self._take() != "(":
            raise self._error("expected: '(' after in or notin")
        values: set[str] = set()
        while True:
            values.add("" if self._peek() in (",", ")") else self._word())
            match self._take():
                case ")":
                    return tuple(sorted(values))
                case ",":
                    continue
                case other:
                    raise self._error(f"found {other!r}, expected: ',' or ')'")

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    def _error(self, why: str) -> SelectorError:
        return SelectorError(f"unable to parse selector {self._text!r}: {why}")


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on one field: equal, or not equal."""

    path: tuple[str, ...]
    value: str
    equal: bool = True

    def matches(self, obj: JsonObject) -> bool:
        """Whether the field has (or has not) the value; a missing field is the empty text."""
        found: object = obj
        for part in self.path:
            found = found.get(part) if isinstance(found, dict) else None
        text = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        return (text == self.value) is self.equal


_FIELDS: Mapping[str, frozenset[str]] = {
    "Event": frozenset(
        {f"involvedObject.{f}" for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")}
        | {"involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"}
    ),
    "Job": frozenset({"status.successful"}),
    "Namespace": frozenset({"status.phase"}),
    "Node": frozenset({"spec.unschedulable"}),
    "Pod": frozenset(
        {f"spec.{f}" for f in ("nodeName", "restartPolicy", "schedulerName", "serviceAccountName")}
        | {"spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName"}
    ),
    "ReplicaSet": frozenset({"status.replicas"}),
    "Secret": frozenset({"type"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
}


def parse_fields(text: str, kind: str) -> tuple[FieldRequirement, ...]:
    """Read a field selector (`metadata.name=web,status.phase!=Running`) for objects of `kind`.

    Raises SelectorError for text that is no field selector, or a field that the API server does not index.
    """
    known = _FIELDS.get(kind, frozenset()) | {"metadata.name", "metadata.namespace"}
    requirements = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", term)
        if match is None:
            raise SelectorError(f"invalid selector: {text!r}; can't understand {term!r}")
        field, sign, value = (group.strip() for group in match.groups())
        if field not in known:
            raise SelectorError(f"field label not supported: {field}")
        requirements.append(FieldRequirement(tuple(field.split(".")), value, sign != "!="))
    return tuple(requirements)

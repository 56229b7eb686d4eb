"""Reading JSON against a schema, as the API server's decoder does: every unknown field and wrong type is
found.

Null stands for an absent field, whole floats for integers. Kubernetes' published schema and our own
(`schema/`) share the keywords handled here: type, properties, required, additionalProperties, items, enum,
pattern, format, minimum, maximum, minItems, minLength, minProperties, oneOf (of types, or of required fields)
and $ref.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from emulator.api.findings import Finding, Reason, invalid, not_supported, required, shown
from emulator.api.objects import JsonObject, Path
from emulator.api.quantity import is_quantity
from emulator.api.schema import Shape

_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_TIMES = frozenset(
    {"io.k8s.apimachinery.pkg.apis.meta.v1.Time", "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"}
)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_BOUNDS = {"int32": 2**31, "int64": 2**63}
_NAMES: Mapping[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}
_ARTICLES = {
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}


@dataclass(slots=True)
class Decoder:
    """One pass over one value; `findings` collects what is wrong."""

    findings: list[Finding] = field(default_factory=list)

    def decode(self, value: Any, shape: Shape, path: Path = ()) -> Any:
        """The value without nulls, and without the unknown fields (which are findings)."""
        node = shape.resolved
        special = _SPECIAL.get(shape.name)
        if special is not None:
            self.findings += special(value, path)
            return value
        types = _types(node)
        if isinstance(value, dict) and "object" in types:
            return self._object(value, shape, path)
        if isinstance(value, list) and "array" in types:
            return self._list(value, shape, path)
        return self._scalar(value, node, types, path)

    def _object(self, value: JsonObject, shape: Shape, path: Path) -> JsonObject:
        node = shape.resolved
        result = {}
        for name, item in value.items():
            here = (*path, name)
            child = shape.field(name) if isinstance(name, str) else None
            if not isinstance(name, str):
                self.findings.append(_key_type(here, name))
            elif child is None and _is_closed(node):
                self.findings.append(_unknown(here, name, node))
            elif item is None:
                if child is not None and (stand_in := _for_null(name, child, node)) is not None:
                    result[name] = stand_in
            elif child is None:
                result[name] = item
            else:
                result[name] = self.decode(item, child, here)
        self._required(result, node, path)
        if len(result) < node.get("minProperties", 0):
            self.findings.append(required(path, "must not be empty"))
        return result

    def _required(self, value: JsonObject, node: JsonObject, path: Path) -> None:
        for name in node.get("required") or ():
            if name not in value:
                self.findings.append(required((*path, name)))
        alternatives = [option["required"] for option in node.get("oneOf") or () if "required" in option]
        if not alternatives:
            return
        given = [names for names in alternatives if all(name in value for name in names)]
        words = " or ".join(" and ".join(names) for names in alternatives)
        if not given:
            self.findings.append(required(path, f"one of {words}"))
        elif len(given) > 1:
            second = given[1][0]
            message = f"Forbidden: only one of {words} may be given"
            self.findings.append(Finding((*path, second), Reason.FORBIDDEN, message, at_key=True))

    def _list(self, value: list[Any], shape: Shape, path: Path) -> list[Any]:
        items = shape.items
        least = shape.resolved.get("minItems", 0)
        if len(value) < least:
            self.findings.append(required(path, f"needs at least {least} item{'s' * (least > 1)}"))
        if items is None:
            return value
        result: list[Any] = []
        for index, item in enumerate(value):
            if item is None and _may_be_empty(items.resolved):
                result.append({})
            elif item is None:
                self.findings.append(_wrong_type((*path, index), None, _types(items.resolved)))
            else:
                result.append(self.decode(item, items, (*path, index)))
        return result

    def _scalar(self, value: Any, node: JsonObject, types: frozenset[str], path: Path) -> Any:
        if types and not _fits(value, types):
            self.findings.append(_wrong_type(path, value, types))
            return value
        if isinstance(value, float) and value.is_integer() and "integer" in types:
            value = int(value)
        self.findings += _limits(value, node, path)
        return value


def _for_null(name: str, child: Shape, parent: JsonObject) -> Any:
    """What Go makes of null: an empty text in a map of texts, an empty required list, else absence (None)."""
    types = _types(child.resolved)
    if name not in (parent.get("properties") or {}):
        return "" if types == {"string"} else None
    return [] if "array" in types and name in (parent.get("required") or ()) else None


def _may_be_empty(node: JsonObject) -> bool:
    """Whether an item may be an object without fields: Go makes that of null in a list of objects."""
    return "object" in _types(node) and "properties" in node and not node.get("required")


def _types(node: JsonObject) -> frozenset[str]:
    given = node.get("type")
    if given is None:
        options = [_types(option) for option in node.get("oneOf") or () if "type" in option]
        return frozenset().union(*options)
    return frozenset((given,) if isinstance(given, str) else given) - {"null"}


def _fits(value: Any, types: frozenset[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, int):
        return "integer" in types or "number" in types
    if isinstance(value, float):
        return "number" in types or ("integer" in types and value.is_integer())
    return isinstance(value, str) and "string" in types


def _is_closed(node: JsonObject) -> bool:
    """Whether fields beyond the listed ones are mistakes: yes wherever some are listed."""
    return "properties" in node and not isinstance(node.get("additionalProperties"), dict)


def _limits(value: Any, node: JsonObject, path: Path) -> Iterator[Finding]:
    if "enum" in node and value not in node["enum"]:
        yield not_supported(path, value, node["enum"], nearest(str(value), map(str, node["enum"])))
    if isinstance(value, int) and not isinstance(value, bool):
        bound = _BOUNDS.get(node.get("format", ""))
        if bound is not None and not -bound <= value < bound:
            yield invalid(path, value, f"must fit into {node['format']}")
        low, high = node.get("minimum"), node.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            yield invalid(path, value, _range(low, high))
    elif isinstance(value, str):
        if len(value) < node.get("minLength", 0):
            yield required(path, "must not be empty")
        elif "pattern" in node and not re.search(node["pattern"], value):
            yield invalid(path, value, node.get("x-form") or f"must match {node['pattern']}")
        elif node.get("format") == "byte":
            yield from _base64(value, path)


def _range(low: int | None, high: int | None) -> str:
    if high is None:
        return f"must be greater than or equal to {low}"
    if low is None:
        return f"must be less than or equal to {high}"
    return f"must be between {low} and {high}, inclusive"


def _base64(value: str, path: Path) -> Iterator[Finding]:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        message = f"illegal base64 data: {shown(value)}"
        yield Finding(path, Reason.TYPE, message, "plain text belongs under stringData")


def _key_type(path: Path, key: Any) -> Finding:
    message = f"expected a string as the key, got {_NAMES.get(type(key), 'null')}"
    return Finding(tuple(map(str, path)), Reason.TYPE, message, "quote it", at_key=True)


def _unknown(path: Path, name: str, node: JsonObject) -> Finding:
    hint = nearest(name, node.get("properties") or ())
    return Finding(path, Reason.UNKNOWN, f'unknown field "{name}"', hint, at_key=True)


def nearest(word: str, words: Iterable[str]) -> str:
    """`did you mean "..."?` with the nearest of `words`, or nothing when none is near."""
    known = {candidate.lower(): candidate for candidate in words}
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.7)
    return f'did you mean "{known[close[0]]}"?' if close else ""


def _wrong_type(path: Path, value: Any, types: frozenset[str]) -> Finding:
    wanted = " or ".join(_ARTICLES[name] for name in sorted(types))
    got = "null" if value is None else _NAMES[type(value)]
    quoted = "" if isinstance(value, (dict, list)) or value is None else f" {shown(value)}"
    return Finding(path, Reason.TYPE, f"expected {wanted}, got {got}{quoted}", _type_hint(value, types))


def _type_hint(value: Any, types: frozenset[str]) -> str:
    if "string" in types and isinstance(value, (bool, int, float)):
        return f'quote it: "{value if not isinstance(value, bool) else str(value).lower()}"'
    if isinstance(value, str):
        if "integer" in types and re.fullmatch(r"[+-]?\d+", value.strip()):
            return f"without quotes: {value.strip()}"
        if "boolean" in types and value.lower() in ("true", "false", "yes", "no", "on", "off"):
            return "without quotes: " + ("true" if value.lower() in ("true", "yes", "on") else "false")
    if "array" in types and value is not None:
        return "start each item with '- '"
    if "object" in types and isinstance(value, list):
        return "remove the '- '"
    return ""


def _int_or_string(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        yield _wrong_type(path, value, frozenset({"integer", "string"}))
    elif isinstance(value, int):
        yield from _limits(value, {"format": "int32"}, path)


def _quantity(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        yield _wrong_type(path, value, frozenset({"number", "string"}))
    elif not is_quantity(str(value)):
        hint = "write quantities as 100m, 0.5, 128Mi or 1G"
        yield Finding(path, Reason.TYPE, f"{shown(value)} is not a quantity", hint)


def _time(value: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(value, str):
        yield _wrong_type(path, value, frozenset({"string"}))
    elif not _TIMESTAMP.fullmatch(value):
        yield Finding(path, Reason.TYPE, f"{shown(value)} is not a time as 2026-01-31T12:00:00Z")


_SPECIAL = {_INT_OR_STRING: _int_or_string, _QUANTITY: _quantity, **dict.fromkeys(_TIMES, _time)}

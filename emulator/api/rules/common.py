"""Checks that several families of kinds share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from emulator.api.findings import Finding, duplicate, invalid, not_supported, required
from emulator.api.names import label_value, port_name, qualified_name
from emulator.api.objects import JsonObject, Path

PROTOCOLS = ("TCP", "UDP", "SCTP")
PORT_RANGE = "must be between 1 and 65535, inclusive"
_PERCENT = re.compile(r"[0-9]+%")
_SELECTOR_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

Syntax = Callable[[str], str]
"""Why a text does not have a form; empty when it has (see `emulator.api.names`)."""


def items(holder: JsonObject, field: str, path: Path) -> Iterator[tuple[JsonObject, Path]]:
    """The objects in a list, each with its path."""
    for index, item in enumerate(holder.get(field) or ()):
        if isinstance(item, dict):
            yield item, (*path, field, index)


def one_of(holder: JsonObject, field: str, words: Iterable[str], path: Path) -> Iterator[Finding]:
    """A field, if given, must be one of the words."""
    if holder.get(field) is not None:
        yield from word_of(holder[field], words, (*path, field))


def word_of(value: Any, words: Iterable[str], path: Path) -> Iterator[Finding]:
    """A value must be one of the words; the nearest one is suggested."""
    known = {word.lower(): word for word in words}
    if value not in known.values():
        close = get_close_matches(str(value).lower(), known, n=1, cutoff=0.5)
        hint = f'did you mean "{known[close[0]]}"?' if close else ""
        yield not_supported(path, value, known.values(), hint)


def has_form(value: Any, path: Path, syntax: Syntax, *, at_key: bool = False) -> Iterator[Finding]:
    """A text must have a form; a lower-case form that fits is suggested."""
    if not isinstance(value, str):
        return
    if why := syntax(value):
        lower = re.sub(r"[^a-z0-9.-]+", "-", value.lower()).strip("-.")
        hint = f'did you mean "{lower}"?' if lower and lower != value and not syntax(lower) else ""
        finding = invalid(path, value, why, hint)
        yield (
            Finding(finding.path, finding.reason, finding.message, finding.hint, at_key)
            if at_key
            else finding
        )


def unique(values: Iterable[tuple[Any, Path]]) -> Iterator[Finding]:
    """No value may come twice; absent ones (None, empty) may."""
    seen = set()
    for value, path in values:
        if value in (None, ""):
            continue
        if value in seen:
            yield duplicate(path, list(value) if isinstance(value, tuple) else value)
        seen.add(value)


def is_port(value: Any) -> bool:
    """Whether a number can be a port."""
    return isinstance(value, int) and 1 <= value <= 65535


def port_number(holder: JsonObject, field: str, path: Path) -> Iterator[Finding]:
    """A port, if given, is between 1 and 65535."""
    value = holder.get(field)
    if value is not None and not is_port(value):
        yield invalid((*path, field), value, PORT_RANGE)


def port_or_name(value: Any, path: Path) -> Iterator[Finding]:
    """A port by number or by name."""
    if isinstance(value, int):
        if not is_port(value):
            yield invalid(path, value, PORT_RANGE)
    elif isinstance(value, str):
        if value.isdigit():
            yield invalid(path, value, "must contain at least one letter (a-z)", f"without quotes: {value}")
        else:
            yield from has_form(value, path, port_name)


def port_name_findings(value: Any, path: Path) -> Iterator[Finding]:
    """The name of a port, if given."""
    if value:
        yield from has_form(value, path, port_name)


def not_negative(holder: JsonObject, fields: Iterable[str], path: Path) -> Iterator[Finding]:
    """Numbers, if given, are 0 or more."""
    for field in fields:
        value = holder.get(field)
        if isinstance(value, int) and value < 0:
            yield invalid((*path, field), value, "must be greater than or equal to 0")


def number_or_percent(holder: JsonObject, field: str, path: Path) -> Iterator[Finding]:
    """A number of 0 or more, or a share such as 25%."""
    value = holder.get(field)
    yield from not_negative(holder, (field,), path)
    if isinstance(value, str) and not _PERCENT.fullmatch(value):
        detail = "a valid percent string must be a numeric string followed by an ending '%'"
        yield invalid((*path, field), value, detail)


def labels(value: Any, path: Path) -> Iterator[Finding]:
    """Keys and values of labels, or of a selector of labels."""
    for key, text in (value or {}).items():
        yield from has_form(key, (*path, key), qualified_name, at_key=True)
        yield from has_form(text, (*path, key), label_value)


def label_selector(selector: Any, path: Path) -> Iterator[Finding]:
    """A `LabelSelector`'s labels and expressions."""
    if not isinstance(selector, dict):
        return
    yield from labels(selector.get("matchLabels"), (*path, "matchLabels"))
    for expression, here in items(selector, "matchExpressions", path):
        yield from has_form(expression.get("key"), (*here, "key"), qualified_name)
        yield from one_of(expression, "operator", _SELECTOR_OPERATORS, here)
        operator, values = expression.get("operator"), expression.get("values")
        if operator in ("In", "NotIn") and not values:
            yield required((*here, "values"), "must be specified when `operator` is 'In' or 'NotIn'")
        if operator in ("Exists", "DoesNotExist") and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield invalid((*here, "values"), values, detail)
        for index, value in enumerate(values or ()):
            yield from has_form(value, (*here, "values", index), label_value)


def address(value: Any, path: Path) -> Iterator[Finding]:
    """An IP address."""
    if isinstance(value, str) and parsed_address(value) is None:
        yield invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is, or None."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def parsed_network(text: str) -> IPv4Network | IPv6Network | None:
    """The range that a text is (host bits are ignored, as the API server does), or None."""
    address, _, length = text.partition("/")
    if not (length.isascii() and length.isdigit()):
        return None  # `ipaddress` would take 255.255.0.0, too.
    try:
        return ip_network((address, int(length)), strict=False)
    except ValueError:
        return None


def network(value: Any, path: Path) -> Iterator[Finding]:
    """A range of addresses."""
    if isinstance(value, str) and parsed_network(value) is None:
        yield invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def given(holder: Mapping[str, Any], fields: Iterable[str]) -> list[str]:
    """Those of the fields that are there."""
    return [field for field in fields if holder.get(field) is not None]

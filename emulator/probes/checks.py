"""Claims about captured packets, as data: `{"at": "shop/web", "match": {"ip.ttl": 62}, "count": ">=1"}`.

A match names header fields (see `headers`) and what each must be:

- a number or text: equal, addresses compared as addresses;
- `10.244.0.0/16`: an address in the range;
- `">=60"`, `"<5"`, `"!=0"`: a comparison;
- a list: any of its values;
- null: the packet has no such field.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from emulator.probes.capture import Record
from emulator.probes.headers import FIELDS, Headers
from emulator.probes.request import RequestError

Predicate = Callable[[int | str | None], bool]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(r"(>=|<=|!=|==|>|<)\s*(.+)")
_PREFIXES = ("inner.", "quoted.")


@dataclass(frozen=True, slots=True)
class Check:
    """One claim: so many packets at this place look like this."""

    at: str
    match: Mapping[str, Any]
    count: str = ">=1"
    direction: str | None = None
    """`in` to the watched place or `out` of it; None counts both."""
    predicates: Mapping[str, Predicate] = field(default_factory=dict, compare=False, repr=False)

    def matches(self, record: Record) -> bool:
        """Whether the record is one that the claim counts."""
        if record.at != self.at or self.direction not in (None, record.direction.value):
            return False
        return not self.differences(record.headers)

    def differences(self, headers: Headers) -> tuple[str, ...]:
        """Names of the fields that are not as claimed."""
        return tuple(name for name, holds in self.predicates.items() if not holds(headers.get(name)))

    def holds(self, matched: int) -> bool:
        """Whether this many matching packets are as claimed."""
        return _compare(self.count, matched)

    @property
    def is_settled_early(self) -> bool:
        """Whether the claim, once it holds, cannot be broken by more packets."""
        return self.count.startswith((">=", ">"))


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a claim fared."""

    check: Check
    ok: bool
    matched: int
    example: Record | None = None
    """The first packet that matched."""
    closest: Record | None = None
    """Where none matched: the packet at that place with the fewest differences."""
    differences: tuple[str, ...] = ()
    """Fields in which the closest one differs."""

    def as_json(self) -> dict[str, Any]:
        """For reports: the claim, the count, and the evidence for or against it."""
        body: dict[str, Any] = {
            "at": self.check.at,
            "match": dict(self.check.match),
            "count": self.check.count,
        }
        if self.check.direction:
            body["direction"] = self.check.direction
        body |= {"ok": self.ok, "matched": self.matched}
        if self.example is not None:
            body["example"] = self.example.as_json()
        if self.closest is not None:
            body["closest"] = self.closest.as_json()
            body["differences"] = list(self.differences)
        return body


class Tally:
    """Counts the packets that match a claim while they come in."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self._matched = 0
        self._example: Record | None = None
        self._closest: tuple[int, Record] | None = None

    def add(self, record: Record) -> None:
        """Take a packet into account."""
        if self.check.matches(record):
            self._matched += 1
            self._example = self._example or record
        elif record.at == self.check.at and self._example is None:
            misses = len(self.check.differences(record.headers))
            if self._closest is None or misses < self._closest[0]:
                self._closest = (misses, record)

    @property
    def holds(self) -> bool:
        """Whether the claim holds by now."""
        return self.check.holds(self._matched)

    def result(self) -> CheckResult:
        """How the claim stands."""
        closest = self._closest[1] if self._closest and self._example is None and not self.holds else None
        differences = self.check.differences(closest.headers) if closest else ()
        return CheckResult(self.check, self.holds, self._matched, self._example, closest, differences)


def check_of(body: Mapping[str, Any]) -> Check:
    """Read one claim. Raises RequestError for an unknown field, with the nearest right name."""
    if unknown := set(body) - {"at", "match", "count", "direction"}:
        raise RequestError(f"unknown field of a capture check: {', '.join(sorted(unknown))}")
    if not body.get("at"):
        raise RequestError("a capture check needs `at`: the place to look at")
    match, direction = body.get("match", {}), body.get("direction")
    if not isinstance(match, Mapping):
        raise RequestError("`match` must be an object of header fields")
    if direction not in (None, "in", "out"):
        raise RequestError(f"direction must be in or out, not {direction!r}")
    count = str(body.get("count", ">=1"))
    if not re.fullmatch(r"(>=|<=|!=|==|>|<)?\s*\d+", count):
        raise RequestError(f"not a count: {count!r}; write 3, >=1 or <5")
    return Check(body["at"], match, count, direction, predicates(match))


def predicates(match: Mapping[str, Any]) -> dict[str, Predicate]:
    """A test for each named field. Raises RequestError for a name that no header has."""
    for name in match:
        if _bare(name) not in FIELDS:
            near = difflib.get_close_matches(_bare(name), FIELDS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise RequestError(f"unknown header field {name!r}{hint}")
    return {name: _predicate(wanted) for name, wanted in match.items()}


def run_checks(checks: Sequence[Check], records: Sequence[Record]) -> tuple[CheckResult, ...]:
    """How each claim stands against a finished capture."""
    tallies = [Tally(check) for check in checks]
    for record in records:
        for tally in tallies:
            tally.add(record)
    return tuple(tally.result() for tally in tallies)


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _predicate(wanted: Any) -> Predicate:
    if wanted is None:
        return lambda value: value is None
    if isinstance(wanted, list | tuple):
        options = [_predicate(option) for option in wanted]
        return lambda value: any(option(value) for option in options)
    if isinstance(wanted, bool | int):
        return lambda value: value == int(wanted)
    text = str(wanted)
    if _COMPARISON.fullmatch(text):
        return lambda value: value is not None and _compare(text, value)
    if "/" in text and (contains := _range(text)) is not None:
        return contains
    return lambda value: value is not None and _normal(value) == _normal(text)


def _range(text: str) -> Predicate | None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None

    def contains(value: int | str | None) -> bool:
        try:
            return value is not None and ip_address(value) in network
        except ValueError:
            return False

    return contains


def _compare(text: str, value: int | str) -> bool:
    found = _COMPARISON.fullmatch(text)
    sign, wanted = found.groups() if found else ("==", text)
    if isinstance(value, int) and wanted.strip().lstrip("-").isdigit():
        return _OPERATORS[sign](value, int(wanted))
    return _OPERATORS[sign](_normal(value), _normal(wanted))


def _normal(value: int | str) -> str:
    text = str(value).strip().lower()
    try:
        return str(ip_address(text))
    except ValueError:
        return text

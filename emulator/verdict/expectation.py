"""One expectation against one probe report: a verdict, and the reasons for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from emulator.cluster.outcome import Outcome
from emulator.verdict.outcome import Verdict
from emulator.verdict.spread import EVEN, is_even, p_value

Report = Mapping[str, Any]
"""A `Probe` report: the JSON contract."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with its reasons; the first reason is the headline."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """Who must have answered. Names may have `*` in them."""

    places: tuple[str, ...] = ()
    """Only these, and each of them at least once."""
    count: int | None = None
    """So many different ones."""
    even: bool = False
    """In equal shares, as far as chance goes (chi-square, p > 0.001)."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a probe should find. Empty fields claim nothing."""

    outcome: Outcome = Outcome.CONNECTED
    because: str = ""
    """The reason, of those that spec gives: an object, `NetworkPolicy/shop/deny-all`, or a code."""
    sees: Mapping[str, Any] = field(default_factory=dict)
    """Fields of every `seen` entry; a `source` may be a place, which means one of its addresses."""
    endpoints: Spread | None = None
    captures: tuple[Mapping[str, Any], ...] = ()
    """Claims about captured packets, as probes take them: `at`, `match`, `count`, `direction`."""
    response: Mapping[str, Any] = field(default_factory=dict)
    """HTTP: `status`, and `body` as a part of the text."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Any other part of the report, by dotted path (`rejections.0.name`)."""


def compare(expected: Expectation, report: Report, addresses: Mapping[str, frozenset[str]]) -> Finding:
    """Judge `report`. `addresses` holds the addresses of every place that `expected` sees as a source.

    A probe that failed decides nothing: the verdict is an error, whatever was expected.
    """
    outcome = Outcome(report.get("outcome", Outcome.UNKNOWN))
    if outcome in (Outcome.ERROR, Outcome.UNKNOWN):
        return Finding(Verdict.ERROR, (f"the probe failed: {_why(report)}",))
    if len(report.get("checks") or ()) != len(expected.captures):
        return Finding(Verdict.ERROR, ("the claims about captured packets were not answered",))
    reasons = [*_outcome(expected, outcome, report)]
    if not reasons and expected.because:
        reasons += _because(expected, report)
    if not reasons:
        reasons += _sees(expected, report, addresses)
        reasons += _endpoints(expected.endpoints, report) if expected.endpoints else ()
        reasons += _captures(report)
        reasons += _response(expected.response, report)
        reasons += _fields(expected.fields, report)
    return Finding(Verdict.FAIL if reasons else Verdict.PASS, tuple(reasons))


def _why(report: Report) -> str:
    errors = report.get("errors")
    words = list(errors) if isinstance(errors, Mapping) else list(errors or ())
    return "; ".join(str(word) for word in [*words, *(report.get("notes") or ())]) or "it says no more"


def _outcome(expected: Expectation, outcome: Outcome, report: Report) -> Iterable[str]:
    if outcome is expected.outcome:
        return
    counts = report.get("outcomes") or {}
    if outcome is Outcome.MIXED:
        told = ", ".join(f"{count} {word}" for word, count in counts.items())
        yield f"expected all {expected.outcome}, was {told}"
    else:
        yield f"expected {expected.outcome}, was {outcome}"


def _because(expected: Expectation, report: Report) -> Iterable[str]:
    """The right outcome for the wrong reason is not what was expected."""
    spec = report.get("spec")
    if not spec:
        yield f"because {expected.because}: spec has no answer for such a probe"
    elif expected.outcome.value not in (spec.get("outcomes") or (spec.get("outcome"),)):
        yield f"because {expected.because}: spec says {spec.get('outcome')}, for {_said(spec)}"
    elif expected.because not in (spec.get("because") or ()):
        yield f"{expected.outcome}, but not because of {expected.because}: {_said(spec)}"


def _said(spec: Mapping[str, Any]) -> str:
    return str(spec.get("explanation") or "; ".join(spec.get("reasons") or ()) or "no reason")


def _sees(expected: Expectation, report: Report, addresses: Mapping[str, frozenset[str]]) -> Iterable[str]:
    if not expected.sees:
        return
    answered = set(report.get("endpoints") or ())
    seen = [one for one in report.get("seen") or () if not answered or one.get("at") in answered]
    if not seen:
        yield "nothing was seen at the far end"
    for name, wanted in expected.sees.items():
        allowed = addresses.get(str(wanted), frozenset((str(wanted),))) if name == "source" else {str(wanted)}
        wrong = sorted(
            {f"{one.get(name)} at {one.get('at')}" for one in seen if str(one.get(name)) not in allowed}
        )
        if wrong:
            meant = f"{wanted} ({', '.join(sorted(allowed))})" if allowed != {str(wanted)} else str(wanted)
            yield f"{name} seen was {', '.join(wrong)}, expected {meant}"


def _endpoints(spread: Spread, report: Report) -> Iterable[str]:
    counts: Mapping[str, int] = report.get("endpoints") or {}
    if spread.places:
        strangers = [name for name in counts if not any(fnmatchcase(name, one) for one in spread.places)]
        silent = [one for one in spread.places if not any(fnmatchcase(name, one) for name in counts)]
        if strangers:
            yield f"answered by {', '.join(sorted(strangers))}, expected only {', '.join(spread.places)}"
        if silent:
            yield f"never answered: {', '.join(silent)}"
    if spread.count is not None and len(counts) != spread.count:
        yield f"answered by {len(counts)} endpoints ({_shares(counts)}), expected {spread.count}"
    if spread.even and not is_even(counts):
        chance = p_value(tuple(counts.values()))
        yield f"uneven spread: {_shares(counts)} (p = {chance:.2g}, must be above {EVEN})"


def _shares(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nobody"


def _captures(report: Report) -> Iterable[str]:
    for check in report.get("checks") or ():
        if check.get("ok"):
            continue
        match = ", ".join(f"{name} {value}" for name, value in check.get("match", {}).items())
        counted = f"{check.get('matched', 0)} packets at {check.get('at')} with {match}"
        reason = f"{counted}, expected {check.get('count')}"
        closest = (check.get("closest") or {}).get("headers") or {}
        differing = [f"{name} {closest.get(name)}" for name in check.get("differences") or ()]
        yield f"{reason}; the closest has {', '.join(differing)}" if differing else reason


def _response(wanted: Mapping[str, Any], report: Report) -> Iterable[str]:
    if not wanted:
        return
    replies: Sequence[Mapping[str, Any]] = report.get("http") or ()
    if not replies:
        yield "no HTTP response came"
    for reply in replies:
        if "status" in wanted and reply.get("status") != wanted["status"]:
            yield f"HTTP status was {reply.get('status')}, expected {wanted['status']}"
        if "body" in wanted and str(wanted["body"]) not in str(reply.get("body", "")):
            yield f"the body was {_short(reply.get('body', ''))!r}, expected {wanted['body']!r} in it"


def _fields(wanted: Mapping[str, Any], report: Report) -> Iterable[str]:
    for path, value in wanted.items():
        found = dig(report, path)
        if found != value and str(found) != str(value):
            yield f"{path} was {found!r}, expected {value!r}"


def dig(value: Any, path: str) -> Any:
    """The part of nested JSON at a dotted path; None where there is none.

    A step is a key, a list's index, or `[key=value]`: the first list item that has it.
    """
    for step in _steps(path):
        if isinstance(value, list) and "=" in step:
            key, _, wanted = step.partition("=")
            value = next((one for one in value if str(one.get(key)) == wanted), None)
        elif isinstance(value, list) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            return None
    return value


def _steps(path: str) -> list[str]:
    """`a.b[name=x.y].c[0]` → a, b, name=x.y, c, 0."""
    steps: list[str] = []
    rest = path
    while rest:
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            steps.append(inside)
        else:
            end = min((rest.index(mark) for mark in ".[" if mark in rest), default=len(rest))
            steps.append(rest[:end])
            rest = rest[end:]
        rest = rest.removeprefix(".")
    return steps


def _short(text: Any) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= 60 else words[:57] + "..."

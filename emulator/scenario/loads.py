"""Loads in scenarios: requests that go on while steps run, and what must have become of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from emulator.api.objects import JsonObject
from emulator.api.objects import Path as FieldPath
from emulator.cluster.places import parse_place, parse_port
from emulator.probes.load import MOST_RATE
from emulator.scenario.cluster import LiveCluster
from emulator.scenario.document import Document, Reader
from emulator.scenario.model import BeginLoad, LoadCheck, Step
from emulator.scenario.results import CheckResult
from emulator.verdict.outcome import Verdict

_FEW = 10
"""Lost requests that a report names."""

# -- reading ---------------------------------------------------------------------------------------


def read_loads(reader: Reader, namespace: str) -> list[BeginLoad]:
    """The loads that a step begins: `load: {NAME: [{from, to, ...}]}`."""
    named = reader.child("load")
    found = []
    for name in named:
        if not isinstance(named.raw(name), list):
            named.complain(name, "must be a list of streams, as [{from: web, to: svc/db, port: 80/tcp}]")
            continue
        streams = tuple(stream for item in named.each(name) for stream in _streams(item, namespace))
        if not streams and not reader.document.problems:
            named.complain(name, "a load needs at least one stream")
        found.append(BeginLoad(name, streams))
    return found


def _streams(item: Reader, namespace: str) -> Iterator[Mapping[str, Any]]:
    """A stream for each pair of places."""
    for name in ("from", "to"):
        if name not in item and item.is_mapping:
            item.document.complain(item.path, f"{name} is missing")
    rate = item.raw("rate")
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate <= MOST_RATE):
        item.complain("rate", f"must be a number of requests a second, at most {MOST_RATE:g}, is {rate!r}")
    family = item.take("family", int, 0)
    if family not in (0, 4, 6):
        item.complain("family", f"must be 4 or 6, is {family}")
    port = item.raw("port")
    common = {
        "port": port and str(item.parsed("port", parse_port, str(port)) or ""),
        "http": item.take("http", str, ""),
        "rate": rate,
        "family": family,
    }
    places = {
        name: [
            item.parsed(name, lambda text: parse_place(text, namespace), text) for text in item.texts(name)
        ]
        for name in ("from", "to")
    }
    item.done()
    given = {name: value for name, value in common.items() if value}
    for source, target in product(places["from"], places["to"]):
        if source and target:
            yield {"from": str(source), "to": str(target), **given}


def read_load_check(reader: Reader) -> LoadCheck:
    """`{load: NAME, lost: 0, sent: 1, answers: 1}`."""
    numbers = {"lost": 0, "sent": 1, "answers": 0}
    check = LoadCheck(
        name=reader.need("load", str, ""),
        line=reader.line,
        **{name: reader.take(name, int, default) for name, default in numbers.items()},
    )
    for name in numbers:
        if getattr(check, name) < 0:
            reader.complain(name, "must be 0 or more")
    reader.done()
    return check


def complain_of_loads(document: Document, steps: tuple[Step, ...]) -> None:
    """Loads that are judged but not begun, begun twice, or begun and never judged."""
    begun: dict[str, int] = {}
    judged: set[str] = set()
    for index, step in enumerate(steps):
        where: FieldPath = ("spec", "steps", index)
        for action in step.actions:
            if isinstance(action, BeginLoad):
                if action.name in begun:
                    document.complain((*where, "load", action.name), "a load of that name was begun before")
                begun.setdefault(action.name, index)
        for check in step.checks:
            if isinstance(check, LoadCheck):
                if check.name not in begun or check.name in judged:
                    known = ", ".join(sorted(set(begun) - judged)) or "none"
                    why = f"no load {check.name!r} is under way by then; there are: {known}"
                    document.complain((*where, "expect"), why, "begin it with load: in an earlier step")
                judged.add(check.name)
    for name in begun.keys() - judged:
        why = "is begun and never judged"
        document.complain(
            ("spec", "steps", begun[name], "load", name),
            why,
            f"add to a later step's expect: {{load: {name}}}",
        )


# -- playing ---------------------------------------------------------------------------------------


def judge(cluster: LiveCluster, load: str, check: LoadCheck) -> CheckResult:
    """End a load and say whether it fared as expected. Raises ApiError."""
    started = time.monotonic()
    report = cluster.stop_load(load, check.sent)
    lost = report["sent"] - report["outcomes"].get("connected", 0)
    reasons = list(_reasons(check, report, lost))
    return CheckResult(
        text=f"load {check.name}: {report['sent']} requests",
        verdict=Verdict.FAIL if reasons else Verdict.PASS,
        found=f"{lost} lost",
        reasons=tuple(reasons),
        line=check.line,
        seconds=time.monotonic() - started,
        report=report,
    )


def _reasons(check: LoadCheck, report: JsonObject, lost: int) -> Iterator[str]:
    if lost > check.lost:
        yield f"{lost} of {report['sent']} requests were lost, at most {check.lost} may be"
        told = [(stream, one) for stream in report["streams"] for one in stream["lost"]]
        for stream, one in told[:_FEW]:
            yield f"{stream['from']} → {stream['to']}:{stream['port']} {one['outcome']}: {one['said']}"
    if report["sent"] < check.sent:
        yield f"{report['sent']} requests were sent, expected {check.sent} or more"
    if len(report["answers"]) < check.answers:
        found = ", ".join(report["answers"]) or "nobody"
        yield f"{len(report['answers'])} different ones answered ({found}), expected {check.answers} or more"

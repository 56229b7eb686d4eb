"""`probe`: ask, and tell the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.exits import ExitCode
from emulator.cli.progress import progress
from emulator.cli.session import Session
from emulator.cli.terminal import Terminal
from emulator.cluster.places import Place, parse_place, place_of_url


@dataclass(frozen=True, slots=True)
class Question:
    """A probe as the command line words it."""

    source: str
    target: str | None
    port: str | None
    count: int
    http: str | None
    family: str | None
    expect: str | None
    timeout: float | None
    namespace: str
    name: str
    output: str


def ask(session: Session, question: Question) -> int:
    """Send the traffic, print what became of it; the exit code says whether that was expected."""
    source = parse_place(question.source, question.namespace)
    target = _target(question)
    if source.port:
        raise click.UsageError(f"{question.source!r}: a source has no port")
    if target.port and question.port:
        raise click.UsageError("the port stands in TO and in --port: one of them is enough")
    port = str(target.port) if target.port else question.port
    cluster = session.connect(question.name)
    options: dict[str, Any] = {"count": question.count, "http": question.http, "timeout": question.timeout}
    with progress(session.terminal, f"probing {source} → {target}"):
        report = cluster.probe(
            str(source),
            str(target),
            port,
            family=int(question.family) if question.family else None,
            **options,
        )
    match question.output:
        case "json":
            session.terminal.out(formats.to_json(report))
        case "yaml":
            session.terminal.out(formats.to_yaml(report))
        case _:
            tell(session.terminal, report, expected(question.expect, report))
    return verdict(report, expected(question.expect, report))


def _target(question: Question) -> Place:
    """TO, else the host of the URL. Raises click.UsageError and PlaceError."""
    if question.target is not None:
        return parse_place(question.target, question.namespace)
    host = place_of_url(question.http) if question.http else None
    if host is None:
        raise click.UsageError("TO is missing: name a place, or give --http a whole URL")
    return host


def expected(asked: str | None, report: JsonObject) -> str:
    """The expected outcome: the one asked for, else spec's, else connected.

    Where spec leaves it to chance, each of the outcomes that it may come to is as expected.
    """
    spec = report.get("spec") or {}
    outcome, possible = str(report.get("outcome")), spec.get("outcomes") or ()
    if not asked and outcome in (*possible, "mixed") and possible:
        return outcome
    return asked or str(spec.get("outcome") or "connected")


def verdict(report: JsonObject, wanted: str) -> int:
    """0 as expected, 1 not. A probe that failed proves nothing, so it is never as expected."""
    return ExitCode.AS_EXPECTED if report.get("outcome") == wanted else ExitCode.NOT_AS_EXPECTED


def tell(terminal: Terminal, report: JsonObject, wanted: str) -> None:
    """Print a probe's report for people: the outcome against the expectation, then the evidence."""
    outcome = str(report.get("outcome"))
    good = outcome == wanted
    mark = terminal.style("✓", "good") if good else terminal.style("✗", "bad")
    port = f":{report['port']}" if report.get("port") else ""
    line = f"{mark} {report.get('from')} → {report.get('to')}{port}   {outcome}"
    if not good:
        line += terminal.style(f"   expected {wanted}", "bad")
    terminal.out(line)
    for title, text in _evidence(report):
        terminal.out(f"    {title:<10} {text}")


def _evidence(report: JsonObject) -> list[tuple[str, str]]:
    lines = [("lookup", _lookup(one)) for one in report.get("lookups") or []]
    outcomes = report.get("outcomes") or {}
    if sum(outcomes.values()) > 1:
        lines.append(("outcomes", ", ".join(f"{count} {word}" for word, count in outcomes.items())))
    endpoints = report.get("endpoints") or {}
    if endpoints:
        lines.append(("answered", _counted(endpoints)))
    if report.get("servedBy"):
        lines.append(("served by", _counted(report["servedBy"])))
    if report.get("sourceSeen"):
        lines.append(("saw source", ", ".join(report["sourceSeen"])))
    ttls = sorted({seen["ttl"] for seen in report.get("seen") or [] if seen.get("ttl") is not None})
    if ttls:
        lines.append(("ttl", ", ".join(map(str, ttls))))
    for reply in report.get("http") or []:
        if reply.get("certificate"):
            lines.append(("tls", _certificate(reply["certificate"])))
        lines.append(("http", f"{reply.get('status')} {_first_line(reply.get('body', ''))}"))
    lines += [("refused", _refusal(one)) for one in report.get("rejections") or []]
    lines += [("because", why) for why in _explained(report)]
    if report.get("milliseconds"):
        lines.append(("took", f"{report['milliseconds'].get('median', 0):.1f} ms"))
    lines += [("error", f"{text} ({count}×)") for text, count in (report.get("errors") or {}).items()]
    lines += [("note", str(note)) for note in report.get("notes") or []]
    return lines


def _explained(report: JsonObject) -> list[str]:
    """Why it was dropped or refused, if that is what Kubernetes says."""
    spec, outcome = report.get("spec") or {}, report.get("outcome")
    if outcome == "connected" or outcome not in (spec.get("outcomes") or (spec.get("outcome"),)):
        return []
    return [str(spec["explanation"])] if spec.get("explanation") else []


def _counted(places: JsonObject) -> str:
    """`shop/web-0 3, shop/web-1 2`; of a single attempt the place alone."""
    total = sum(places.values())
    return ", ".join(f"{name} {count}" if total > 1 else name for name, count in sorted(places.items()))


def _lookup(lookup: JsonObject) -> str:
    """`db.shop.svc.cluster.local. A 10.96.0.5`; what went wrong where there is no address."""
    said = ", ".join(lookup["answers"])
    if not said:
        said = "no record" if lookup["outcome"] == "NOERROR" else str(lookup["outcome"])
    over = {"tcp": " (over TCP)", "file": f" ({lookup['server']})"}.get(lookup["transport"], "")
    return f"{lookup['name']} {lookup['type']} {said}{over}"


def _certificate(shown: JsonObject) -> str:
    """`certificate for shop.example (self-signed)`."""
    faults = f" ({', '.join(shown['faults'])})" if shown["faults"] else ""
    return f"certificate for {', '.join(shown['names']) or 'no name'}{faults}"


def _refusal(rejection: JsonObject) -> str:
    """`port-unreachable from 10.244.1.1`, `tcp-reset from 10.244.2.3`."""
    name = rejection.get("name") or rejection.get("kind")
    sender = rejection.get("from")
    return f"{name} from {sender}" if sender else str(name)


def _first_line(body: str) -> str:
    first, _, rest = body.strip().partition("\n")
    return f"{first} …" if rest else first

"""`diagnose`: ask, and tell the answers side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.exits import ExitCode
from emulator.cli.progress import progress
from emulator.cli.session import Session
from emulator.cli.terminal import Terminal
from emulator.cluster.places import parse_place

_MOST_DRIFT = 3
_DEFAULT = "default"
"""The cluster that commands mean by themselves."""


@dataclass(frozen=True, slots=True)
class Question:
    """A diagnosis as the command line words it."""

    source: str
    target: str
    at: str | None
    port: str | None
    http: str | None
    family: str | None
    expect: str | None
    timeout: float | None
    namespace: str
    name: str
    output: str


def ask(session: Session, question: Question) -> int:
    """Diagnose and print; the exit code says whether it fares as expected."""
    source = parse_place(question.source, question.namespace)
    target = parse_place(question.target, question.namespace)
    if source.port:
        raise click.UsageError(f"{question.source!r}: a source has no port")
    given = [port for port in (target.port and str(target.port), question.at, question.port) if port]
    if len(given) > 1:
        raise click.UsageError("the port is given twice: in TO, as PORT, or as --port; one of them is enough")
    cluster = session.connect(question.name)
    with progress(session.terminal, f"diagnosing {source} → {target}"):
        found = cluster.diagnose(
            str(source),
            str(target),
            given[0] if given else None,
            http=question.http,
            family=int(question.family) if question.family else None,
            timeout=question.timeout,
        )
    match question.output:
        case "json":
            session.terminal.out(formats.to_json(found))
        case "yaml":
            session.terminal.out(formats.to_yaml(found))
        case _:
            for line in lines(found, session.terminal, question.name):
                session.terminal.out(line)
    return verdict(found, question.expect)


def verdict(found: JsonObject, wanted: str | None) -> int:
    """0 as expected, 1 not: expected is what is asked for, else what spec says, else that it connects.

    What nobody could find out is never as expected.
    """
    spec = found.get("spec") or {}
    possible = [wanted] if wanted else list(spec.get("outcomes") or [spec.get("outcome") or "connected"])
    fine = found["outcome"] in possible or (found["outcome"] == "mixed" and len(possible) > 1)
    troubles = ("sizes", "staleConnections", "impaired")
    agrees = (not found["difference"] or bool(wanted)) and not any(
        map((found.get("sights") or {}).get, troubles)
    )
    served = all(reply["status"] < 400 for reply in (found.get("wire") or {}).get("http") or ())
    return ExitCode.AS_EXPECTED if fine and agrees and served else ExitCode.NOT_AS_EXPECTED


def lines(found: JsonObject, terminal: Terminal, cluster: str) -> Iterator[str]:
    """For people: who asks, the answers, the cause and the fix."""
    port = f":{found['port']}" if found["port"] and found["port"] != "icmp" else ""
    at = f" ({found['address']})" if found["address"] and found["address"] != found["to"] else ""
    yield f"{found['from']} → {found['to']}{port}{at}"
    yield ""
    for name, outcome, told in (*_lookups(found), *_answers(found)):
        first = terminal.style("   ← first difference", "bad") if name == found["difference"] else ""
        yield f"{name:<11} {outcome:<11} {told}".rstrip() + first
    yield from _drift(found)
    yield ""
    cause = found["cause"]
    if found["agrees"]:
        why = (found["spec"] or {}).get("explanation") or ""
        yield f"As the manifests say: {found['outcome']}{': ' + why if why and not cause else ''}"
    if cause:
        for number, one in enumerate(found["causes"]):
            yield from _cause(one, "and then" if number else "cause", terminal, cluster)
    elif found["change"]:
        yield f"{'change':<11} {found['change']}"
    elif found.get("refusal"):
        yield f"{'note':<11} {found['refusal']}"


def _cause(cause: JsonObject, word: str, terminal: Terminal, cluster: str) -> Iterator[str]:
    yield f"{word:<11} {terminal.style(cause['code'], 'bad')}   {cause['object']}"
    yield f"{'':<11} {cause['sentence']}"
    if cause.get("see"):
        yield f"{'see':<11} {_meant(cause['see'], cluster)}"
    command = cause.get("command")
    first, *rest = (_meant(line, cluster) if line == command else line for line in cause["fix"].splitlines())
    yield f"{'fix':<11} {first}"
    yield from (f"{'':<11} {line}" for line in rest)


def _meant(command: str, cluster: str) -> str:
    """The command for the cluster of that name; what follows `--` is another program's."""
    if cluster == _DEFAULT:
        return command
    own, dashes, others = command.partition(" -- ")
    return f"{own} --name {cluster}{dashes}{others}"


def _lookups(found: JsonObject) -> Iterator[tuple[str, str, str]]:
    for one in found.get("lookups") or ():
        said = ", ".join(one["answers"]) or ("no record" if one["outcome"] == "NOERROR" else "")
        yield "lookup", one["outcome"], f"{one['name']} {one['type']} from {one['server']} {said}".rstrip()


def _answers(found: JsonObject) -> Iterator[tuple[str, str, str]]:
    spec, trace, wire = found["spec"], found["trace"], found["wire"]
    unknown = found.get("refusal") or ""
    yield ("spec", spec["outcome"], _spec(spec)) if spec else ("spec", "-", unknown)
    if trace:
        yield "trace", trace["outcome"], _trace(trace)
    if wire:
        yield "wire", wire["outcome"], _wire(wire)


def _spec(spec: JsonObject) -> str:
    if spec.get("explanation"):
        return str(spec["explanation"])
    places = ", ".join(spec["endpoints"])
    return f"arrives at {places}" if places else "; ".join(spec["reasons"])


def _trace(trace: JsonObject) -> str:
    if trace["outcome"] == "connected":
        return f"{trace['endpoint']} sees {trace['sourceSeen']}"
    last = trace["hops"][-1] if trace["hops"] else None
    if last is None:
        return ""
    stage = f" in {last['stage']}" if last["stage"] else ""
    owner = f", for {last['owner']}" if last["owner"] and not last["owner"].startswith("Pipeline/") else ""
    return f"{last['action'].removeprefix('dropped: ')}, at {last['node']}{stage}{owner}"


def _wire(wire: JsonObject) -> str:
    told = []
    if len(wire["outcomes"]) > 1:
        told.append(", ".join(f"{count} {word}" for word, count in wire["outcomes"].items()))
    if wire["endpoints"]:
        told.append("answered by " + ", ".join(sorted(wire["endpoints"])))
    for one in wire.get("rejections") or ():
        told.append(f"{one.get('name') or one['kind']} from {one.get('from') or '?'}")
    told += [f"HTTP {reply['status']}" for reply in wire.get("http") or ()]
    if wire["outcome"] == "dropped" and wire["seen"]:
        told.append("seen at " + ", ".join(sorted({seen["at"] for seen in wire["seen"]})))
    told += [str(error) for error in wire.get("errors") or ()]
    return "; ".join(told)


def _drift(found: JsonObject) -> Iterator[str]:
    items = found["drift"]
    if not items:
        yield f"{'drift':<11} none"
    for item in items[:_MOST_DRIFT]:
        what = item.get("name") or item.get("match") or item.get("object") or ""
        owner = f", for {item['owner']}" if item.get("owner") else ""
        where = f"{item.get('node', '')} {item.get('stage', '')}".strip()
        yield f"{'drift':<11} {item.get('fault', ''):<11} {where} {what}{owner}"
    if len(items) > _MOST_DRIFT:
        yield f"{'':<11} {'':<11} and {len(items) - _MOST_DRIFT} more: mininetes diff"

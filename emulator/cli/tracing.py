"""`trace`: ask, and tell the way of a packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import click

from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.exits import ExitCode
from emulator.cli.session import Session
from emulator.cluster.places import parse_place

_SHOWN = {"minimal": ("change",), "normal": ("change", "note"), "detail": ("change", "note", "pass")}


@dataclass(frozen=True, slots=True)
class Question:
    """A trace as the command line words it."""

    source: str
    target: str
    port: str | None
    family: str | None
    reply: bool
    depth: str | None
    live: bool
    namespace: str
    name: str
    output: str


def ask(session: Session, question: Question) -> int:
    """Trace, print; with --live, probe and compare."""
    source = parse_place(question.source, question.namespace)
    target = parse_place(question.target, question.namespace)
    if source.port:
        raise click.UsageError(f"{question.source!r}: a source has no port")
    if target.port and question.port:
        raise click.UsageError("the port stands in TO and in --port: one of them is enough")
    port = str(target.port) if target.port else question.port
    family = int(question.family) if question.family else None
    cluster = session.connect(question.name)
    found = cluster.trace(str(source), str(target), port, family=family)
    if question.live:
        observed = cluster.probe(str(source), str(target), port, family=family)
        found = {**found, "live": _live(found, observed)}
    match question.output:
        case "json":
            session.terminal.out(formats.to_json(found))
        case "mermaid":
            session.terminal.out(mermaid(found))
        case _:
            depth = question.depth or "normal"
            for line in lines(found, depth, "reply" if question.reply else "forward"):
                session.terminal.out(line)
    agrees = (found.get("live") or {}).get("agrees", True)
    return ExitCode.AS_EXPECTED if agrees else ExitCode.NOT_AS_EXPECTED


def _live(found: JsonObject, observed: JsonObject) -> JsonObject:
    """What a real packet did, beside what the tables say. A Service's endpoint is chosen anew by each."""
    endpoints = sorted(observed.get("endpoints") or {})
    refusals = [one.get("from") for one in observed.get("rejections") or []]
    ends = [hop["action"] for hop in found["hops"] if hop["node"] == found["endpoint"]]
    # The tables brought it there; that nobody listens is the endpoint's own word.
    at_the_end = found["outcome"] == "connected" and any(
        one and one in end for one in refusals for end in ends
    )
    return {
        "outcome": observed["outcome"],
        "endpoints": endpoints,
        "seen": observed.get("seen") or [],
        "milliseconds": (observed.get("milliseconds") or {}).get("median"),
        "refusedByEndpoint": at_the_end,
        "agrees": at_the_end or observed["outcome"] == found["outcome"],
    }


def lines(found: JsonObject, depth: str, way: str) -> Iterator[str]:
    """The trace for people: a number for each place, under it the stages that matter."""
    port = f" {found['port']}" if found["port"] else ""
    yield f"{found['from']} → {found['to']}{port}   installed flows, new connection"
    yield ""
    if found["packet"]:
        yield f"1  {found['from']:<16} {found['packet']}"
    # The answer's way is told on demand; where it failed, it is the point.
    failed = found["outcome"] != "connected"
    directions = ("forward", "reply") if way == "reply" or failed else ("forward",)
    hops = [hop for hop in found["hops"] if hop["direction"] in directions]
    yield from _places(hops, depth, 2)
    yield ""
    yield f"{found['outcome']}   {_summary(found)}".rstrip()
    if found.get("live"):
        live = found["live"]
        took = f" after {live['milliseconds']:.1f} ms" if live["milliseconds"] else ""
        agrees = "as traced" if live["agrees"] else "not as traced"
        if live["refusedByEndpoint"]:
            agrees = "by the endpoint itself: as traced, but nothing listens there"
        who = f" {', '.join(live['endpoints'])}" if live["endpoints"] else ""
        yield f"live        {live['outcome']}{who}{took}, {agrees}"
        for seen in live["seen"]:
            yield (
                f"            {seen['at']} saw {seen['source']}:{seen.get('sourcePort')} → "
                f"{seen['destination']}:{seen.get('destinationPort')}, ttl {seen.get('ttl')}"
            )
    for note in found["notes"]:
        yield f"note        {note}"


def _places(hops: Sequence[JsonObject], depth: str, number: int) -> Iterator[str]:
    shown = [hop for hop in hops if hop["weight"] in _SHOWN[depth]]
    direction = "forward"
    for (way, node), group in groupby(shown, key=lambda hop: (hop["direction"], hop["node"])):
        if way != direction:
            direction = way
            yield ""
            yield "the answer"
        label = f"{number:<2} {node:<16}"
        number += 1
        for hop in group:
            yield f"{label} {_hop(hop)}".rstrip()
            if depth == "detail" and hop.get("table") is not None:
                yield f"{'':<19} {'':<17} {_flow(hop)}"
            label = f"{'':<19}"


def _hop(hop: JsonObject) -> str:
    stage = f"{hop['stage']:<17} " if hop["stage"] else ""
    owner = f"   [{hop['owner']}]" if hop["owner"] and not hop["owner"].startswith("Pipeline/") else ""
    derived = " (derived)" if hop.get("derived") else ""
    return f"{stage}{hop['action']}{derived}{owner}"


def _flow(hop: JsonObject) -> str:
    match = f",{hop['match']}" if hop["match"] else ""
    return f"table={hop['table']},priority={hop['priority']}{match} actions={', '.join(hop['actions'])}"


def _summary(found: JsonObject) -> str:
    hops = found["hops"]
    if found["outcome"] != "connected":
        last = hops[-1] if hops else None
        by = f" by {last['owner']}" if last and last["owner"] else ""
        where = f" in {last['stage']}" if last and last["stage"] else ""
        way = "the answer: " if last and last["direction"] == "reply" else ""
        return (
            f"{way}{last['action'].removeprefix('dropped: ')}, at {last['node']}{where}{by}" if last else ""
        )
    text = f"{found['endpoint']} sees {found['sourceSeen']}"
    undone = [hop for hop in hops if hop.get("derived")]
    back = "; ".join(f"{hop['node']} turns {hop['action']}" for hop in undone)
    return f"{text}; on the way back {back}" if back else text


def mermaid(found: JsonObject) -> str:
    """A sequence diagram: participants in the order in which the packet meets them."""
    hops = [hop for hop in found["hops"] if hop["weight"] != "pass" and hop["node"] != "vxlan"]
    names: dict[str, str] = {}
    for node in (found["from"], *(hop["node"] for hop in hops)):
        names.setdefault(node.removeprefix("node/"), f"p{len(names)}")
    told = ["sequenceDiagram", *(f"  participant {key} as {name}" for name, key in names.items())]
    at = names[found["from"].removeprefix("node/")]
    packet = found["packet"]
    for hop in hops:
        here = names[hop["node"].removeprefix("node/")]
        if here != at:
            arrow = "-->>" if hop["direction"] == "reply" else "->>"
            told.append(f"  {at}{arrow}{here}: {packet if hop['direction'] == 'forward' else 'answer'}")
            at = here
        if hop["stage"] and hop["weight"] == "change":
            told.append(f"  Note over {here}: {hop['stage']} {hop['action'].replace(';', ',')}")
    return "\n".join(told)

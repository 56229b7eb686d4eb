"""`trace`: ask, and tell the way of a packet. `tracetext` has the text for people."""

from __future__ import annotations

from dataclasses import dataclass

import click

from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.exits import ExitCode
from emulator.cli.session import Session
from emulator.cli.tracetext import lines
from emulator.cluster.places import parse_place
from emulator.scenario.cluster import LiveCluster
from emulator.verdict.trace.legend import terms


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
    found = cluster.trace(str(source), str(target), port, family=family, live=question.live)
    if question.depth == "detail":
        found = {**found, "hops": _counted(cluster, found["hops"])}
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


def _counted(cluster: LiveCluster, hops: list[JsonObject]) -> list[JsonObject]:
    """With the number of packets that each flow has met up to now."""
    nodes = dict.fromkeys(hop["node"] for hop in hops if hop.get("table") is not None)
    met = {_flow_key(flow): flow["packets"] for node in nodes for flow in cluster.flows(node)}
    return [{**hop, "packets": met[_flow_key(hop)]} if _flow_key(hop) in met else hop for hop in hops]


def _flow_key(flow: JsonObject) -> tuple[object, ...]:
    return flow.get("bridge"), flow.get("table"), flow.get("priority"), terms(flow.get("match", ""))


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
            packet = _translated(packet, hop["action"])
    return "\n".join(told)


def _translated(packet: str, action: str) -> str:
    """`SYN 10.244.1.3:40000 → 10.96.0.20:80` after `10.96.0.20:80 ⇒ 10.244.2.4:8080`."""
    for phrase in action.split(", "):
        old, arrow, new = phrase.partition(" ⇒ ")
        head, _, target = packet.rpartition(" → ")
        if arrow and target == old:
            packet = f"{head} → {new}"
        elif arrow and head.endswith(f" {old}"):
            packet = f"{head.removesuffix(old)}{new} → {target}"
    return packet

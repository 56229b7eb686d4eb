"""A trace for people: stages with their owners, place by place; and what captures saw of the packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from emulator.api.objects import JsonObject

_SHOWN = {"minimal": ("change",), "normal": ("change", "note"), "detail": ("change", "note", "pass")}


def lines(found: JsonObject, depth: str, way: str) -> Iterator[str]:
    """The trace for people: a number for each place, under it the stages that matter."""
    yield f"{_heading(found):<62}   installed flows, new connection"
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
        yield from _live(found["live"])
    for note in found["notes"]:
        yield f"note        {note}"


def _heading(found: JsonObject) -> str:
    """Both ends with their addresses."""
    number, _, protocol = found["port"].partition("/")
    source, target = found.get("sourceAddress", ""), found.get("address", "")
    where = (
        f"{target}:{number}" if number and ":" not in target else f"[{target}]:{number}" if number else target
    )
    protocol = f"/{protocol}" if protocol else ""
    start = f"{found['from']} {source}".rstrip()
    if found["to"] == target:
        return f"{start} → {where}{protocol}"
    return f"{start} → {found['to']}" + (f" {where}{protocol}" if target else f" {found['port']}")


def _live(live: JsonObject) -> Iterator[str]:
    """What the packet did that was sent: at each port of a switch, when and how often it was seen."""
    for hop in live["hops"]:
        sign = " " if hop["agrees"] else "✗"
        way = "into" if hop["side"] == "in" else "out of"
        when = "" if hop["microseconds"] is None else f"{hop['microseconds'] / 1000:8.3f} ms"
        inside = "  in VXLAN" if hop["outer"] else ""
        what = f"{hop['seen'] or hop['packet'] + ', ttl ' + str(hop['ttl'])}{inside}"
        place = f"{way} {hop['node']} at {hop['interface']}"
        yield f"{sign} {place:<38} {when:>11}  {hop['packets']:>2} × {what}"
        if hop["found"]:
            told = hop["found"] if not hop["agrees"] else "no answer was sent"
            yield f"  {'':<38} {'':>11}  there: {told}"
    for stranger in live["unpredicted"]:
        yield f"✗ not traced: {stranger}"
    took = f" after {live['milliseconds']:.1f} ms" if live["milliseconds"] else ""
    agrees = "as traced" if live["agrees"] else "not as traced"
    if live["refusedByEndpoint"]:
        agrees = "by the endpoint itself: as traced, but nothing listens there"
    who = f" {', '.join(live['endpoints'])}" if live["endpoints"] else ""
    yield f"live        {live['outcome']}{who}{took}, {agrees}"


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
    met = f" n_packets={hop['packets']}" if "packets" in hop else ""
    flow = f"table={hop['table']},priority={hop['priority']}{match}"
    return f"{flow}{met} actions={', '.join(hop['actions'])}"


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
    undone = [hop["node"] for hop in hops if hop.get("derived")]
    if not undone:
        return text
    where = ", ".join(dict.fromkeys(undone))
    seen = hops[-1]["action"].partition(" → ")[0].rpartition(" ")[2]
    return f"{text}; the reply is translated back on {where} (derived): {found['from']} sees {seen} answer"

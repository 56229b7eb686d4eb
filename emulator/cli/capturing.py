"""`capture`: packets as they pass, on stdout or into a file."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from emulator.api.objects import JsonObject
from emulator.cli.session import Session
from emulator.cluster.places import parse_place


@dataclass(frozen=True, slots=True)
class Wish:
    """A capture as the command line words it."""

    places: tuple[str, ...]
    write: str | None
    seconds: float | None
    count: int | None
    expression: str
    namespace: str
    name: str
    output: str


def capture(session: Session, wish: Wish) -> None:
    """Print the packets, or write them to a file and count them."""
    import json

    cluster = session.connect(wish.name)
    places = [_place(place, wish.namespace) for place in wish.places]
    with ExitStack() as stack:
        file = stack.enter_context(Path(wish.write).open("wb")) if wish.write else None
        packets = cluster.capture(
            places, filter=wish.expression, seconds=wish.seconds, count=wish.count, file=file
        )
        try:
            for packet in packets:
                if "armed" in packet:
                    session.terminal.note(f"capturing at {', '.join(packet['armed'])}; Ctrl-C ends it")
                    continue
                session.terminal.out(json.dumps(packet) if wish.output == "json" else line(packet))
        except KeyboardInterrupt:
            # Ctrl-C is the ordinary end of a capture without --for or --count.
            if wish.seconds is not None or wish.count is not None:
                raise
    if wish.write:
        session.terminal.note(f"wrote {wish.write}")


def _place(text: str, namespace: str) -> str:
    """Canonical; but a single word may be a switch port's own name, which the engine knows."""
    bare = "/" not in text and namespace == "default"
    return text if bare else str(parse_place(text, namespace))


def line(packet: JsonObject) -> str:
    """One packet in a line: time, place, direction, ends, and what it carries."""
    when = datetime.fromtimestamp(packet.get("time", 0)).strftime("%H:%M:%S.%f")
    where = f"{packet.get('at', '')} {packet.get('direction', '')}"
    return f"{when}  {where:<24}  {summary(packet.get('headers') or {})}"


def summary(headers: JsonObject) -> str:
    """What a packet is, from its headers: the outer packet, and the one inside VXLAN behind a bar."""
    text = _ends(headers, "")
    inner = _ends(headers, "inner.")
    return f"{text} | {inner}" if inner else text


def _ends(headers: JsonObject, prefix: str) -> str:
    for name in ("ip", "ipv6"):
        source = headers.get(f"{prefix}{name}.src")
        if source is None:
            continue
        layer = str(headers.get(f"{prefix}l4", name))
        ends = [str(source), str(headers.get(f"{prefix}{name}.dst"))]
        ports = [headers.get(f"{prefix}{layer}.{end}") for end in ("sport", "dport")]
        named = [end if port is None else f"{end}:{port}" for end, port in zip(ends, ports, strict=True)]
        flags = headers.get(f"{prefix}{layer}.flags")
        ttl = headers.get(f"{prefix}{name}.ttl", headers.get(f"{prefix}{name}.hlim"))
        return f"{named[0]} → {named[1]} {layer}" + (f" {flags}" if flags else "") + f" ttl {ttl}"
    if f"{prefix}arp.psrc" in headers:
        return f"arp {headers[f'{prefix}arp.psrc']} → {headers.get(f'{prefix}arp.pdst')}"
    return "" if prefix else f"frame of type {headers.get('eth.type', '?')}"

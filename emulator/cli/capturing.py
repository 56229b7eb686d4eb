"""`capture`: packets as they pass, on stdout or into a file."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.api.objects import JsonObject
from emulator.cli.session import Session
from emulator.verdict.places import parse_place


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
    places = [str(parse_place(place, wish.namespace)) for place in wish.places]
    packets = cluster.capture(
        places, filter=wish.expression, seconds=wish.seconds, count=wish.count, file=wish.write
    )
    seen = 0
    session.terminal.note(f"capturing at {', '.join(places)}; Ctrl-C ends it")
    try:
        for packet in packets:
            seen += 1
            if wish.output == "json":
                session.terminal.out(json.dumps(packet))
            elif not wish.write:
                session.terminal.out(line(packet))
    except KeyboardInterrupt:
        # Ctrl-C is the ordinary end of a capture without --for or --count.
        if wish.seconds is not None or wish.count is not None:
            raise
    session.terminal.note(f"{seen} packets" + (f" in {wish.write}" if wish.write else ""))


def line(packet: JsonObject) -> str:
    """One packet: time, place, summary."""
    return f"{packet.get('time', 0):.6f}  {packet.get('at', '')}  {packet.get('summary', '')}"

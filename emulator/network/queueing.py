"""What leaving an interface does to packets: read from tc, and from what the relay has to do. It blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emulator.cluster.impairments import SOUND, Impairment
from emulator.network import tc
from emulator.network.errors import NetworkError
from emulator.network.relay import orders


def impairments(netns: str | None, relay: Path) -> Mapping[str, Impairment]:
    """Those of all interfaces of a netns (None: the caller's own) that do more than carry; `relay` is the
    relay's directory. Raises NetworkError and OSError."""
    found = read(tc.show(netns))
    for order in orders.read(relay):
        if order.netns == netns:
            found[order.interface] = found.get(order.interface, SOUND).under(order.impairment)
    return found


def read(text: str) -> dict[str, Impairment]:
    """What `tc -j qdisc show` prints, by interface: netem and tbf; tc-netem(8) and tc-tbf(8) explain them."""
    found: dict[str, Impairment] = {}
    try:
        queues = json.loads(text or "[]")
    except ValueError as error:
        raise NetworkError(f"tc printed no JSON: {error}") from None
    for queue in queues:
        reader = _READERS.get(queue.get("kind", ""))
        if reader is not None:
            name = queue["dev"]
            found[name] = found.get(name, SOUND).under(reader(queue.get("options") or {}))
    return found


def _netem(options: Mapping[str, Any]) -> Impairment:
    def share(*path: str) -> float | None:
        value = _at(options, path)
        return round(float(value), 6) or None if value is not None else None

    def microseconds(field: str) -> int | None:
        value = _at(options, ("delay", field))
        return round(float(value) * 1_000_000) or None if value is not None else None

    return Impairment(
        delay=microseconds("delay"),
        jitter=microseconds("jitter"),
        loss=share("loss-random", "loss"),
        duplicate=share("duplicate", "duplicate"),
        reorder=share("reorder", "reorder"),
        corrupt=share("corrupt", "corrupt"),
        rate=_bits(_at(options, ("rate", "rate"))),
    )


def _token_bucket(options: Mapping[str, Any]) -> Impairment:
    return Impairment(rate=_bits(options.get("rate")))


def _bits(octets: object) -> int | None:
    return int(octets) * 8 if isinstance(octets, int) else None


def _at(options: Mapping[str, Any], path: Iterable[str]) -> Any:
    found: Any = options
    for word in path:
        found = found.get(word) if isinstance(found, Mapping) else None
    return found


_READERS = {"netem": _netem, "tbf": _token_bucket}

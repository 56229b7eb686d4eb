"""Small words of the scenario format: objects by name, durations."""

from __future__ import annotations

from emulator.api.kinds import find_word
from emulator.api.objects import Key


def key_named(text: str, namespace: str) -> Key | None:
    """The object meant by `deploy/shop/web`, `deploy/web` or `node/worker-1`; None when it is none."""
    word, *rest = text.split("/")
    kind = find_word(word)
    if kind is None or not rest or not all(rest) or len(rest) > 1 + kind.namespaced:
        return None
    if not kind.namespaced:
        return Key(kind.kind, "", rest[0])
    return Key(kind.kind, rest[0] if len(rest) == 2 else namespace, rest[-1])


def duration(text: str) -> float:
    """Seconds in `30s`, `1.5m`, `200ms` or `45`. Raises ValueError."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    for unit, seconds in units.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdecimal():
            return float(number) * seconds
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    raise ValueError(f"{text!r} is not a duration: write 30s, 1.5m or 200ms")

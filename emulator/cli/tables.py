"""kubectl's bare columns: no boxes, full width, three spaces between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

GAP = "   "


def render(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as text; empty cells read `<none>`, and the last column is not padded."""
    lines = [tuple(header), *(tuple(cell or "<none>" for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def pairs(rows: Iterable[tuple[str, str]], indent: str = "") -> str:
    """`Name:   value` lines, the values aligned."""
    listed = [(f"{name}:", value) for name, value in rows]
    width = max((len(name) for name, _ in listed), default=0)
    return "\n".join(f"{indent}{name.ljust(width)}  {value}".rstrip() for name, value in listed)


def age(timestamp: str | None, now: datetime | None = None) -> str:
    """How long ago an API timestamp was, as kubectl writes it: `45s`, `3m20s`, `5h`, `2d3h`."""
    if not timestamp:
        return "<unknown>"
    then = datetime.fromisoformat(timestamp)
    return duration(((now or datetime.now(UTC)) - then).total_seconds())


def duration(seconds: float) -> str:
    """A time span to two units at most (apimachinery's `HumanDuration`)."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"

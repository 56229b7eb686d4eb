"""Truth tables of reachability, as people write them.

A row says who is reached by nobody else: `x/a <- y/*` (only pods of y reach x/a), `x/* <-` (nobody reaches
pods of x), `x/a:81 <- y/*` (about one port), `x/a -> y/b` (x/a reaches y/b alone), `x/* ->` (nobody at all).
Rows add up to less; what no row is about is open. Pods always reach themselves, and are not asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch

PODS = tuple(f"{namespace}/{name}" for namespace in "xyz" for name in "abc")
PORTS = (80, 81)
FAMILIES = (4, 6)

Way = tuple[str, str, int, int]
"""Source, destination, family, port."""


def expected(rows: Iterable[str]) -> set[Way]:
    """Every way that is open."""
    rows = tuple(rows)
    return {
        (source, target, family, port)
        for source in PODS
        for target in PODS
        for family in FAMILIES
        for port in PORTS
        if source != target and all(_allows(row, source, target, port) for row in rows)
    }


def _allows(row: str, source: str, target: str, port: int) -> bool:
    inward = "<-" in row
    subject, _, others = row.partition("<-" if inward else "->")
    who, _, which = subject.strip().partition(":")
    one, other = (target, source) if inward else (source, target)
    concerns = fnmatch(one, who) and (not which or int(which) == port)
    return not concerns or any(fnmatch(other, pattern) for pattern in others.split())

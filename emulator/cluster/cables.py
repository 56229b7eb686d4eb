"""Links by the names that people give them: those of their ends, as in a topology."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.cluster.wiring import Link, Wiring


def cables(wiring: Wiring) -> tuple[Link, ...]:
    """The links between places; not what joins a place to its own bridge."""
    return tuple(link for link in wiring.links if len({_short(end.place) for end in link.ends}) == 2)


def name_of(link: Link) -> str:
    """`worker-1,fabric`, as `find_cable` reads it; of a pod's cable the pod and the node's bridge."""
    return ",".join(_short(end.place) for end in link.ends)


def find_cable(wiring: Wiring, word: str) -> Link:
    """The link with those ends (`worker-1,fabric`, in any order), or the only one of a place (`worker-1`).

    Raises LookupError with what there is.
    """
    wanted = [_short(part.strip()) for part in word.split(",")]
    found = [link for link in cables(wiring) if _joins(link, wanted)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(name_of(link) for link in found or cables(wiring)) or "none"
    raise LookupError(f"there are several: {known}" if found else f"the links are {known}, and pods' own")


def _joins(link: Link, wanted: Sequence[str]) -> bool:
    ends = [_short(end.place) for end in link.ends]
    return wanted in (ends, ends[::-1]) or (len(wanted) == 1 and wanted[0] in ends)


def _short(place: str) -> str:
    for kind in ("node/", "router/", "ext/"):
        if place.startswith(kind):
            return place.removeprefix(kind)
    return place

"""Where a place's network namespace lies. Import-cheap: the engine asks this before anything is built."""

from __future__ import annotations

import hashlib
from pathlib import Path

NETNS_DIRECTORY = Path("/run/netns")
"""Where `ip netns` keeps its namespaces; inside the sandbox a tmpfs of its own."""

_LONGEST = 200
_OTHER_KINDS = ("node", "ext", "router")


def netns_name(place: str) -> str:
    """The name of the netns of `shop/web`, `pod/shop/web`, `node/worker-1`, `ext/client` or `router/bgp`.

    Pods become `pod-<namespace>.<name>`: a namespace has no dot, so two pods never share a name.
    Names that a file system would refuse are cut and end in a digest.
    """
    parts = place.removeprefix("pod/").split("/") if place.count("/") > 1 else place.split("/")
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"{place!r} is no place that has a network namespace")
    first, rest = parts
    name = f"{first}-{rest}" if first in _OTHER_KINDS else f"pod-{first}.{rest}"
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def netns_path(place: str) -> Path:
    """The file that `nsenter --net=` and setns(2) take to enter the place's netns."""
    return NETNS_DIRECTORY / netns_name(place)

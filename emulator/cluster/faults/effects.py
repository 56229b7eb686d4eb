"""What faults change in what the switches are to hold, as a function of the objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from emulator.cluster.faults.fault import faults_in
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Bridge, Wiring

STOPPED_PROXY, REMOVED_ROUTE = "kube-proxy-stopped", "vpc-route-removed"
ALTERED_FLOWS = "flows-altered"
_PROXIED = ("Service", "EndpointSlice")


@dataclass(frozen=True, slots=True)
class Effects:
    """What differs from a cluster that is well."""

    stopped: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    """By node: the Services and EndpointSlices, by kind, that its kube-proxy saw last."""
    removed: frozenset[tuple[str, str]] = frozenset()
    """Routers and destinations whose routes are gone."""
    altered: Mapping[str, frozenset[tuple[int, int, str]]] = field(default_factory=dict)
    """By bridge: table, priority and match of flows that drop what they match."""


def effects_of(snapshot: Snapshot) -> Effects:
    """What the faults of a cluster change."""
    faults = faults_in(snapshot.all("Topology"))
    altered: dict[str, frozenset[tuple[int, int, str]]] = {}
    for fault in faults:
        if fault.kind == ALTERED_FLOWS:
            bridge, keys = fault.memo["bridge"], map(tuple, fault.memo["keys"])
            altered[bridge] = altered.get(bridge, frozenset()).union(keys)
    return Effects(
        # Who was stopped first has the older view.
        {str(f.arguments["node"]): f.memo["objects"] for f in reversed(faults) if f.kind == STOPPED_PROXY},
        frozenset((f.memo["router"], to) for f in faults if f.kind == REMOVED_ROUTE for to in f.memo["to"]),
        altered,
    )


def proxied_objects(snapshot: Snapshot) -> dict[str, list[Any]]:
    """What a kube-proxy looks at: to be kept when it stops."""
    return {kind: list(snapshot.all(kind)) for kind in _PROXIED}


def as_seen_by(snapshot: Snapshot, objects: Mapping[str, Sequence[Any]]) -> Snapshot:
    """The cluster as a kube-proxy sees it that has stopped at these objects."""
    frozen = {
        kind: {(obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in objects[kind]}
        for kind in _PROXIED
    }
    return Snapshot({**snapshot.objects, **frozen}, snapshot.wiring)


def without_routes(wiring: Wiring, removed: Iterable[tuple[str, str]]) -> Wiring:
    """The plan without these routes; the very same one when there are none."""
    gone = frozenset(removed)
    if not gone:
        return wiring
    return replace(wiring, bridges=tuple(_pruned(bridge, gone) for bridge in wiring.bridges))


def _pruned(bridge: Bridge, gone: frozenset[tuple[str, str]]) -> Bridge:
    left = tuple(r for r in bridge.routes if (bridge.place, str(r.destination)) not in gone)
    return bridge if left == bridge.routes else replace(bridge, routes=left)

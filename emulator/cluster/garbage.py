"""Garbage collection: an object goes when everything that owned it is gone."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.kinds import KINDS
from emulator.cluster.changes import Change, delete
from emulator.cluster.snapshot import Snapshot

_STORED = frozenset(kind.kind for kind in KINDS)


def collect_garbage(snapshot: Snapshot) -> Iterator[Change]:
    """Delete objects all of whose owners are gone. Owners of kinds that are not stored count as alive."""
    alive = {obj["metadata"].get("uid") for objects in snapshot.objects.values() for obj in objects.values()}
    for kind in snapshot.objects:
        for obj in snapshot.all(kind):
            owners = obj["metadata"].get("ownerReferences") or ()
            if not owners or "deletionTimestamp" in obj["metadata"]:
                continue
            if all(owner.get("kind") in _STORED and owner.get("uid") not in alive for owner in owners):
                yield delete(obj)

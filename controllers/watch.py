"""The objects that decide flow tables, kept up to date by the engine's changes stream."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from emulator.api.client import Client
from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.plan import wire
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Wiring

KINDS = (
    "Topology",
    "Node",
    "Pod",
    "Service",
    "EndpointSlice",
    "Namespace",
    "NetworkPolicy",
    "ClusterNetworkPolicy",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
)
LOST = (OSError, ApiError, http.client.HTTPException, ValueError)
"""What a stream or a request ends with when the engine goes away in the middle of it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """All objects at one version."""

    resource_version: str
    snapshot: Snapshot


class Ledger:
    """Applies the stream's messages; holds nothing until the first `SYNC`."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], JsonObject]] = {}
        self._planned: tuple[JsonObject, Wiring] | None = None

    def apply(self, message: JsonObject) -> Observed | None:
        """What is known after `message`; None while there is no Topology."""
        if message["type"] == "SYNC":
            self._objects = {}
            self._put(message["objects"])
        else:
            for event in message["events"]:
                if event["type"] == "DELETED":
                    self._drop(event["object"])
                else:
                    self._put((event["object"],))
        wiring = self._wiring()
        if wiring is None:
            return None
        objects = {kind: dict(found) for kind, found in self._objects.items()}
        return Observed(message["resourceVersion"], Snapshot(objects, wiring))

    def _put(self, objects: Iterable[JsonObject]) -> None:
        for obj in objects:
            self._objects.setdefault(obj["kind"], {})[_key(obj)] = obj

    def _drop(self, obj: JsonObject) -> None:
        self._objects.get(obj["kind"], {}).pop(_key(obj), None)

    def _wiring(self) -> Wiring | None:
        """The plan of the cluster's topology, made anew only when that changes."""
        found = self._objects.get("Topology")
        if not found:
            return None
        topology = min(found.values(), key=lambda obj: int(obj["metadata"].get("resourceVersion") or 0))
        if self._planned is None or self._planned[0].get("spec") != topology.get("spec"):
            self._planned = (topology, wire(parse_topology(topology)))
        return self._planned[1]


def follow(client: Client, tell: Callable[[Observed], None], retry: Callable[[], None]) -> None:
    """Tell of every version, for ever; after the stream was lost, begin anew once `retry` returns."""
    while True:
        ledger = Ledger()
        try:
            for message in client.changes(KINDS):
                observed = ledger.apply(message)
                if observed is not None:
                    tell(observed)
            log.info("the engine closed the changes stream")
        except LOST as error:
            log.info("the changes stream was lost: %s", error)
        retry()


def _key(obj: JsonObject) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]

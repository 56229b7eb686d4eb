"""Packing endpoints into EndpointSlices: at most 100 in each, and those that stay are not moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, Update, delete
from emulator.cluster.naming import suffix
from emulator.cluster.state import SERVICE_NAME_LABEL
from emulator.cluster.workloads.common import owner_reference

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MAX_ENDPOINTS = 100

Ports = tuple[tuple[str, str, int, str], ...]
"""(name, protocol, number, appProtocol) of each port of a slice."""


@dataclass(slots=True)
class SliceSet:
    """The slices that one owner (a Service, or Endpoints that are mirrored) should have."""

    owner: JsonObject
    service: str
    manager: str
    labels: Mapping[str, str]
    groups: dict[tuple[str, Ports], list[JsonObject]] = field(default_factory=dict)
    """(address type, ports) → endpoints."""

    def add(self, address_type: str, ports: Ports, endpoint: JsonObject) -> None:
        """Put an endpoint in; one without ports is still an endpoint."""
        self.groups.setdefault((address_type, ports), []).append(endpoint)

    def keep_one(self, address_type: str) -> None:
        """Make sure that the family has a slice, if need be an empty one."""
        if not any(kind == address_type for kind, _ in self.groups):
            self.groups[address_type, ()] = []


def reconcile_slices(
    wanted: SliceSet, existing: Sequence[JsonObject], taken: Iterable[str]
) -> Iterator[Change]:
    """The changes from the existing slices to the wanted ones."""
    left = {obj["metadata"]["name"]: obj for obj in existing}
    names = _names(wanted, {*left, *taken})
    for (address_type, ports), endpoints in wanted.groups.items():
        own = [o for o in left.values() if (o.get("addressType"), ports_of(o)) == (address_type, ports)]
        for obj, packed in _pack(endpoints, own):
            if obj is None:
                yield Create(_slice(wanted, next(names), address_type, ports, packed))
                continue
            del left[obj["metadata"]["name"]]
            updated = {**obj, "endpoints": packed}
            updated["metadata"] = {**obj["metadata"], "labels": _labels(wanted)}
            if updated != obj:
                yield Update(updated)
    yield from (delete(obj) for obj in left.values())


def ports_of(endpoint_slice: JsonObject) -> Ports:
    """A slice's ports as a key."""
    return tuple(
        (
            port.get("name") or "",
            port.get("protocol") or "TCP",
            port.get("port") or 0,
            port.get("appProtocol") or "",
        )
        for port in endpoint_slice.get("ports") or ()
    )


def _pack(
    endpoints: Sequence[JsonObject], slices: Sequence[JsonObject]
) -> Iterator[tuple[JsonObject | None, list[JsonObject]]]:
    """Each slice with its new endpoints: where they were, else where there is room, else in a new slice."""
    new = {_identity(endpoint): endpoint for endpoint in endpoints}
    packed: list[tuple[JsonObject | None, list[JsonObject]]] = []
    for obj in sorted(slices, key=lambda o: str(o["metadata"]["name"])):
        kept = [new.pop(key) for key in map(_identity, obj.get("endpoints") or ()) if key in new]
        packed.append((obj, kept))
    fresh = list(new.values())
    for _, kept in packed:
        room = MAX_ENDPOINTS - len(kept)
        kept += fresh[:room]
        fresh = fresh[room:]
    packed = [item for item in packed if item[1]]
    packed += [(None, fresh[i : i + MAX_ENDPOINTS]) for i in range(0, len(fresh), MAX_ENDPOINTS)]
    if not packed:
        packed.append((slices[0] if slices else None, []))
    return iter(packed)


def _identity(endpoint: JsonObject) -> tuple[str, str]:
    target = endpoint.get("targetRef") or {}
    return (endpoint["addresses"][0], target.get("uid", ""))


def _names(wanted: SliceSet, taken: set[str]) -> Iterator[str]:
    metadata = wanted.owner["metadata"]
    for number in count():
        stem = metadata["name"][:57]
        name = f"{stem}-{suffix(metadata.get('namespace', ''), wanted.manager, metadata['name'], number)}"
        if name not in taken:
            taken.add(name)
            yield name


def _labels(wanted: SliceSet) -> JsonObject:
    return {**wanted.labels, SERVICE_NAME_LABEL: wanted.service, MANAGED_BY: wanted.manager}


def _slice(
    wanted: SliceSet, name: str, address_type: str, ports: Ports, endpoints: list[JsonObject]
) -> JsonObject:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": wanted.owner["metadata"]["namespace"],
            "generateName": f"{wanted.owner['metadata']['name']}-",
            "labels": _labels(wanted),
            "ownerReferences": [owner_reference(wanted.owner)],
        },
        "addressType": address_type,
        "endpoints": endpoints,
        "ports": [_port(*port) for port in ports],
    }


def _port(name: str, protocol: str, number: int, app_protocol: str) -> JsonObject:
    port: JsonObject = {"name": name, "protocol": protocol, "port": number}
    return {**port, "appProtocol": app_protocol} if app_protocol else port

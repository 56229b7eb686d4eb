"""EndpointSlices that mirror Endpoints which somebody wrote for a Service without a selector."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, delete
from emulator.cluster.slices import MANAGED_BY, Ports, SliceSet, reconcile_slices
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import SERVICE_NAME_LABEL

MIRRORING_CONTROLLER = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"


def mirrored_slices(snapshot: Snapshot) -> Iterator[Change]:
    """Slices follow their Endpoints through creation, change and deletion."""
    existing: dict[tuple[str, str], list[JsonObject]] = {}
    names: dict[str, set[str]] = {}
    for obj in snapshot.all("EndpointSlice"):
        metadata, labels = obj["metadata"], obj["metadata"].get("labels") or {}
        names.setdefault(metadata["namespace"], set()).add(metadata["name"])
        if labels.get(MANAGED_BY) == MIRRORING_CONTROLLER:
            existing.setdefault((metadata["namespace"], labels.get(SERVICE_NAME_LABEL, "")), []).append(obj)
    for endpoints in snapshot.all("Endpoints"):
        namespace, name = endpoints["metadata"]["namespace"], endpoints["metadata"]["name"]
        if not _is_mirrored(snapshot, endpoints):
            continue
        wanted = _wanted(endpoints)
        old = existing.pop((namespace, name), ())
        if wanted.groups or old:
            yield from reconcile_slices(wanted, old, names.get(namespace, ()))
    for slices in existing.values():
        yield from (delete(obj) for obj in slices)


def _is_mirrored(snapshot: Snapshot, endpoints: JsonObject) -> bool:
    metadata = endpoints["metadata"]
    if (metadata.get("labels") or {}).get(SKIP_MIRROR) == "true":
        return False
    service = snapshot.get("Service", metadata["namespace"], metadata["name"])
    return service is not None and not service["spec"].get("selector")


def _wanted(endpoints: JsonObject) -> SliceSet:
    labels = dict(endpoints["metadata"].get("labels") or {})
    wanted = SliceSet(endpoints, endpoints["metadata"]["name"], MIRRORING_CONTROLLER, labels)
    for subset in endpoints.get("subsets") or ():
        ports: Ports = tuple(
            (p.get("name") or "", p.get("protocol") or "TCP", p["port"], p.get("appProtocol") or "")
            for p in subset.get("ports") or ()
        )
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                family = f"IPv{ip_address(address['ip']).version}"
                wanted.add(family, ports, _endpoint(address, ready=ready))
    return wanted


def _endpoint(address: JsonObject, *, ready: bool) -> JsonObject:
    endpoint: JsonObject = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint

"""Where cluster IPs come from: ServiceCIDRs, and an IPAddress for each one in use (KEP-1880).

The ranges of the topology are the ServiceCIDR `kubernetes`; others may be added and taken away. An
address that somebody's IPAddress names is not given to a Service. A ServiceCIDR goes when no address
of it is in use that no other one holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network

from emulator.api.findings import Finding, invalid
from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject, Path
from emulator.cluster.changes import Change, Create, Update, UpdateStatus, delete
from emulator.cluster.ranges import overlap
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import IPAddress, IPNetwork, Wiring

DEFAULT = "kubernetes"
FINALIZER = "networking.k8s.io/service-cidr-finalizer"
_API = "networking.k8s.io/v1"
_MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
_ALLOCATOR = "ipallocator.k8s.io"
_FAMILY = "ipaddress.kubernetes.io/ip-family"


def service_ranges(wiring: Wiring, cidrs: Iterable[JsonObject]) -> tuple[IPNetwork, ...]:
    """Ranges to take addresses from, the topology's first; those of a ServiceCIDR on its way out are not."""
    added = [
        network
        for obj in cidrs
        if obj["metadata"]["name"] != DEFAULT and "deletionTimestamp" not in obj["metadata"]
        for network in networks(obj)
    ]
    return (*wiring.service_cidrs, *added)


def networks(obj: JsonObject) -> tuple[IPNetwork, ...]:
    """The ranges of a ServiceCIDR."""
    return tuple(map(ip_network, obj["spec"].get("cidrs") or ()))


def reserved(addresses: Iterable[JsonObject], service: JsonObject) -> set[int]:
    """Addresses that an IPAddress says are in use by something else than `service`."""
    metadata = service["metadata"]
    own = _parent(metadata.get("namespace", ""), metadata["name"])
    return {
        int(ip_address(obj["metadata"]["name"])) for obj in addresses if obj["spec"].get("parentRef") != own
    }


def refused_ranges(wiring: Wiring, obj: JsonObject) -> list[Finding]:
    """Why a new ServiceCIDR cannot serve this cluster: its family, or a range that something else has."""
    families = {network.version for network in wiring.service_cidrs}
    taken = {"pod range": wiring.pod_cidrs, "node range": wiring.node_cidrs}
    findings = []
    for index, network in enumerate(networks(obj)):
        path: Path = ("spec", "cidrs", index)
        if network.version not in families:
            findings.append(
                invalid(path, str(network), f"IPv{network.version} is not configured on this cluster")
            )
        findings += [
            invalid(path, str(network), f"overlaps the {label} {other}")
            for label, others in taken.items()
            for other in others
            if overlap(network, other)
        ]
    return findings


def service_addresses(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """The default ServiceCIDR, the state of each, and the IPAddresses of Services."""
    if snapshot.get("ServiceCIDR", "", DEFAULT) is None:
        yield Create(_default(snapshot.wiring))
    found = list(snapshot.all("ServiceCIDR"))
    in_use = [ip_address(obj["metadata"]["name"]) for obj in snapshot.all("IPAddress")]
    for obj in found:
        others = [n for o in found if o is not obj and not _is_leaving(o) for n in networks(o)]
        yield from _state(obj, _orphans(obj, others, in_use), now)
    yield from _ip_addresses(snapshot)


def _default(wiring: Wiring) -> JsonObject:
    spec = {"cidrs": [str(network) for network in wiring.service_cidrs]}
    return {"apiVersion": _API, "kind": "ServiceCIDR", "metadata": {"name": DEFAULT}, "spec": spec}


def _is_leaving(obj: JsonObject) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def _orphans(obj: JsonObject, others: Sequence[IPNetwork], in_use: Iterable[IPAddress]) -> bool:
    """Whether an address of this ServiceCIDR is in use that no other one holds."""
    own = networks(obj)
    return any(
        any(address in network for network in own) and not any(address in network for network in others)
        for address in in_use
    )


def _state(obj: JsonObject, orphans: bool, now: datetime) -> Iterator[Change]:  # noqa: FBT001
    metadata = obj["metadata"]
    finalizers = metadata.get("finalizers") or []
    if _is_leaving(obj):
        if not orphans and FINALIZER in finalizers:
            left = [name for name in finalizers if name != FINALIZER]
            yield Update({**obj, "metadata": {**metadata, "finalizers": left}})
            return
        why = (
            "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new"
            " ServiceCIDR"
        )
        yield from _condition(obj, {"status": "False", "reason": "Terminating", "message": why}, now)
        return
    if FINALIZER not in finalizers:
        yield Update({**obj, "metadata": {**metadata, "finalizers": [*finalizers, FINALIZER]}})
    ready = {"status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
    yield from _condition(obj, ready, now)


def _condition(obj: JsonObject, wanted: Mapping[str, str], now: datetime) -> Iterator[Change]:
    status = obj.get("status") or {}
    conditions = status.get("conditions") or []
    old = next((one for one in conditions if one["type"] == "Ready"), None)
    if old and all(old.get(field, "") == value for field, value in wanted.items()):
        return
    others = [one for one in conditions if one["type"] != "Ready"]
    new = {"type": "Ready", **wanted, "lastTransitionTime": timestamp(now)}
    yield UpdateStatus({**obj, "status": {**status, "conditions": [*others, new]}})


# -- addresses -------------------------------------------------------------------------------------


def _ip_addresses(snapshot: Snapshot) -> Iterator[Change]:
    wanted: dict[str, JsonObject] = {}
    for service in snapshot.all("Service"):
        for text in service["spec"].get("clusterIPs") or ():
            if text != "None":
                obj = _ip_address(service, text)
                wanted[obj["metadata"]["name"]] = obj
    for obj in snapshot.all("IPAddress"):
        name = obj["metadata"]["name"]
        new = wanted.pop(name, None)
        is_ours = (obj["metadata"].get("labels") or {}).get(_MANAGED_BY) == _ALLOCATOR
        if is_ours and (new is None or new["spec"] != obj["spec"]):
            yield delete(obj)
    yield from map(Create, wanted.values())


def _ip_address(service: JsonObject, text: str) -> JsonObject:
    address = ip_address(text)
    labels = {_FAMILY: f"IPv{address.version}", _MANAGED_BY: _ALLOCATOR}
    metadata = service["metadata"]
    return {
        "apiVersion": _API,
        "kind": "IPAddress",
        "metadata": {"name": str(address), "labels": labels},
        "spec": {"parentRef": _parent(metadata["namespace"], metadata["name"])},
    }


def _parent(namespace: str, name: str) -> JsonObject:
    return {"resource": "services", "namespace": namespace, "name": name}

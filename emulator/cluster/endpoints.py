"""Which pods stand behind a Service: EndpointSlices, and Endpoints for whoever still reads them.

A pod belongs when the selector matches it, it has an address and is not finished. It is *ready*
when `publishNotReadyAddresses` says so, or when it is Ready and not on its way out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, Update, delete
from emulator.cluster.pods import (
    addresses,
    container_ports,
    is_finished,
    is_ready,
    is_terminating,
    node_name,
)
from emulator.cluster.scheduler import ZONE
from emulator.cluster.slices import MANAGED_BY, Ports, SliceSet, reconcile_slices
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import SERVICE_NAME_LABEL
from emulator.cluster.wiring import IPAddress
from emulator.cluster.workloads.common import owner_reference

SLICE_CONTROLLER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
_ENDPOINTS_MANAGER = "endpoints.kubernetes.io/managed-by"
_ENDPOINTS_CONTROLLER = "endpoint-controller"
_NEAR = {"PreferClose", "PreferSameZone", "PreferSameNode"}


def endpoint_slices(snapshot: Snapshot) -> Iterator[Change]:
    """Slices and Endpoints of Services with a selector; slices whose Service is gone or has none go."""
    existing: dict[tuple[str, str], list[JsonObject]] = {}
    names: dict[str, set[str]] = {}
    for obj in snapshot.all("EndpointSlice"):
        metadata, labels = obj["metadata"], obj["metadata"].get("labels") or {}
        names.setdefault(metadata["namespace"], set()).add(metadata["name"])
        if labels.get(MANAGED_BY) == SLICE_CONTROLLER:
            existing.setdefault((metadata["namespace"], labels.get(SERVICE_NAME_LABEL, "")), []).append(obj)
    zones = {
        obj["metadata"]["name"]: (obj["metadata"].get("labels") or {}).get(ZONE)
        for obj in snapshot.all("Node")
    }
    for service in snapshot.all("Service"):
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        if not has_endpoints(service):
            continue
        pods = list(selected_pods(snapshot, service))
        wanted = _wanted(service, pods, zones)
        yield from reconcile_slices(wanted, existing.pop((namespace, name), ()), names.get(namespace, ()))
        yield from _endpoints(snapshot, service, pods)
    for slices in existing.values():
        yield from (delete(obj) for obj in slices)
    yield from _stale_endpoints(snapshot)


def has_endpoints(service: JsonObject) -> bool:
    """Whether a controller finds the endpoints: there is a selector, and the Service is more than a name."""
    spec = service.get("spec", {})
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def selected_pods(snapshot: Snapshot, service: JsonObject) -> Iterator[JsonObject]:
    """Pods that stand behind the Service, ready or not."""
    for pod in snapshot.labelled(service["metadata"]["namespace"], service["spec"]["selector"]):
        if not is_finished(pod) and addresses(pod):
            yield pod


def families(service: JsonObject) -> tuple[str, ...]:
    """The Service's address types, the primary one first."""
    return tuple(service["spec"].get("ipFamilies") or ("IPv4",))


def resolve_ports(service: JsonObject, pod: JsonObject) -> Ports:
    """The ports at which `pod` serves; a named targetPort that it does not have is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _target(port.get("targetPort") or port["port"], protocol, pod)
        if number:
            found.append((port.get("name") or "", protocol, number, port.get("appProtocol") or ""))
    return tuple(found)


def _target(target: int | str, protocol: str, pod: JsonObject) -> int | None:
    if isinstance(target, int):
        return target
    for port in container_ports(pod):
        if port.get("name") == target and (port.get("protocol") or "TCP") == protocol:
            return int(port["containerPort"])
    return None


# -- slices ----------------------------------------------------------------------------------------


def _wanted(service: JsonObject, pods: Sequence[JsonObject], zones: Mapping[str, str | None]) -> SliceSet:
    labels = dict(service["metadata"].get("labels") or {})
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    wanted = SliceSet(service, service["metadata"]["name"], SLICE_CONTROLLER, labels)
    has_ports = bool(service["spec"].get("ports"))
    for family in families(service):
        for pod in pods:
            address = _address(pod, family)
            ports = resolve_ports(service, pod)
            if address is not None and (ports or not has_ports):
                wanted.add(family, ports, _endpoint(service, pod, address, zones.get(node_name(pod))))
        wanted.keep_one(family)
    return wanted


def _address(pod: JsonObject, family: str) -> IPAddress | None:
    version = 4 if family == "IPv4" else 6
    return next((address for address in addresses(pod) if address.version == version), None)


def _endpoint(service: JsonObject, pod: JsonObject, address: IPAddress, zone: str | None) -> JsonObject:
    serving, terminating = is_ready(pod), is_terminating(pod)
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    metadata, spec = pod["metadata"], pod["spec"]
    endpoint: JsonObject = {
        "addresses": [str(address)],
        "conditions": {
            "ready": published or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "nodeName": node_name(pod),
        "targetRef": {
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    if zone:
        endpoint["zone"] = zone
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = spec["hostname"]
    hints = _hints(service, node_name(pod), zone)
    return {**endpoint, "hints": hints} if hints else endpoint


def _hints(service: JsonObject, node: str, zone: str | None) -> JsonObject:
    distribution = service["spec"].get("trafficDistribution")
    hints: JsonObject = {}
    if distribution in _NEAR and zone:
        hints["forZones"] = [{"name": zone}]
    if distribution == "PreferSameNode":
        hints["forNodes"] = [{"name": node}]
    return hints


# -- Endpoints -------------------------------------------------------------------------------------


def _endpoints(snapshot: Snapshot, service: JsonObject, pods: Sequence[JsonObject]) -> Iterator[Change]:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    old = snapshot.get("Endpoints", namespace, name)
    subsets = _subsets(service, pods)
    labels = {**(service["metadata"].get("labels") or {}), _ENDPOINTS_MANAGER: _ENDPOINTS_CONTROLLER}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    if old is None:
        metadata = {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(service)],
        }
        yield Create({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets})
    elif (old.get("subsets") or []) != subsets or old["metadata"].get("labels") != labels:
        yield Update({**old, "metadata": {**old["metadata"], "labels": labels}, "subsets": subsets})


def _subsets(service: JsonObject, pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Addresses of the primary family, by the ports that they serve."""
    published = bool(service["spec"].get("publishNotReadyAddresses"))
    has_ports = bool(service["spec"].get("ports"))
    groups: dict[Ports, dict[str, list[JsonObject]]] = {}
    for pod in pods:
        address, ports = _address(pod, families(service)[0]), resolve_ports(service, pod)
        if address is None or (is_terminating(pod) and not published) or (has_ports and not ports):
            continue
        ready = published or is_ready(pod)
        field = "addresses" if ready else "notReadyAddresses"
        groups.setdefault(ports, {}).setdefault(field, []).append(_endpoint_address(service, pod, address))
    return [
        {
            **{field: found[field] for field in ("addresses", "notReadyAddresses") if field in found},
            "ports": [_endpoint_port(*port) for port in ports],
        }
        for ports, found in sorted(groups.items())
    ]


def _endpoint_address(service: JsonObject, pod: JsonObject, address: IPAddress) -> JsonObject:
    endpoint = _endpoint(service, pod, address, None)
    fields = {"ip": str(address), "nodeName": endpoint["nodeName"], "targetRef": endpoint["targetRef"]}
    return {**fields, "hostname": endpoint["hostname"]} if "hostname" in endpoint else fields


def _endpoint_port(name: str, protocol: str, number: int, app_protocol: str) -> JsonObject:
    port: JsonObject = {"port": number, "protocol": protocol}
    if name:
        port["name"] = name
    return {**port, "appProtocol": app_protocol} if app_protocol else port


def _stale_endpoints(snapshot: Snapshot) -> Iterator[Change]:
    """Endpoints that a controller made for a Service that is gone, or has no selector any more."""
    for obj in snapshot.all("Endpoints"):
        metadata = obj["metadata"]
        if (metadata.get("labels") or {}).get(_ENDPOINTS_MANAGER) != _ENDPOINTS_CONTROLLER:
            continue
        service = snapshot.get("Service", metadata["namespace"], metadata["name"])
        if service is None or not has_endpoints(service):
            yield delete(obj)

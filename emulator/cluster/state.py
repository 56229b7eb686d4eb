"""From objects to `ClusterState`: the one place where JSON becomes what compiler and oracle read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network

from emulator.api.objects import JsonObject
from emulator.cluster import pods as podlib
from emulator.cluster.admin_policies import admin_network_policies
from emulator.cluster.cluster_policies import cluster_network_policies
from emulator.cluster.ipam import port_at
from emulator.cluster.model import (
    ClusterState,
    ContainerPort,
    Endpoint,
    LoadBalancerAddress,
    Node,
    Pod,
    Protocol,
    Ref,
    Service,
    ServicePort,
    ServiceType,
    TrafficPolicy,
)
from emulator.cluster.policies import network_policies
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.targets import healthy_nodes
from emulator.cluster.wiring import IPAddress, Wiring

PORT_IDS = "mininetes.io/service-port-ids"
"""Annotation of a Service: JSON, `portname/PROTOCOL` → id; admission writes it."""

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
NOT_OURS = ("service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name")
"""A Service with one of these labels is not this proxy's business."""

MAX_SERVICE_PORT_ID = 0xFFFF


def state_of(snapshot: Snapshot) -> ClusterState:
    """The typed reading of `snapshot`: pods that are on the network, Services that a proxy programs."""
    return ClusterState(
        wiring=snapshot.wiring,
        nodes=tuple(_nodes(snapshot)),
        pods=tuple(_pods(snapshot)),
        services=tuple(_services(snapshot)),
        namespaces={
            obj["metadata"]["name"]: dict(obj["metadata"].get("labels") or {})
            for obj in snapshot.all("Namespace")
        },
        policies=tuple(network_policies(snapshot.all("NetworkPolicy"))),
        cluster_policies=(
            *cluster_network_policies(snapshot.all("ClusterNetworkPolicy")),
            *admin_network_policies(snapshot.all("AdminNetworkPolicy")),
            *admin_network_policies(snapshot.all("BaselineAdminNetworkPolicy")),
        ),
    )


def _nodes(snapshot: Snapshot) -> Iterator[Node]:
    for plan in snapshot.wiring.nodes:
        obj = snapshot.get("Node", "", plan.name)
        if obj is None:
            yield Node(plan.name, plan.labels)
            continue
        ready = podlib.condition(obj, "Ready")
        yield Node(
            name=plan.name,
            labels=dict(obj["metadata"].get("labels") or {}),
            ready=ready is None or ready.get("status") == "True",
        )


# -- pods ------------------------------------------------------------------------------------------


def _pods(snapshot: Snapshot) -> Iterator[Pod]:
    nodes = {node.name for node in snapshot.wiring.nodes}
    for obj in snapshot.pods:
        if podlib.node_name(obj) in nodes and podlib.addresses(obj) and not podlib.is_finished(obj):
            yield _pod(snapshot.wiring, obj)


def _pod(wiring: Wiring, obj: JsonObject) -> Pod:
    metadata = obj["metadata"]
    addresses = podlib.addresses(obj)
    host_network = podlib.is_host_network(obj)
    node = podlib.node_name(obj)
    return Pod(
        ref=_ref(obj),
        uid=metadata.get("uid", ""),
        node=node,
        labels=dict(metadata.get("labels") or {}),
        addresses=addresses,
        host_network=host_network,
        ready=podlib.is_ready(obj),
        terminating=podlib.is_terminating(obj),
        container_ports=container_ports(obj),
        port=None if host_network else port_at(wiring, node, addresses),
    )


def container_ports(pod: JsonObject) -> tuple[ContainerPort, ...]:
    """The ports that a pod's containers declare."""
    return tuple(_container_port(port) for port in podlib.container_ports(pod))


def _container_port(port: JsonObject) -> ContainerPort:
    return ContainerPort(
        name=port.get("name") or "",
        protocol=Protocol(port.get("protocol") or "TCP"),
        port=port["containerPort"],
        host_port=port.get("hostPort"),
        host_ip=port.get("hostIP") or None,
    )


# -- services --------------------------------------------------------------------------------------


def headless_services(snapshot: Snapshot) -> tuple[Service, ...]:
    """Services without an address of their own: clients find their endpoints by name. Ports have no id."""
    slices = _slices(snapshot)
    return tuple(
        _service(obj, slices.get(_name(obj), ()), defaultdict(int))
        for obj in snapshot.all("Service")
        if obj["spec"].get("type") != "ExternalName" and not cluster_ips(obj)
    )


def _slices(snapshot: Snapshot) -> Mapping[tuple[str, str], Sequence[JsonObject]]:
    """The EndpointSlices of each Service."""
    slices: dict[tuple[str, str], list[JsonObject]] = {}
    for obj in snapshot.all("EndpointSlice"):
        metadata = obj["metadata"]
        service = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
        if service and obj.get("addressType") in ("IPv4", "IPv6"):
            slices.setdefault((metadata.get("namespace", ""), service), []).append(obj)
    return slices


def _services(snapshot: Snapshot) -> Iterator[Service]:
    slices = _slices(snapshot)
    programmed = [obj for obj in snapshot.all("Service") if is_programmed(obj)]
    ids = port_ids(programmed)
    healthy = healthy_nodes(snapshot)
    for obj in programmed:
        key = _name(obj)
        yield _service(obj, slices.get(key, ()), ids[key], healthy.get(key, ()))


def _name(obj: JsonObject) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def is_programmed(service: JsonObject) -> bool:
    """Whether a proxy programs the Service: it has a cluster IP, and no label gives it to someone else."""
    spec, labels = service.get("spec", {}), service["metadata"].get("labels") or {}
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") in (None, "", "None"):
        return False
    return not any(label in labels for label in NOT_OURS)


def cluster_ips(service: JsonObject) -> tuple[IPAddress, ...]:
    """The Service's virtual addresses, the primary one first; none when it is headless."""
    spec = service.get("spec", {})
    listed = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return tuple(podlib.parse_address(text) for text in listed if text and text != "None")


def _service(
    obj: JsonObject, slices: Iterable[JsonObject], ids: Mapping[str, int], targets: tuple[str, ...] = ()
) -> Service:
    spec = obj["spec"]
    affinity = None
    if spec.get("sessionAffinity") == "ClientIP":
        client_ip = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        affinity = int(client_ip.get("timeoutSeconds", 10_800))
    slices = tuple(slices)
    return Service(
        ref=_ref(obj),
        type=ServiceType(spec.get("type") or "ClusterIP"),
        cluster_ips=cluster_ips(obj),
        ports=tuple(_service_port(port, slices, ids) for port in spec.get("ports") or ()),
        external_ips=tuple(podlib.parse_address(text) for text in spec.get("externalIPs") or ()),
        load_balancer=tuple(_load_balancer(obj)),
        source_ranges=tuple(
            ip_network(text.strip(), strict=False) for text in spec.get("loadBalancerSourceRanges") or ()
        ),
        internal_traffic_policy=TrafficPolicy(spec.get("internalTrafficPolicy") or "Cluster"),
        external_traffic_policy=TrafficPolicy(spec.get("externalTrafficPolicy") or "Cluster"),
        affinity_seconds=affinity,
        health_check_node_port=spec.get("healthCheckNodePort") or None,
        targets=targets,
    )


def _load_balancer(service: JsonObject) -> Iterator[LoadBalancerAddress]:
    for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        if entry.get("ip"):
            yield LoadBalancerAddress(podlib.parse_address(entry["ip"]), entry.get("ipMode") == "Proxy")


def _service_port(port: JsonObject, slices: Iterable[JsonObject], ids: Mapping[str, int]) -> ServicePort:
    name, protocol = port.get("name") or "", Protocol(port.get("protocol") or "TCP")
    return ServicePort(
        id=ids[port_key(port)],
        name=name,
        protocol=protocol,
        port=port["port"],
        node_port=port.get("nodePort") or None,
        endpoints=tuple(_endpoints(slices, name, protocol)),
    )


def _endpoints(slices: Iterable[JsonObject], name: str, protocol: Protocol) -> Iterator[Endpoint]:
    """Endpoints of the slices' ports of that name and protocol; one that is named twice counts once."""
    seen: set[tuple[IPAddress, int]] = set()
    for obj in slices:
        for port in obj.get("ports") or ():
            matches = (port.get("name") or "") == name and (port.get("protocol") or "TCP") == protocol
            if not matches or not port.get("port"):
                continue
            for entry in obj.get("endpoints") or ():
                endpoint = _endpoint(entry, port["port"], obj["metadata"].get("namespace", ""))
                if (endpoint.address, endpoint.port) not in seen:
                    seen.add((endpoint.address, endpoint.port))
                    yield endpoint


def _endpoint(entry: JsonObject, port: int, namespace: str) -> Endpoint:
    """Conditions that are absent are to be read as ready, serving and not terminating (discovery/v1)."""
    conditions, hints = entry.get("conditions") or {}, entry.get("hints") or {}
    ready = conditions.get("ready") is not False
    serving = conditions.get("serving")
    target = entry.get("targetRef")
    return Endpoint(
        address=podlib.parse_address(entry["addresses"][0]),
        port=port,
        node=entry.get("nodeName"),
        ready=ready,
        serving=ready if serving is None else bool(serving),
        terminating=bool(conditions.get("terminating")),
        target=Ref(target.get("kind", ""), target.get("namespace", namespace), target["name"])
        if target
        else None,
        zone=entry.get("zone"),
        for_nodes=_names(hints, "forNodes"),
        for_zones=_names(hints, "forZones"),
    )


def _names(hints: JsonObject, field: str) -> tuple[str, ...] | None:
    return tuple(hint["name"] for hint in hints[field]) if hints.get(field) else None


def _ref(obj: JsonObject) -> Ref:
    return Ref(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


# -- ids of service ports --------------------------------------------------------------------------


def port_key(port: JsonObject) -> str:
    """What a service port's id belongs to within its Service: `http/TCP`."""
    return f"{port.get('name') or ''}/{port.get('protocol') or 'TCP'}"


def recorded_ids(service: JsonObject) -> dict[str, int]:
    """The ids that admission wrote on the Service; empty when there are none that can be read."""
    try:
        found = json.loads((service["metadata"].get("annotations") or {}).get(PORT_IDS, "{}"))
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, int) and 0 < v <= MAX_SERVICE_PORT_ID}


def port_ids(services: Iterable[JsonObject]) -> dict[tuple[str, str], dict[str, int]]:
    """The ids of all ports of `services`, by (namespace, name) and `port_key`.

    Recorded ids hold; ports without one (of objects that did not pass admission) take the lowest free ones.
    """
    services = tuple(services)
    used: set[int] = set()
    found: dict[tuple[str, str], dict[str, int]] = {}
    missing: list[tuple[dict[str, int], str]] = []
    for service in services:
        recorded, own = recorded_ids(service), {}
        for key in (port_key(port) for port in service["spec"].get("ports") or ()):
            if key in recorded and recorded[key] not in used:
                own[key] = recorded[key]
                used.add(recorded[key])
            else:
                missing.append((own, key))
        found[service["metadata"].get("namespace", ""), service["metadata"]["name"]] = own
    free = (number for number in range(1, MAX_SERVICE_PORT_ID + 1) if number not in used)
    for own, key in missing:
        own[key] = next(free)
    return found

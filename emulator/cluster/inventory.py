"""What every cluster has before anybody applies anything: namespaces, Nodes, the API server's Service.

A kubelet registers its Node once, when it starts. A Node that somebody deletes stays away until somebody
creates one of that name again. That it has been there once is told by the node's Lease.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.cluster import ipam
from emulator.cluster.changes import Change, Create, Update, UpdateStatus
from emulator.cluster.mirroring import SKIP_MIRROR
from emulator.cluster.scheduler import ZONE
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.specs import CONTROL_PLANE, WORKER
from emulator.cluster.state import SERVICE_NAME_LABEL
from emulator.cluster.targets import EXCLUDED
from emulator.cluster.wiring import IPAddress, NodePlan, Wiring

LEASES = "kube-node-lease"
NAMESPACES = ("default", "kube-system", LEASES)
API_PORT = 6443
HOSTNAME = "kubernetes.io/hostname"
_ROLE = "node-role.kubernetes.io/"


def inventory(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Create what is missing of it."""
    for name in NAMESPACES:
        if snapshot.get("Namespace", "", name) is None:
            yield Create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for plan in snapshot.wiring.nodes:
        yield from _node(snapshot, plan, now)
    if snapshot.get("Namespace", "", "default") is not None:
        yield from (
            Create(obj)
            for obj in _api_server(snapshot.wiring)
            if snapshot.get(obj["kind"], "default", obj["metadata"]["name"]) is None
        )


# -- nodes -----------------------------------------------------------------------------------------


def _node(snapshot: Snapshot, plan: NodePlan, now: datetime) -> Iterator[Change]:
    """A Node that has never been there is created; one that somebody replaced keeps what the kubelet sets."""
    old = snapshot.get("Node", "", plan.name)
    if old is None:
        if snapshot.get("Lease", LEASES, plan.name) is None:
            yield Create(node_object(plan, now, alone=_is_alone(snapshot.wiring)))
        return
    if snapshot.get("Lease", LEASES, plan.name) is None and snapshot.get("Namespace", "", LEASES) is not None:
        yield Create(_lease(plan, now))
    labels = old["metadata"].get("labels") or {}
    if HOSTNAME not in labels or not (old.get("spec") or {}).get("podCIDRs"):
        metadata = {**old["metadata"], "labels": {**node_labels(plan), **labels}}
        yield Update({**old, "metadata": metadata, "spec": {**(old.get("spec") or {}), **_ranges(plan)}})
    if not (old.get("status") or {}).get("addresses"):
        yield UpdateStatus({**old, "status": {**_node_status(plan, now), **(old.get("status") or {})}})


def _is_alone(wiring: Wiring) -> bool:
    """Without workers the other nodes are not tainted: pods must run somewhere."""
    return not any(node.role == WORKER for node in wiring.nodes)


def node_labels(plan: NodePlan) -> dict[str, str]:
    """The labels that a node's kubelet and the topology give it."""
    labels = {HOSTNAME: plan.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    if plan.zone:
        labels[ZONE] = plan.zone
    labels[_ROLE + plan.role] = ""
    return {**labels, **plan.labels}


def node_object(plan: NodePlan, now: datetime, *, alone: bool) -> JsonObject:
    """A new Node. All roles but worker are tainted as kubeadm taints the control plane, unless `alone`."""
    spec = _ranges(plan)
    if plan.role != WORKER and not alone:
        spec["taints"] = [{"key": _ROLE + plan.role, "effect": "NoSchedule"}]
    labels = node_labels(plan)
    if plan.role == CONTROL_PLANE and not alone:
        labels[EXCLUDED] = ""  # as kubeadm does
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": plan.name, "labels": labels},
        "spec": spec,
        "status": _node_status(plan, now),
    }


def _ranges(plan: NodePlan) -> JsonObject:
    cidrs = [str(cidr) for cidr in plan.pod_cidrs]
    return {"podCIDR": cidrs[0], "podCIDRs": cidrs}


def _lease(plan: NodePlan, now: datetime) -> JsonObject:
    moment = f"{timestamp(now).removesuffix('Z')}.000000Z"
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": plan.name, "namespace": LEASES},
        "spec": {"holderIdentity": plan.name, "leaseDurationSeconds": 40, "renewTime": moment},
    }


def _node_status(plan: NodePlan, now: datetime) -> JsonObject:
    resources = {"cpu": "8", "memory": "16Gi", "pods": str(ipam.capacity(plan))}
    moment = timestamp(now)
    return {
        "addresses": [
            *({"type": "InternalIP", "address": str(address.ip)} for address in plan.addresses),
            {"type": "Hostname", "address": plan.name},
        ],
        "capacity": resources,
        "allocatable": dict(resources),
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "message": "kubelet is posting ready status",
                "lastHeartbeatTime": moment,
                "lastTransitionTime": moment,
            }
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "osImage": "Mininetes",
            "kubeletVersion": "v1.34.0",
            "containerRuntimeVersion": "mininetes://1",
        },
    }


# -- the API server's Service ----------------------------------------------------------------------


def api_servers(wiring: Wiring) -> tuple[NodePlan, ...]:
    """The nodes of the control plane, or the first node, where there is none."""
    return tuple(node for node in wiring.nodes if node.role == CONTROL_PLANE) or wiring.nodes[:1]


def api_addresses(wiring: Wiring) -> tuple[IPAddress, ...]:
    """The clusterIP of `default/kubernetes`, and the addresses of the nodes behind it."""
    family = wiring.nodes[0].addresses[0].version
    cluster_ip = next(cidr[1] for cidr in wiring.service_cidrs if cidr.version == family)
    return (cluster_ip, *(address.ip for node in api_servers(wiring) for address in node.addresses))


def _api_server(wiring: Wiring) -> Iterator[JsonObject]:
    """`default/kubernetes`, which leads to the API servers."""
    addresses = [str(node.addresses[0].ip) for node in api_servers(wiring)]
    family = f"IPv{wiring.nodes[0].addresses[0].version}"
    labels = {"component": "apiserver", "provider": "kubernetes"}
    metadata: JsonObject = {"name": "kubernetes", "namespace": "default"}
    port = {"name": "https", "protocol": "TCP", "port": API_PORT}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": str(api_addresses(wiring)[0]),
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": API_PORT}],
        },
    }
    yield {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {**metadata, "labels": {SKIP_MIRROR: "true"}},
        "subsets": [{"addresses": [{"ip": address} for address in addresses], "ports": [dict(port)]}],
    }
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {SERVICE_NAME_LABEL: "kubernetes"}},
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [dict(port)],
    }

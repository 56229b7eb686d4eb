"""What `get` shows of each kind: kubectl's columns, and kubectl's wide ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emulator.api.objects import JsonObject
from emulator.cli.digging import dig
from emulator.cli.podtext import pod_ready, pod_restarts, pod_status
from emulator.cli.tables import age

Cell = Callable[[JsonObject], str]


@dataclass(frozen=True, slots=True)
class Columns:
    """Headers and how to fill them; `wide` are those that `-o wide` adds."""

    normal: Mapping[str, Cell]
    wide: Mapping[str, Cell]

    def header(self, *, wide: bool) -> list[str]:
        """The names of the columns."""
        return [*self.normal, *(self.wide if wide else ())]

    def row(self, obj: JsonObject, *, wide: bool) -> list[str]:
        """The cells of one object."""
        cells = [*self.normal.values(), *(self.wide.values() if wide else ())]
        return [cell(obj) for cell in cells]


def of_kind(kind: str) -> Columns:
    """The columns of `kind`; NAME and AGE where it has none of its own."""
    return _COLUMNS.get(kind, _PLAIN)


def _text(*path: str | int, default: str = "<none>") -> Cell:
    return lambda obj: str(dig(obj, *path, default=default))


def _count(*path: str | int) -> Cell:
    return _text(*path, default="0")


_name: Cell = _text("metadata", "name")


def _age(obj: JsonObject) -> str:
    return age(dig(obj, "metadata", "creationTimestamp"))


def selector_text(selector: JsonObject | None) -> str:
    """A label selector, or a Service's plain one, as kubectl writes it."""
    if not selector:
        return "<none>"
    labels = selector.get("matchLabels", {}) if _is_label_selector(selector) else selector
    parts = [f"{key}={value}" for key, value in sorted(labels.items())]
    for term in selector.get("matchExpressions", []) if _is_label_selector(selector) else []:
        key, operator, values = term["key"], term["operator"], ",".join(term.get("values") or [])
        match operator:
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
            case _:
                parts.append(f"{key} {operator.lower()} ({values})")
    return ",".join(parts) or "<none>"


def _is_label_selector(selector: JsonObject) -> bool:
    return bool({"matchLabels", "matchExpressions"} & set(selector))


# Services and endpoints


def service_ports(service: JsonObject) -> str:
    """The PORT(S) column: `80:30080/TCP,53/UDP`."""
    return ",".join(
        f"{port['port']}:{port['nodePort']}/{port.get('protocol', 'TCP')}"
        if port.get("nodePort")
        else f"{port['port']}/{port.get('protocol', 'TCP')}"
        for port in dig(service, "spec", "ports", default=[])
    )


def _cluster_ips(service: JsonObject) -> str:
    return ",".join(dig(service, "spec", "clusterIPs", default=[])) or "<none>"


def _external_ip(service: JsonObject) -> str:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    balancers = dig(service, "status", "loadBalancer", "ingress", default=[])
    addresses = [entry.get("ip") or entry.get("hostname", "") for entry in balancers]
    addresses += spec.get("externalIPs") or []
    if spec.get("type") == "LoadBalancer" and not addresses:
        return "<pending>"
    return ",".join(addresses)


def _few(items: list[str], shown: int = 3) -> str:
    if len(items) <= shown:
        return ",".join(items)
    return f"{','.join(items[:shown])} + {len(items) - shown} more..."


def _slice_ports(piece: JsonObject) -> str:
    return _few([str(port.get("port", "")) for port in piece.get("ports") or []]) or "<unset>"


def _slice_addresses(piece: JsonObject) -> str:
    return _few([a for one in piece.get("endpoints") or [] for a in one.get("addresses", [])]) or "<unset>"


def _endpoint_addresses(endpoints: JsonObject) -> str:
    return _few(
        [
            f"{address['ip']}:{port['port']}"
            for subset in endpoints.get("subsets") or []
            for port in subset.get("ports") or []
            for address in subset.get("addresses") or []
        ]
    )


# Nodes, policies, ingresses


def _node_status(node: JsonObject) -> str:
    conditions = {one["type"]: one["status"] for one in dig(node, "status", "conditions", default=[])}
    words = ["Ready" if conditions.get("Ready") == "True" else "NotReady"]
    if dig(node, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: JsonObject) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = dig(node, "metadata", "labels", default={})
    return ",".join(sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix)))


def _node_address(kind: str) -> Cell:
    def cell(node: JsonObject) -> str:
        found = [a["address"] for a in dig(node, "status", "addresses", default=[]) if a.get("type") == kind]
        return ",".join(found)

    return cell


def _ingress_hosts(ingress: JsonObject) -> str:
    rules = dig(ingress, "spec", "rules", default=[])
    return _few([rule.get("host") or "*" for rule in rules]) or "*"


def _ingress_address(ingress: JsonObject) -> str:
    entries = dig(ingress, "status", "loadBalancer", "ingress", default=[])
    return ",".join(entry.get("ip") or entry.get("hostname", "") for entry in entries) or " "


def _ingress_ports(ingress: JsonObject) -> str:
    return "80, 443" if dig(ingress, "spec", "tls") else "80"


def _parent(address: JsonObject) -> str:
    parent = dig(address, "spec", "parentRef", default={})
    return "/".join(parent[field] for field in ("resource", "namespace", "name") if parent.get(field))


# Workloads


def _containers(obj: JsonObject) -> list[JsonObject]:
    found = dig(obj, "spec", "template", "spec", "containers", default=[])
    return found if isinstance(found, list) else []


def _container_names(obj: JsonObject) -> str:
    return ",".join(one["name"] for one in _containers(obj))


def _images(obj: JsonObject) -> str:
    return ",".join(one.get("image", "") for one in _containers(obj))


def _selector(obj: JsonObject) -> str:
    return selector_text(dig(obj, "spec", "selector"))


def _ready_of(done: str, wanted: Cell) -> Cell:
    return lambda obj: f"{dig(obj, 'status', done, default=0)}/{wanted(obj)}"


def _completions(job: JsonObject) -> str:
    return f"{dig(job, 'status', 'succeeded', default=0)}/{dig(job, 'spec', 'completions', default=1)}"


def _job_status(job: JsonObject) -> str:
    conditions = {
        one["type"] for one in dig(job, "status", "conditions", default=[]) if one["status"] == "True"
    }
    return next((word for word in ("Complete", "Failed", "Suspended") if word in conditions), "Running")


_TEMPLATE: dict[str, Cell] = {"CONTAINERS": _container_names, "IMAGES": _images, "SELECTOR": _selector}
_PLAIN = Columns({"NAME": _name, "AGE": _age}, {})
_COLUMNS: dict[str, Columns] = {
    "Pod": Columns(
        {"NAME": _name, "READY": pod_ready, "STATUS": pod_status, "RESTARTS": pod_restarts, "AGE": _age},
        {"IP": _text("status", "podIP"), "NODE": _text("spec", "nodeName")},
    ),
    "Service": Columns(
        {
            "NAME": _name,
            "TYPE": _text("spec", "type", default="ClusterIP"),
            "CLUSTER-IP": _text("spec", "clusterIP"),
            "EXTERNAL-IP": _external_ip,
            "PORT(S)": service_ports,
            "AGE": _age,
        },
        {"CLUSTER-IPS": _cluster_ips, "SELECTOR": _selector},
    ),
    "EndpointSlice": Columns(
        {
            "NAME": _name,
            "ADDRESSTYPE": _text("addressType"),
            "PORTS": _slice_ports,
            "ENDPOINTS": _slice_addresses,
            "AGE": _age,
        },
        {},
    ),
    "Endpoints": Columns({"NAME": _name, "ENDPOINTS": _endpoint_addresses, "AGE": _age}, {}),
    "Deployment": Columns(
        {
            "NAME": _name,
            "READY": _ready_of("readyReplicas", _count("spec", "replicas")),
            "UP-TO-DATE": _count("status", "updatedReplicas"),
            "AVAILABLE": _count("status", "availableReplicas"),
            "AGE": _age,
        },
        _TEMPLATE,
    ),
    "ReplicaSet": Columns(
        {
            "NAME": _name,
            "DESIRED": _count("spec", "replicas"),
            "CURRENT": _count("status", "replicas"),
            "READY": _count("status", "readyReplicas"),
            "AGE": _age,
        },
        _TEMPLATE,
    ),
    "StatefulSet": Columns(
        {"NAME": _name, "READY": _ready_of("readyReplicas", _count("spec", "replicas")), "AGE": _age},
        {"CONTAINERS": _container_names, "IMAGES": _images},
    ),
    "DaemonSet": Columns(
        {
            "NAME": _name,
            "DESIRED": _count("status", "desiredNumberScheduled"),
            "CURRENT": _count("status", "currentNumberScheduled"),
            "READY": _count("status", "numberReady"),
            "UP-TO-DATE": _count("status", "updatedNumberScheduled"),
            "AVAILABLE": _count("status", "numberAvailable"),
            "AGE": _age,
        },
        _TEMPLATE,
    ),
    "Job": Columns(
        {"NAME": _name, "STATUS": _job_status, "COMPLETIONS": _completions, "AGE": _age}, _TEMPLATE
    ),
    "Node": Columns(
        {
            "NAME": _name,
            "STATUS": _node_status,
            "ROLES": _roles,
            "AGE": _age,
            "VERSION": _text("status", "nodeInfo", "kubeletVersion", default=""),
        },
        {
            "INTERNAL-IP": _node_address("InternalIP"),
            "EXTERNAL-IP": _node_address("ExternalIP"),
            "POD-CIDR": lambda node: ",".join(dig(node, "spec", "podCIDRs", default=[])),
            "ZONE": _text("metadata", "labels", "topology.kubernetes.io/zone"),
        },
    ),
    "Namespace": Columns(
        {"NAME": _name, "STATUS": _text("status", "phase", default="Active"), "AGE": _age},
        {},
    ),
    "NetworkPolicy": Columns(
        {
            "NAME": _name,
            "POD-SELECTOR": lambda policy: selector_text(dig(policy, "spec", "podSelector")),
            "AGE": _age,
        },
        {"TYPES": lambda policy: ",".join(dig(policy, "spec", "policyTypes", default=[]))},
    ),
    "AdminNetworkPolicy": Columns(
        {
            "NAME": _name,
            "PRIORITY": lambda policy: str(dig(policy, "spec", "priority", default="")),
            "AGE": _age,
        },
        {},
    ),
    "ClusterNetworkPolicy": Columns(
        {
            "NAME": _name,
            "TIER": _text("spec", "tier"),
            "PRIORITY": lambda policy: str(dig(policy, "spec", "priority", default="")),
            "AGE": _age,
        },
        {},
    ),
    "Ingress": Columns(
        {
            "NAME": _name,
            "CLASS": _text("spec", "ingressClassName"),
            "HOSTS": _ingress_hosts,
            "ADDRESS": _ingress_address,
            "PORTS": _ingress_ports,
            "AGE": _age,
        },
        {},
    ),
    "ServiceCIDR": Columns(
        {"NAME": _name, "CIDRS": lambda one: ",".join(dig(one, "spec", "cidrs", default=[])), "AGE": _age}, {}
    ),
    "IPAddress": Columns({"NAME": _name, "PARENTREF": _parent, "AGE": _age}, {}),
    "IngressClass": Columns(
        {"NAME": _name, "CONTROLLER": _text("spec", "controller"), "AGE": _age},
        {},
    ),
    "ConfigMap": Columns(
        {"NAME": _name, "DATA": lambda one: str(len(one.get("data") or {})), "AGE": _age}, {}
    ),
    "Secret": Columns(
        {
            "NAME": _name,
            "TYPE": _text("type", default="Opaque"),
            "DATA": lambda one: str(len(one.get("data") or {})),
            "AGE": _age,
        },
        {},
    ),
    "Event": Columns(
        {
            "LAST SEEN": lambda event: age(event.get("lastTimestamp") or event.get("eventTime")),
            "TYPE": _text("type"),
            "REASON": _text("reason"),
            "OBJECT": lambda event: "/".join(
                (
                    dig(event, "involvedObject", "kind", default="").lower(),
                    dig(event, "involvedObject", "name", default=""),
                )
            ),
            "MESSAGE": _text("message"),
        },
        {},
    ),
    "Topology": Columns(
        {
            "NAME": _name,
            "MODE": _text("spec", "mode", default="overlay"),
            "NODES": lambda topology: str(len(dig(topology, "spec", "nodes", default=[]))),
            "AGE": _age,
        },
        {},
    ),
}

"""`describe`: kubectl's essentials of one object, and its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from emulator.api.kinds import Kind
from emulator.api.objects import JsonObject
from emulator.cli.balancing import target_lines
from emulator.cli.columns import selector_text
from emulator.cli.digging import dig
from emulator.cli.listing import Query, fetch, nothing_found
from emulator.cli.podtext import pod_status
from emulator.cli.policytext import cluster_policy_lines, policy_lines
from emulator.cli.routing import ingress_lines, rule_lines
from emulator.cli.servicetext import service_lines
from emulator.cli.tables import age, pairs, render
from emulator.cli.terminal import Terminal
from emulator.scenario.cluster import LiveCluster

Lines = list[tuple[str, str]]

_OUR_OWN = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "mininetes.io/service-port-ids"})


def describe(cluster: LiveCluster, query: Query, terminal: Terminal) -> None:
    """Print the objects that `query` finds, one after the other."""
    texts = [
        "\n".join(_describe(cluster, kind, obj)) for kind, found in fetch(cluster, query) for obj in found
    ]
    if texts:
        terminal.out("\n\n\n".join(texts))
    else:
        terminal.note(nothing_found(query))


def _describe(cluster: LiveCluster, kind: Kind, obj: JsonObject) -> Iterable[str]:
    metadata = obj["metadata"]
    head: Lines = [("Name", metadata["name"])]
    if kind.namespaced:
        head.append(("Namespace", metadata.get("namespace", "")))
    head += [
        ("Labels", _labels(metadata.get("labels"))),
        ("Annotations", _annotations(metadata)),
    ]
    owner = dig(metadata, "ownerReferences", 0)
    if owner:
        head.append(("Controlled By", f"{owner['kind']}/{owner['name']}"))
    own = _HEADS.get(kind.kind)
    yield pairs([*head, *(own(obj) if own else ())])
    body = _BODIES.get(kind.kind)
    yield from body(cluster, obj) if body else _plain(obj)
    yield from _events(cluster, kind, obj)


def _annotations(metadata: JsonObject) -> str:
    """Without what `apply` and the emulator keep there for themselves."""
    kept = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _OUR_OWN}
    return _labels(kept)


def _labels(labels: dict[str, str] | None) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


# Pods


def _pod_head(pod: JsonObject) -> Lines:
    addresses = [entry["ip"] for entry in dig(pod, "status", "podIPs", default=[])]
    return [
        (
            "Node",
            f"{dig(pod, 'spec', 'nodeName', default='<none>')}/{dig(pod, 'status', 'hostIP', default='')}",
        ),
        ("Start Time", dig(pod, "status", "startTime", default="<none>")),
        ("Status", pod_status(pod)),
        ("IP", dig(pod, "status", "podIP", default="<none>")),
        ("IPs", ", ".join(addresses) or "<none>"),
    ]


def _pod_body(cluster: LiveCluster, pod: JsonObject) -> Iterable[str]:  # noqa: ARG001
    for title, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        containers = dig(pod, "spec", field, default=[])
        if containers:
            yield f"{title}:"
        statuses = dig(pod, "status", field[:-1] + "Statuses", default=[])
        by_name = {status["name"]: status for status in statuses}
        for container in containers:
            yield f"  {container['name']}:"
            yield pairs(_container(container, by_name.get(container["name"], {})), indent="    ")
    conditions = dig(pod, "status", "conditions", default=[])
    yield "Conditions:"
    heads = ("TYPE", "STATUS", "REASON", "MESSAGE")
    rows = [(one["type"], one["status"], one.get("reason", ""), one.get("message", "")) for one in conditions]
    said = 4 if any(row[3] for row in rows) else 3 if any(row[2] for row in rows) else 2
    yield _indented(render(heads[:said], [row[:said] for row in rows]))


def _container(container: JsonObject, status: JsonObject) -> Lines:
    ports = ", ".join(
        f"{port['containerPort']}/{port.get('protocol', 'TCP')}" for port in container.get("ports") or []
    )
    host_ports = ", ".join(
        f"{port.get('hostIP', '')}:{port['hostPort']}/{port.get('protocol', 'TCP')}".removeprefix(":")
        for port in container.get("ports") or []
        if port.get("hostPort")
    )
    lines: Lines = [
        ("Image", container.get("image", "")),
        ("Ports", ports or "<none>"),
        ("Host Ports", host_ports or "<none>"),
    ]
    if container.get("command") or container.get("args"):
        lines.append(
            ("Command", " ".join([*(container.get("command") or []), *(container.get("args") or [])]))
        )
    lines += [("State", _state(status.get("state"))), ("Ready", str(status.get("ready", False)))]
    if status.get("lastState"):
        lines.append(("Last State", _state(status["lastState"])))
    lines.append(("Restart Count", str(status.get("restartCount", 0))))
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            lines.append((probe.removesuffix("Probe").capitalize(), _probe(container[probe])))
    plain = [f"{one['name']}={one['value']}" for one in container.get("env") or [] if "value" in one]
    return [*lines, ("Environment", ", ".join(plain) or "<none>")]


def _state(state: JsonObject | None) -> str:
    for word, detail in (state or {}).items():
        parts = [detail.get("reason"), detail.get("message")]
        if "exitCode" in detail:
            parts.append(f"exit code {detail['exitCode']}")
        listed = ", ".join(part for part in parts if part)
        return word.capitalize() + (f" ({listed})" if listed else "")
    return "Waiting"


def _probe(probe: JsonObject) -> str:
    if "httpGet" in probe:
        get = probe["httpGet"]
        how = f"http-get :{get.get('port')}{get.get('path', '/')}"
    elif "tcpSocket" in probe:
        how = f"tcp-socket :{probe['tcpSocket'].get('port')}"
    elif "grpc" in probe:
        how = f"grpc :{probe['grpc'].get('port')}"
    else:
        how = "exec " + " ".join(dig(probe, "exec", "command", default=[]))
    return f"{how} period={probe.get('periodSeconds', 10)}s #failure={probe.get('failureThreshold', 3)}"


# Services, nodes, workloads


def _service_body(cluster: LiveCluster, service: JsonObject) -> Iterable[str]:
    metadata = service["metadata"]
    selector = f"kubernetes.io/service-name={metadata['name']}"
    slices = cluster.get("EndpointSlice", None, metadata.get("namespace"), selector)
    rows = [
        (
            f"{address}:{port.get('port')}",
            port.get("name") or " ",
            str(dig(endpoint, "conditions", "ready", default=True)).lower(),
            endpoint.get("nodeName") or " ",
            dig(endpoint, "targetRef", "name", default=" "),
        )
        for piece in slices
        for port in piece.get("ports") or []
        for endpoint in piece.get("endpoints") or []
        for address in endpoint.get("addresses") or []
    ]
    yield "Endpoints:"
    yield _indented(render(("ADDRESS", "PORT", "READY", "NODE", "POD"), rows)) if rows else "  <none>"
    yield from target_lines(cluster, service)


def _node_head(node: JsonObject) -> Lines:
    taints = [
        f"{one['key']}={one.get('value', '')}:{one['effect']}"
        for one in dig(node, "spec", "taints", default=[])
    ]
    addresses = [f"{one['type']} {one['address']}" for one in dig(node, "status", "addresses", default=[])]
    return [
        ("Taints", ", ".join(taints) or "<none>"),
        ("Unschedulable", str(dig(node, "spec", "unschedulable", default=False)).lower()),
        ("Addresses", ", ".join(addresses)),
        ("PodCIDRs", ",".join(dig(node, "spec", "podCIDRs", default=[]))),
    ]


def _node_body(cluster: LiveCluster, node: JsonObject) -> Iterable[str]:
    name = node["metadata"]["name"]
    here = [pod for pod in cluster.get("Pod") if dig(pod, "spec", "nodeName") == name]
    rows = [
        (
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            pod_status(pod),
            dig(pod, "status", "podIP", default=""),
        )
        for pod in here
    ]
    yield f"Pods: ({len(here)} in total)"
    if rows:
        yield _indented(render(("NAMESPACE", "NAME", "STATUS", "IP"), rows))


def _workload_head(workload: JsonObject) -> Lines:
    status = workload.get("status") or {}
    counts = {
        key: value for key, value in status.items() if isinstance(value, int) and key != "observedGeneration"
    }
    return [
        ("Selector", selector_text(dig(workload, "spec", "selector"))),
        ("Replicas", str(dig(workload, "spec", "replicas", default="<none>"))),
        ("Status", ", ".join(f"{value} {key}" for key, value in counts.items()) or "<none>"),
        (
            "Images",
            ", ".join(
                one.get("image", "")
                for one in dig(workload, "spec", "template", "spec", "containers", default=[])
            ),
        ),
    ]


def _nothing(cluster: LiveCluster, obj: JsonObject) -> Iterable[str]:  # noqa: ARG001
    return ()


def _policy_body(cluster: LiveCluster, policy: JsonObject) -> Iterable[str]:  # noqa: ARG001
    return policy_lines(policy)


def _cluster_policy_body(cluster: LiveCluster, policy: JsonObject) -> Iterable[str]:  # noqa: ARG001
    return cluster_policy_lines(policy)


def _plain(obj: JsonObject) -> Iterable[str]:
    for field, value in obj.items():
        if field not in ("apiVersion", "kind", "metadata"):
            yield f"{field[:1].upper()}{field[1:]}:"
            yield from _tree(value, "  ")


def _tree(value: Any, indent: str) -> Iterable[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict | list) and item:
                yield f"{indent}{key}:"
                yield from _tree(item, indent + "  ")
            else:
                yield f"{indent}{key}: {item}"
    elif isinstance(value, list):
        for item in value:
            lines = list(_tree(item, ""))
            yield f"{indent}- {lines[0] if lines else ''}"
            yield from (f"{indent}  {line}" for line in lines[1:])
    else:
        yield f"{indent}{value}"


def _events(cluster: LiveCluster, kind: Kind, obj: JsonObject) -> Iterable[str]:
    metadata = obj["metadata"]
    about = [
        event
        for event in cluster.get("Event", None, metadata.get("namespace"))
        if dig(event, "involvedObject", "kind") == kind.kind
        and dig(event, "involvedObject", "name") == metadata["name"]
        and dig(event, "involvedObject", "uid", default=metadata.get("uid")) == metadata.get("uid")
    ]
    if not about:
        yield "Events:  <none>"
        return
    rows = [
        (
            event.get("type", ""),
            event.get("reason", ""),
            age(event.get("lastTimestamp") or event.get("eventTime")),
            event.get("message", ""),
        )
        for event in sorted(about, key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "")
    ]
    yield "Events:"
    yield _indented(render(("TYPE", "REASON", "AGE", "MESSAGE"), rows))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


_HEADS: dict[str, Callable[[JsonObject], Lines]] = {
    "Pod": _pod_head,
    "Service": lambda service: list(service_lines(service)),
    "Node": _node_head,
    "Ingress": lambda ingress: list(ingress_lines(ingress)),
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"), _workload_head),
}
_BODIES: dict[str, Callable[[LiveCluster, JsonObject], Iterable[str]]] = {
    "Pod": _pod_body,
    "Service": _service_body,
    "Node": _node_body,
    "Ingress": rule_lines,
    "NetworkPolicy": _policy_body,
    "ClusterNetworkPolicy": _cluster_policy_body,
    "AdminNetworkPolicy": _cluster_policy_body,
    "BaselineAdminNetworkPolicy": _cluster_policy_body,
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"), _nothing),
}

"""What the DNS tests ask about: Services of every kind, and a pod with the usual tools."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

NAMESPACE = "names"
HTTP = 8080
_SERVER: Object = {
    "name": "main",
    "image": "registry.k8s.io/e2e-test-images/agnhost:2.47",
    "args": ["netexec", f"--http-port={HTTP}"],
    "ports": [{"name": "http", "containerPort": HTTP}],
}
TOOLS: Object = {"name": "tools", "image": "registry.k8s.io/e2e-test-images/agnhost:2.47"}


def meta(name: str, **labels: str) -> Object:
    return {"name": name, "namespace": NAMESPACE, "labels": labels}


def pod(name: str, container: Object = TOOLS, *, app: str = "", **spec: Any) -> Object:
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, app=app or name), "spec": spec}


def server(name: str, *, app: str = "", **spec: Any) -> Object:
    """A pod that answers on HTTP."""
    return pod(name, _SERVER, app=app, **spec)


def service(name: str, app: str = "", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    selector = {"selector": {"app": app}} if app else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name),
        "spec": {"ports": ports, **selector, **spec},
    }


def headless(name: str, app: str = "", **spec: Any) -> Object:
    return service(name, app, clusterIP="None", **spec)


def external_name(name: str, target: str) -> Object:
    spec = {"type": "ExternalName", "externalName": target}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": spec}


def stateful_set(name: str, replicas: int) -> Object:
    spec = {"terminationGracePeriodSeconds": 0, "containers": [_SERVER]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": meta(name),
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def gated() -> Object:
    """A pod that is ready when somebody says so."""
    return server("gated", readinessGates=[{"conditionType": "names.example/said"}])


def twins() -> Object:
    """Endpoints by hand: two that share a hostname, one that is not ready."""
    ready = {"conditions": {"ready": True}}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta("twins-by-hand"), "labels": {"kubernetes.io/service-name": "twins"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["192.0.2.1"], "hostname": "twin", **ready},
            {"addresses": ["192.0.2.2"], "hostname": "twin", **ready},
            {"addresses": ["192.0.2.3"], "hostname": "sick", "conditions": {"ready": False}},
        ],
        "ports": [
            {"name": "http", "port": 8080, "protocol": "TCP"},
            {"name": "metrics", "port": 9090, "protocol": "TCP"},
            {"name": "", "port": 7000, "protocol": "TCP"},
        ],
    }


def crowd() -> Object:
    """Ninety endpoints by hand: more than fit in one datagram."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta("crowd-by-hand"), "labels": {"kubernetes.io/service-name": "crowd"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"192.0.2.{number}"]} for number in range(101, 191)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def corefile(text: str) -> Object:
    """The configuration of the cluster's own DNS servers."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "coredns", "namespace": "kube-system"},
        "data": {"Corefile": text},
    }


def everything() -> list[Object]:
    dual = {"ipFamilyPolicy": "PreferDualStack"}
    two_ports = [
        {"name": "http", "port": 80, "targetPort": HTTP},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        pod("client", nodeName="worker-1"),
        server("web-a", app="web"),
        server("named", hostname="front", subdomain="sites", nodeName="worker-2"),
        server("unnamed", app="named", subdomain="sites", nodeName="worker-3"),
        stateful_set("db", 2),
        service("web", "web", clusterIP="10.96.0.50"),
        service("dual", "web", clusterIP="10.96.0.51", clusterIPs=["10.96.0.51", "fd00:10:96::51"], **dual),
        service("empty", "nobody", clusterIP="10.96.0.52"),
        service("ports", "web", clusterIP="10.96.0.53", ports=two_ports),
        service("plain", "web", clusterIP="10.96.0.54", ports=[{"port": 80, "targetPort": HTTP}]),
        headless("sites", "named", **dual),
        headless("early", "gated", publishNotReadyAddresses=True),
        headless("late", "gated"),
        headless("twins"),
        twins(),
        headless("crowd"),
        crowd(),
        headless("db", "db", **dual),
        external_name("out", "server.example.com"),
        external_name("in", f"web.{NAMESPACE}.svc.cluster.local"),
        external_name("digits", "192.0.2.7"),
        external_name("gone", "no-such-host.example.com"),
    ]

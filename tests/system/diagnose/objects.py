"""What the cases put into a cluster."""

from __future__ import annotations

from typing import Any

from tests.system.diagnose.case import Object

HTTP, UDP, DEAD = 8080, 8081, 9999


def pod(where: str, name: str = "server", **spec: Any) -> Object:
    """A pod that answers at 8080/tcp and 8081/udp, ports called `web` and `talk`."""
    labels = {"app": name}
    return _named(
        "v1", "Pod", where, name, {"terminationGracePeriodSeconds": 0, **_containers(), **spec}, labels
    )


def deployment(where: str, name: str, replicas: int) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": _containers()}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return _named("apps/v1", "Deployment", where, name, spec)


def container(**more: Any) -> Object:
    return {**_containers()["containers"][0], **more}


def service(where: str, name: str = "server", selector: Object | None = None, **spec: Any) -> Object:
    """A Service of both families: 80/tcp and 81/udp, to the ports of `pod`."""
    ports = spec.pop("ports", ports_to(HTTP, UDP))
    chosen = {"app": "server"} if selector is None else selector
    body = {"ports": ports, "ipFamilyPolicy": "PreferDualStack", **({"selector": chosen} if chosen else {})}
    return _named("v1", "Service", where, name, {**body, **spec})


def ports_to(tcp: int | str, udp: int | str, /, **more: Any) -> list[Object]:
    return [
        {"name": "http", "port": 80, "targetPort": tcp, **more.get("tcp", {})},
        {"name": "talk", "port": 81, "protocol": "UDP", "targetPort": udp, **more.get("udp", {})},
    ]


def policy(where: str, name: str, app: str, **spec: Any) -> Object:
    body = {"podSelector": {"matchLabels": {"app": app}}, **spec}
    return _named("networking.k8s.io/v1", "NetworkPolicy", where, name, body)


def ingress(where: str, host: str, backend: Object, ingress_class: str) -> Object:
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": backend}}]
    spec = {"ingressClassName": ingress_class, "rules": [{"host": host, "http": {"paths": paths}}]}
    return _named("networking.k8s.io/v1", "Ingress", where, "site", spec)


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _containers() -> Object:
    main = {
        "name": "main",
        "image": "registry.k8s.io/e2e-test-images/agnhost:2.47",
        "args": ["netexec", f"--http-port={HTTP}", f"--udp-port={UDP}"],
        "ports": [
            {"name": "web", "containerPort": HTTP},
            {"name": "talk", "containerPort": UDP, "protocol": "UDP"},
        ],
    }
    return {"containers": [main]}


def _named(
    version: str, kind: str, where: str, name: str, spec: Object, labels: Object | None = None
) -> Object:
    metadata = {"name": name, "namespace": where, **({"labels": labels} if labels else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def cluster_policy(where: str, tier: str, app: str, **rules: Any) -> Object:
    """About the pods of one name in one namespace; called as the namespace is."""
    chosen = {"namespaceSelector": in_namespace(where), "podSelector": {"matchLabels": {"app": app}}}
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": where},
        "spec": {"tier": tier, "priority": 50, "subject": {"pods": chosen}, **rules},
    }


def in_namespace(name: str) -> Object:
    """The selector of one namespace."""
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}

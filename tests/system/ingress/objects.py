"""What the Ingress tests put into a cluster: pods that tell of themselves, Services, Ingresses."""

from __future__ import annotations

import json
from typing import Any

from emulator import Cluster
from emulator.api.objects import JsonObject

HTTP, HTTPS = "30080/tcp", "30443/tcp"
"""The controller's node ports."""
SERVICES = ("one", "two", "three", "default")
"""Each has one pod, of the same name."""


def backend(name: str, replicas: int = 1) -> list[JsonObject]:
    """A Deployment whose pods answer with what they see, and its Service, with ports 80 and `http`."""
    labels = {"app": name}
    container = {
        "name": "main",
        "image": "example/echo",
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    return [
        _named("apps/v1", "Deployment", name, spec),
        _named("v1", "Service", name, {"selector": labels, "ports": ports}),
    ]


def ingress(name: str, *rules: JsonObject, **spec: Any) -> JsonObject:
    """An Ingress of the class haproxy."""
    body = {"ingressClassName": "haproxy", **({"rules": list(rules)} if rules else {}), **spec}
    return _named("networking.k8s.io/v1", "Ingress", name, body)


def rule(host: str, *paths: tuple[str, str, str]) -> JsonObject:
    """Rules of a host: (path type, path, service) each."""
    entries = [{"pathType": kind, "path": path, "backend": to(name)} for kind, path, name in paths]
    return {"host": host, "http": {"paths": entries}}


def to(name: str, port: int | str = 80) -> JsonObject:
    """A backend, by the number or the name of the Service's port."""
    return {"service": {"name": name, "port": {"name" if isinstance(port, str) else "number": port}}}


def asked(
    cluster: Cluster, url: str, port: str = HTTP, *, family: int = 4, **options: Any
) -> tuple[JsonObject, JsonObject]:
    """A request from the internet: the probe's report, and its response."""
    report = cluster.probe(
        "ext/client", "node/worker-2", port, http=url, family=family, timeout=10, **options
    )
    assert report["outcome"] == "connected", report
    assert all(one.startswith("ingress/controller-") for one in report["endpoints"]), report["endpoints"]
    return report, report["http"][0]


def server(cluster: Cluster, url: str, port: str = HTTP, *, family: int = 4) -> str:
    """The Service whose pod answers a request from the internet; where none does, the status: `404`."""
    report, response = asked(cluster, url, port, family=family)
    if response["status"] != 200:
        assert "servedBy" not in report
        return str(response["status"])
    (pod,) = report["servedBy"]
    assert json.loads(response["body"])["pod"] == pod.partition("/")[2]
    return str(pod.partition("/")[2].rsplit("-", 2)[0])


def _named(api_version: str, kind: str, name: str, spec: JsonObject) -> JsonObject:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}

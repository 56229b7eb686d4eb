"""The ports on which a container's server is expected, for images that say nothing of themselves.

People leave `ports` out, since Kubernetes does not need them. What an image of the table listens on is
known to its program; for any other, the ports are those declared, else those that its image is known
to expose, else those that the pod's probes and Services ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.api.objects import JsonObject
from emulator.cluster.images import image_names
from emulator.workloads.references import Objects
from emulator.workloads.servers.program import Declared

EXPOSED: Mapping[str, tuple[int, ...]] = {
    "adminer": (8080,),
    "argocd": (8080,),
    "caddy": (80,),
    "cassandra": (9042,),
    "consul": (8500,),
    "drupal": (80,),
    "echo-server": (8080,),
    "ealen/echo-server": (80,),
    "elasticsearch": (9200, 9300),
    "etcd": (2379, 2380),
    "ghost": (2368,),
    "gitea": (3000,),
    "grafana": (3000,),
    "hello-kubernetes": (8080,),
    "http-https-echo": (8080, 8443),
    "influxdb": (8086,),
    "jaeger": (16686,),
    "jenkins": (8080, 50000),
    "kafka": (9092,),
    "keycloak": (8080,),
    "kibana": (5601,),
    "kuard": (8080,),
    "kuard-amd64": (8080,),
    "locust": (8089,),
    "minio": (9000, 9001),
    "nats": (4222, 8222),
    "nextcloud": (80,),
    "nginxdemos/hello": (80,),
    "node-exporter": (9100,),
    "node-hello": (8080,),
    "phpmyadmin": (80,),
    "prometheus": (9090,),
    "registry": (5000,),
    "sonarqube": (9000,),
    "tomcat": (8080,),
    "vault": (8200,),
    "wordpress": (80,),
    "zookeeper": (2181,),
}
"""TCP ports that the published image says it exposes, by its name or by organisation and name."""

_ACTIONS = ("httpGet", "tcpSocket", "grpc")
_PROBES = ("readinessProbe", "startupProbe", "livenessProbe")


def ports_of(pod: JsonObject, container: JsonObject, objects: Objects) -> tuple[Declared, ...]:
    """The ports of `container`, as far as anybody knows."""
    declared = container.get("ports") or ()
    if declared:
        return tuple(
            Declared(port["containerPort"], port.get("protocol") or "TCP", port.get("name") or "")
            for port in declared
        )
    exposed = tuple(Declared(port, "TCP") for port in _exposed(container.get("image") or ""))
    return exposed or tuple(dict.fromkeys((*_probed(container), *_wanted(pod, container, objects))))


def _exposed(reference: str) -> tuple[int, ...]:
    return next((EXPOSED[name] for name in image_names(reference) if name in EXPOSED), ())


def _probed(container: JsonObject) -> Iterator[Declared]:
    for probe in _PROBES:
        for action in _ACTIONS:
            port = ((container.get(probe) or {}).get(action) or {}).get("port")
            if isinstance(port, int):
                yield Declared(port, "TCP")


def _wanted(pod: JsonObject, container: JsonObject, objects: Objects) -> Iterator[Declared]:
    """Ports to which Services send, unless another container is there to answer."""
    containers = pod["spec"]["containers"]
    silent = [one["name"] for one in containers if not one.get("ports")]
    if container["name"] not in silent[:1]:
        return
    taken = {port["containerPort"] for one in containers for port in one.get("ports") or ()}
    labels = (pod["metadata"].get("labels") or {}).items()
    for service in objects.list("Service", pod["metadata"]["namespace"]):
        selector = service["spec"].get("selector")
        if not selector or not selector.items() <= labels:
            continue
        for port in service["spec"].get("ports") or ():
            target = port.get("targetPort") or port["port"]
            if isinstance(target, int) and target not in taken:
                yield Declared(target, port.get("protocol") or "TCP")

"""Ingresses and what they need, and what a proxy configured for them would choose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from emulator.api.objects import JsonObject
from emulator.cluster.ingress.controllers import OWN_IMAGE, OWN_NAME, controllers
from emulator.cluster.ingress.model import Routed, Routing, Site
from emulator.cluster.ingress.routing import route
from tests.unit.cluster.lab import Lab, pod, service

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def ingress_class(name: str = "haproxy", controller: str = OWN_NAME, *, default: bool = False) -> JsonObject:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"controller": controller},
    }


def ingress(
    name: str, *rules: JsonObject, annotations: dict[str, str] | None = None, **spec: Any
) -> JsonObject:
    body = {"ingressClassName": "haproxy", **spec, **({"rules": list(rules)} if rules else {})}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations or {}},
        "spec": {field: value for field, value in body.items() if value is not None},
    }


def rule(host: str | None, *paths: tuple[str, str, str]) -> JsonObject:
    """Rules of a host: (path type, path, service) each."""
    entries = [{"pathType": kind, "path": path, "backend": to(name)} for kind, path, name in paths]
    return {**({"host": host} if host else {}), **({"http": {"paths": entries}} if entries else {})}


def to(name: str, port: int | str = 80) -> JsonObject:
    return {"service": {"name": name, "port": {"name" if isinstance(port, str) else "number": port}}}


def controller_pod(image: str = OWN_IMAGE, name: str = "controller", **container: Any) -> JsonObject:
    return pod(name, containers=[{"name": "controller", "image": image, **container}])


class IngressLab(Lab):
    """A lab with a controller of class haproxy and two Services, a and b."""

    def __init__(self, *objects: JsonObject, services: Sequence[str] = ("a", "b")) -> None:
        super().__init__()
        backends = [one for name in services for one in (service(name), pod(name))]
        self.run(ingress_class(), controller_pod(), *backends, *objects)

    def routed(self) -> Routed:
        snapshot = self.snapshot()
        (controller,) = controllers(snapshot)
        return route(snapshot, controller, NOW)


def chosen(routing: Routing, host: str, path: str) -> str:
    """The Service that gets a request by the rules of the model; empty for 404.

    An independent reading of the rules: elements are compared one by one, as Kubernetes words it.
    """
    sites = {site.host: site for site in routing.sites}
    names = (host, "*." + host.partition(".")[2], "")
    site = next((sites[name] for name in names if name in sites), Site(""))
    found = site.exact.get(path) or _longest(site, path) or site.default or routing.default
    return found.split("_")[1] if found else ""


def _longest(site: Site, path: str) -> str:
    asked = path.split("/")[1:]
    fitting = []
    for prefix, backend in site.prefix.items():
        elements = prefix.split("/")[1:]
        if asked[: len(elements)] == elements:
            fitting.append((len(elements), backend))
    return max(fitting, default=(0, ""))[1]

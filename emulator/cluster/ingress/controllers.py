"""Ingress controllers: pods whose image is one of those that the proxy stands in for.

HAProxy runs for all of them. What differs is the name that they go by in an IngressClass, and the ports
that their manifests expect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from emulator.api.objects import JsonObject
from emulator.cluster.images import image_names
from emulator.cluster.ingress.classes import class_of, legacy_class_of
from emulator.cluster.pods import is_active
from emulator.cluster.snapshot import Snapshot

OWN_IMAGE = "mininetes/ingress-controller"
OWN_NAME = "mininetes.io/ingress-controller"


@dataclass(frozen=True, slots=True)
class Flavour:
    """A published controller, as far as manifests can tell."""

    names: tuple[str, ...]
    """Its names in `IngressClass.spec.controller`."""
    legacy: str = ""
    """The class that it serves without an IngressClass, when the old annotation names it."""
    http: int = 80
    https: int = 443


_NGINX = Flavour(("k8s.io/ingress-nginx",), "nginx")
_F5 = Flavour(("nginx.org/ingress-controller",), "nginx")
_HAPROXY_INGRESS = Flavour(("haproxy-ingress.github.io/controller",), "haproxy")
_HAPROXYTECH = Flavour(
    ("haproxy.org/ingress-controller/haproxy", "haproxy.org/ingress-controller"), "haproxy", 8080, 8443
)
_TRAEFIK = Flavour(("traefik.io/ingress-controller",), "traefik")
_OTHERS = (_NGINX, _F5, _HAPROXY_INGRESS, _HAPROXYTECH, _TRAEFIK)

FLAVOURS: Mapping[str, Flavour] = {
    OWN_IMAGE: Flavour((OWN_NAME, *(name for flavour in _OTHERS for name in flavour.names))),
    "ingress-nginx/controller": _NGINX,
    "nginx-ingress-controller": _NGINX,
    "nginx/nginx-ingress": _F5,
    "haproxy-ingress": _HAPROXY_INGRESS,
    "haproxytech/kubernetes-ingress": _HAPROXYTECH,
    "traefik": _TRAEFIK,
}
"""By repository name, or by organisation and name where the name alone would mislead."""

_PORT_FLAGS = {
    "http": ("http-port", "entrypoints.web.address"),
    "https": ("https-port", "entrypoints.websecure.address"),
}
_PORT_NAMES = {"http": ("http", "web"), "https": ("https", "websecure")}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True, slots=True)
class Controller:
    """One container that runs the proxy."""

    pod: JsonObject
    container: str
    names: frozenset[str]
    """Classes with one of these as their `spec.controller` are its own."""
    legacy: str
    takes_classless: bool
    http: int
    https: int
    health: tuple[int, ...]
    """Ports at which it is asked for its health."""
    default_backend: tuple[str, str] | None = None
    """Namespace and name of the Service that gets what no Ingress wants."""

    def serves(self, ingress: JsonObject, snapshot: Snapshot) -> bool:
        """Whether an Ingress is this controller's."""
        name = class_of(ingress)
        if not name:
            return self.takes_classless
        found = snapshot.get("IngressClass", "", name)
        if found is None:
            return bool(self.legacy) and legacy_class_of(ingress) == self.legacy
        return found["spec"].get("controller") in self.names


@lru_cache(maxsize=1024)
def flavour_of(image: str) -> Flavour | None:
    """The published controller that an image reference means, if it is one."""
    return next((FLAVOURS[name] for name in image_names(image) if name in FLAVOURS), None)


def controllers(snapshot: Snapshot) -> tuple[Controller, ...]:
    """All controllers whose pods neither have ended nor are about to, in the order of their names."""
    return tuple(found for pod in snapshot.pods for found in running_in(pod))


def running_in(pod: JsonObject) -> Iterator[Controller]:
    """The controllers of a pod that neither has ended nor is about to."""
    if is_active(pod):
        yield from controllers_in(pod)


def controllers_in(pod: JsonObject) -> Iterator[Controller]:
    """The containers of a pod that run the proxy; usually none, sometimes one."""
    for container in pod["spec"].get("containers") or ():
        flavour = flavour_of(container.get("image") or "")
        if flavour is not None:
            yield _controller(pod, container, flavour)


def _controller(pod: JsonObject, container: JsonObject, flavour: Flavour) -> Controller:
    flags = _flags(container)
    name = flags.get("controller-class")
    http = _port(container, flags, "http") or flavour.http
    https = _port(container, flags, "https") or flavour.https
    namespace, _, service = flags.get("default-backend-service", "").partition("/")
    return Controller(
        pod=pod,
        container=container["name"],
        names=frozenset((name,) if name else flavour.names),
        legacy=flags.get("ingress-class") or flavour.legacy,
        takes_classless=flags.get("watch-ingress-without-class", "false") != "false",
        http=http,
        https=https,
        health=tuple(port for port in _health_ports(container) if port not in (http, https)),
        default_backend=(namespace, service) if service and "$" not in namespace else None,
    )


def _flags(container: JsonObject) -> dict[str, str]:
    """`--name=value` and `--name` of its command line, names in lower case: Traefik does not mind theirs."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    pairs = [word.lstrip("-").partition("=") for word in words if word.startswith("-")]
    return {name.lower(): value if equals else "true" for name, equals, value in pairs}


def _port(container: JsonObject, flags: Mapping[str, str], scheme: str) -> int | None:
    """The port of a scheme: as its command line says (`--http-port=8080`, `--entrypoints.web.address=:8000`),
    else as its container port of that name."""
    for flag in _PORT_FLAGS[scheme]:
        found = re.fullmatch(r"(?:.*:)?(\d+)(?:/tcp)?", flags.get(flag, ""))
        if found:
            return int(found[1])
    for port in container.get("ports") or ():
        if port.get("name") in _PORT_NAMES[scheme]:
            return int(port["containerPort"])
    return None


def _health_ports(container: JsonObject) -> tuple[int, ...]:
    named = {port.get("name"): port["containerPort"] for port in container.get("ports") or ()}
    found = []
    for probe in _PROBES:
        for action in ("httpGet", "tcpSocket"):
            port = ((container.get(probe) or {}).get(action) or {}).get("port")
            port = named.get(port) if isinstance(port, str) else port
            if port:
                found.append(int(port))
    return tuple(dict.fromkeys(found))

"""Ingresses and IngressClasses."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.findings import Finding, forbidden, invalid, required
from emulator.api.names import dns1035_label, dns1123_subdomain
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import has_form, items, one_of, parsed_address, port_name_findings, port_number

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_UNCLEAN = ("//", "/./", "/../", "%2f", "%2F")
_LONGEST_CONTROLLER = 250
_PATH: Path = ("spec",)


def ingress_findings(ingress: JsonObject) -> list[Finding]:
    """What is wrong with an Ingress."""
    return list(_ingress(ingress.get("spec") or {}))


def _ingress(spec: JsonObject) -> Iterator[Finding]:
    if spec.get("defaultBackend") is None and not spec.get("rules"):
        yield invalid(_PATH, spec or None, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        yield from _backend(spec["defaultBackend"], (*_PATH, "defaultBackend"))
    if spec.get("ingressClassName"):
        yield from has_form(spec["ingressClassName"], (*_PATH, "ingressClassName"), dns1123_subdomain)
    for rule, path in items(spec, "rules", _PATH):
        yield from _host(rule.get("host"), (*path, "host"))
        http = rule.get("http")
        if http is None:
            continue
        if not http.get("paths"):
            yield required((*path, "http", "paths"))
        for entry, here in items(http, "paths", (*path, "http")):
            yield from _route(entry, here)
    for tls, path in items(spec, "tls", _PATH):
        for index, host in enumerate(tls.get("hosts") or ()):
            yield from _host(host, (*path, "hosts", index))


def _host(host: str | None, path: Path) -> Iterator[Finding]:
    if not host:
        return
    if parsed_address(host) is not None:
        yield invalid(path, host, "must be a DNS name, not an IP address")
        return
    yield from has_form(host.removeprefix("*."), path, dns1123_subdomain)


def _route(entry: JsonObject, path: Path) -> Iterator[Finding]:
    kind, text = entry.get("pathType"), entry.get("path") or ""
    if kind is None:
        yield required((*path, "pathType"), "pathType must be specified")
    yield from one_of(entry, "pathType", _PATH_TYPES, path)
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            yield invalid((*path, "path"), text, "must be an absolute path")
        for unclean in _UNCLEAN:
            if unclean in text:
                yield invalid((*path, "path"), text, f"must not contain '{unclean}'")
    if isinstance(entry.get("backend"), dict):
        yield from _backend(entry["backend"], (*path, "backend"))


def _backend(backend: JsonObject, path: Path) -> Iterator[Finding]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        yield invalid(path, None, "cannot set both resource and service backends")
    elif service is None and resource is None:
        yield required(path, "resource or service backend is required")
    if service is None:
        return
    here = (*path, "service")
    if not service.get("name"):
        yield required((*here, "name"))
    else:
        yield from has_form(service["name"], (*here, "name"), dns1035_label)
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        yield invalid((*here, "port"), None, "cannot set both port name & port number")
    elif not port.get("name") and not port.get("number"):
        yield required((*here, "port"), "port name or number is required")
    yield from port_number(port, "number", (*here, "port"))
    yield from port_name_findings(port.get("name"), (*here, "port", "name"))


def ingress_class_findings(ingress_class: JsonObject) -> list[Finding]:
    """What is wrong with an IngressClass."""
    controller = (ingress_class.get("spec") or {}).get("controller")
    path: Path = (*_PATH, "controller")
    if not controller:
        return [required(path)]
    if len(controller) > _LONGEST_CONTROLLER:
        return [invalid(path, controller, f"must have at most {_LONGEST_CONTROLLER} characters")]
    domain, slash, rest = controller.partition("/")
    if not slash or not rest:
        return [invalid(path, controller, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    if dns1123_subdomain(domain):
        return [forbidden(path, f"{domain!r} is no domain")]
    return []

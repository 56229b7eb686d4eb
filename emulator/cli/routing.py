"""What `describe ingress` tells: addresses, certificates, and the endpoints behind each path."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.cli.digging import dig
from emulator.cli.tables import render
from emulator.scenario.cluster import LiveCluster

_MOST = 3
"""Endpoints shown of a backend, as kubectl shows them."""


def ingress_lines(ingress: JsonObject) -> Iterator[tuple[str, str]]:
    """The head's part, in kubectl's words."""
    entries = dig(ingress, "status", "loadBalancer", "ingress", default=[])
    shown = ", ".join(entry.get("ip") or entry.get("hostname", "") for entry in entries)
    yield "Address", shown
    errors = {port["error"] for entry in entries for port in entry.get("ports") or [] if port.get("error")}
    if errors:
        yield "Errors", ", ".join(sorted(errors))
    yield "Ingress Class", dig(ingress, "spec", "ingressClassName", default="<none>")


def rule_lines(cluster: LiveCluster, ingress: JsonObject) -> Iterator[str]:
    """Certificates and rules, each backend with its endpoints."""
    spec, namespace = ingress.get("spec") or {}, ingress["metadata"].get("namespace", "")
    backends = _Backends(cluster, namespace)
    default = spec.get("defaultBackend")
    yield f"Default backend: {backends.shown(default) if default else '<default>'}"
    if spec.get("tls"):
        yield "TLS:"
        for tls in spec["tls"]:
            hosts = ",".join(tls.get("hosts") or []) or "the certificate's own names"
            yield f"  {tls.get('secretName') or 'the own certificate of the controller'} for {hosts}"
    rows = [
        (rule.get("host") or "*", entry.get("path") or "/", entry.get("pathType", ""), shown)
        for rule in spec.get("rules") or []
        for entry in dig(rule, "http", "paths", default=[])
        if (shown := backends.shown(entry.get("backend") or {}))
    ]
    yield "Rules:"
    table = render(("HOST", "PATH", "TYPE", "BACKEND"), rows)
    yield "\n".join(f"  {line}" for line in table.splitlines()) if rows else "  <none>"


class _Backends:
    """Looks up what stands behind backends."""

    def __init__(self, cluster: LiveCluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._services = {
            service["metadata"]["name"]: service for service in cluster.get("Service", None, namespace)
        }

    def shown(self, backend: JsonObject) -> str:
        """`cart:8080 (10.244.1.3:5678)`."""
        if backend.get("resource"):
            return f"{backend['resource'].get('kind')} {backend['resource'].get('name')} (not supported here)"
        name, port = dig(backend, "service", "name", default=""), dig(backend, "service", "port", default={})
        wanted = port.get("name") or port.get("number")
        if name not in self._services:
            return f'{name}:{wanted} (<error: services "{name}" not found>)'
        found = list(self._endpoints(name, wanted))
        more = f" + {len(found) - _MOST} more..." if len(found) > _MOST else ""
        return f"{name}:{wanted} ({','.join(found[:_MOST])}{more})"

    def _endpoints(self, name: str, wanted: str | int) -> Iterator[str]:
        ports = dig(self._services[name], "spec", "ports", default=[])
        names = {port.get("name") or "" for port in ports if wanted in (port.get("name"), port.get("port"))}
        selector = f"kubernetes.io/service-name={name}"
        for piece in self._cluster.get("EndpointSlice", None, self._namespace, selector):
            for port in piece.get("ports") or []:
                for endpoint in piece.get("endpoints") or []:
                    ready = dig(endpoint, "conditions", "ready", default=True)
                    if (port.get("name") or "") in names and ready:
                        address = endpoint["addresses"][0]
                        literal = f"[{address}]" if ":" in address else address
                        yield f"{literal}:{port.get('port')}"

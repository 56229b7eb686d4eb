"""What `describe service` tells of a Service's own fields, in kubectl's words."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.cli.balancing import balancer_lines
from emulator.cli.columns import selector_text
from emulator.cli.digging import dig

_WHERE_SET = (
    ("Traffic Distribution", "trafficDistribution"),
    ("External Traffic Policy", "externalTrafficPolicy"),
    ("Internal Traffic Policy", "internalTrafficPolicy"),
)


def service_lines(service: JsonObject) -> Iterator[tuple[str, str]]:
    """The head's part; of what not every Service has, only what this one has."""
    spec = service.get("spec") or {}
    yield "Selector", selector_text(spec.get("selector"))
    yield "Type", spec.get("type", "ClusterIP")
    yield "IP Family Policy", spec.get("ipFamilyPolicy", "<none>")
    yield "IP Families", ",".join(spec.get("ipFamilies") or []) or "<none>"
    yield "IP", spec.get("clusterIP", "<none>")
    yield "IPs", ",".join(spec.get("clusterIPs") or []) or "<none>"
    if spec.get("externalIPs"):
        yield "External IPs", ",".join(spec["externalIPs"])
    if spec.get("externalName"):
        yield "External Name", spec["externalName"]
    yield from balancer_lines(service)
    for port in spec.get("ports") or []:
        yield from _port_lines(port)
    yield "Session Affinity", _affinity(spec)
    if spec.get("publishNotReadyAddresses"):
        yield "Publish Not Ready Addresses", "true"
    yield from ((title, spec[field]) for title, field in _WHERE_SET if spec.get(field))


def _port_lines(port: JsonObject) -> Iterator[tuple[str, str]]:
    protocol = port.get("protocol", "TCP")
    name = port.get("name") or "<unset>"
    yield "Port", f"{name}  {port['port']}/{protocol}"
    yield "TargetPort", f"{port.get('targetPort', port['port'])}/{protocol}"
    if port.get("nodePort"):
        yield "NodePort", f"{name}  {port['nodePort']}/{protocol}"
    if port.get("appProtocol"):
        yield "App Protocol", port["appProtocol"]


def _affinity(spec: JsonObject) -> str:
    seconds = dig(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds", default=None)
    kind = str(spec.get("sessionAffinity", "None"))
    return f"{kind} (for {seconds} s without a new connection)" if seconds else kind

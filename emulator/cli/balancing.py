"""What `describe service` tells of its load balancer: addresses, wishes, and which nodes take part."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.cli.digging import dig
from emulator.cli.tables import render
from emulator.scenario.cluster import LiveCluster

_WISHES = (
    ("Desired LoadBalancer IP", "loadBalancerIP"),
    ("LoadBalancer Class", "loadBalancerClass"),
    ("HealthCheck NodePort", "healthCheckNodePort"),
)


def balancer_lines(service: JsonObject) -> Iterator[tuple[str, str]]:
    """The head's part, in kubectl's words; nothing for other types."""
    spec = service.get("spec") or {}
    if spec.get("type") != "LoadBalancer":
        return
    entries = dig(service, "status", "loadBalancer", "ingress", default=[])
    shown = [
        f"{entry.get('ip') or entry.get('hostname', '')} ({entry.get('ipMode', 'VIP')})" for entry in entries
    ]
    yield "LoadBalancer Ingress", ", ".join(shown) or "<pending>"
    for title, field in _WISHES:
        if spec.get(field):
            yield title, str(spec[field])
    if spec.get("loadBalancerSourceRanges"):
        yield "LoadBalancer Source Ranges", ",".join(spec["loadBalancerSourceRanges"])


def target_lines(cluster: LiveCluster, service: JsonObject) -> Iterator[str]:
    """The nodes that the topology's load balancer checks for this Service, and what they answer."""
    metadata = service["metadata"]
    if dig(service, "spec", "type") != "LoadBalancer":
        return
    known: JsonObject = {}
    for topology in cluster.get("Topology"):
        known = dig(topology, "status", "loadBalancer", "targets", default={})
    nodes = known.get(f"{metadata.get('namespace', '')}/{metadata['name']}", {})
    rows = [
        (name, str(bool(node.get("healthy"))).lower(), node.get("check", ""), node.get("message") or " ")
        for name, node in nodes.items()
    ]
    if rows:
        yield "Load Balancer Targets:"
        yield from (
            f"  {line}" for line in render(("NODE", "HEALTHY", "CHECK", "MESSAGE"), rows).splitlines()
        )

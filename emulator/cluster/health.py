"""What kube-proxy says about health: of a Service's endpoints on a node, and of itself.

Sources: pkg/proxy/healthcheck (service_health.go, proxy_health.go) and LocalReadyEndpoints of
pkg/proxy/endpointsmap.go; KEP-1669, KEP-3836.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from emulator.api.objects import JsonObject
from emulator.cluster.state import SERVICE_NAME_LABEL, is_programmed

TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
"""A taint: the node is going to leave, so load balancers should send nothing new to it."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The port at which every node tells how many of a Service's endpoints it has."""

    namespace: str
    service: str
    port: int


def health_checks(services: Iterable[JsonObject]) -> Iterator[HealthCheck]:
    """The health check node ports of all Services that the proxy programs."""
    for service in services:
        number = service["spec"].get("healthCheckNodePort")
        if number and is_programmed(service):
            metadata = service["metadata"]
            yield HealthCheck(metadata["namespace"], metadata["name"], number)


def slices_of(
    checks: Iterable[HealthCheck], slices: Iterable[JsonObject]
) -> Mapping[HealthCheck, Sequence[JsonObject]]:
    """The EndpointSlices of each of the Services."""
    found: dict[HealthCheck, list[JsonObject]] = {check: [] for check in checks}
    by_service = {(check.namespace, check.service): mine for check, mine in found.items()}
    for one in slices:
        metadata = one["metadata"]
        service = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL, "")
        by_service.get((metadata.get("namespace", ""), service), []).append(one)
    return found


def local_endpoints(slices: Iterable[JsonObject], node: str, version: int) -> int:
    """How many endpoints of an IP version on `node` are ready; one that terminates is not, though it serve.

    An endpoint of several slices counts once.
    """
    addresses = {
        endpoint["addresses"][0]
        for found in slices
        if found.get("addressType") == f"IPv{version}"
        for endpoint in found.get("endpoints") or ()
        if endpoint.get("nodeName") == node and (endpoint.get("conditions") or {}).get("ready") is not False
    }
    return len(addresses)


def is_eligible(node: JsonObject | None) -> bool:
    """Whether load balancers may send to the node: it is not being deleted, nor marked for that."""
    if node is None or "deletionTimestamp" in node["metadata"]:
        return False
    return all(taint.get("key") != TO_BE_DELETED for taint in node["spec"].get("taints") or ())

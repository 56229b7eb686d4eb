"""Which endpoints of a service port may serve, seen from one node.

The rules are kube-proxy's (CategorizeEndpoints in pkg/proxy/topology.go; KEP-1669, KEP-2433,
KEP-3015): ready endpoints, or where there is none the serving ones that are terminating;
topology hints thin out the Cluster set and never the Local one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emulator.cluster.model import Endpoint, ServicePort
from emulator.cluster.wiring import NodePlan


@dataclass(frozen=True, slots=True)
class EndpointSets:
    """The endpoints for the traffic policies Cluster and Local, in slice order."""

    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]


def endpoint_sets(port: ServicePort, node: NodePlan, family: int) -> EndpointSets:
    """Both sets of one service port for one IP version."""
    everywhere = _distinct(endpoint for endpoint in port.endpoints if endpoint.address.version == family)
    here = tuple(endpoint for endpoint in everywhere if endpoint.node == node.name)
    ready = tuple(endpoint for endpoint in everywhere if endpoint.ready)
    cluster = _near(ready, node) if ready else _draining(everywhere)
    return EndpointSets(cluster, tuple(e for e in here if e.ready) or _draining(here))


def _draining(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(endpoint for endpoint in endpoints if endpoint.serving and endpoint.terminating)


def _near(ready: tuple[Endpoint, ...], node: NodePlan) -> tuple[Endpoint, ...]:
    """Hints count only when every ready endpoint has them and one of them names this place."""
    if all(endpoint.for_nodes for endpoint in ready):
        same_node = tuple(e for e in ready if node.name in (e.for_nodes or ()))
        if same_node:
            return same_node
    if node.zone and all(endpoint.for_zones for endpoint in ready):
        same_zone = tuple(e for e in ready if node.zone in (e.for_zones or ()))
        if same_zone:
            return same_zone
    return ready


def _distinct(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """One endpoint an (address, port): two slices may name the same one."""
    found: dict[tuple[object, int], Endpoint] = {}
    for endpoint in endpoints:
        found.setdefault((endpoint.address, endpoint.port), endpoint)
    return tuple(found.values())

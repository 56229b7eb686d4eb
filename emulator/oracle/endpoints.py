"""Which endpoints of a service port may serve, seen from one node.

CategorizeEndpoints of kube-proxy (pkg/proxy/topology.go), and KEP-1669 (terminating endpoints), KEP-2433 and
KEP-3015 (hints of zones and nodes).
"""

from __future__ import annotations

from collections.abc import Sequence

from emulator.cluster.model import Endpoint, ServicePort
from emulator.cluster.wiring import NodePlan


def everywhere(port: ServicePort, node: NodePlan, family: int) -> list[Endpoint]:
    """The endpoints for the policy Cluster."""
    known = _of_family(port, family)
    ready = [endpoint for endpoint in known if endpoint.ready]
    return _hinted(ready, node) if ready else _draining(known)


def local(port: ServicePort, node: NodePlan, family: int) -> list[Endpoint]:
    """The endpoints for the policy Local. Hints do not thin them out."""
    here = [endpoint for endpoint in _of_family(port, family) if endpoint.node == node.name]
    return [endpoint for endpoint in here if endpoint.ready] or _draining(here)


def _of_family(port: ServicePort, family: int) -> list[Endpoint]:
    first: dict[tuple[object, int], Endpoint] = {}
    for endpoint in port.endpoints:
        if endpoint.address.version == family:
            first.setdefault((endpoint.address, endpoint.port), endpoint)
    return list(first.values())


def _draining(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    return [endpoint for endpoint in endpoints if endpoint.serving and endpoint.terminating]


def _hinted(ready: list[Endpoint], node: NodePlan) -> list[Endpoint]:
    """Hints are obeyed if each endpoint has some, and one of them speaks of this node, or of its zone."""
    for place, hints in (
        (node.name, [endpoint.for_nodes for endpoint in ready]),
        (node.zone, [endpoint.for_zones for endpoint in ready]),
    ):
        if not place or not all(hints):
            continue
        near = [endpoint for endpoint, names in zip(ready, hints, strict=True) if place in (names or ())]
        if near:
            return near
    return ready

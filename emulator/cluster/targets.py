"""Which nodes a load balancer may use for a Service, how it checks them, and what it found out.

What it found out stands in the Topology's status: it is the network's own knowledge, not a Service's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emulator.api.objects import JsonObject
from emulator.cluster.cloud import held, is_ours
from emulator.cluster.snapshot import Snapshot

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
"""Label of nodes that no load balancer uses, whatever its value (KEP-1143)."""

PROXY_HEALTH_PORT = 10256
"""Where kube-proxy tells of itself: what clouds ask when any node will do (KEP-3836)."""

PATH = "/healthz"

SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, order=True)
class Check:
    """What is asked of a node: GET /healthz, which has to be answered by 200."""

    node: str
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}{PATH}"


Targets = Mapping[tuple[str, str], Mapping[str, Check]]
"""(namespace, name) of a Service → node → how it is checked."""


def targets(snapshot: Snapshot) -> Targets:
    """The nodes that the balancer spreads each Service over as long as they answer."""
    nodes = candidates(snapshot)
    found = {}
    for service in snapshot.all("Service"):
        addresses = held(service)
        if snapshot.wiring.balancer is not None and is_ours(service) and addresses:
            metadata = service["metadata"]
            found[metadata.get("namespace", ""), metadata["name"]] = {
                node: _check(snapshot, service, node, addresses[0].version) for node in nodes
            }
    return found


def candidates(snapshot: Snapshot) -> tuple[str, ...]:
    """The nodes that take part in load balancing. Readiness does not matter, answers do (KEP-3458)."""
    planned = {plan.name for plan in snapshot.wiring.nodes}
    return tuple(
        node["metadata"]["name"]
        for node in snapshot.all("Node")
        if node["metadata"]["name"] in planned
        and EXCLUDED not in (node["metadata"].get("labels") or {})
        and "deletionTimestamp" not in node["metadata"]
    )


def _check(snapshot: Snapshot, service: JsonObject, node: str, family: int) -> Check:
    """Under the policy Local each Service has a port that tells whether the node has endpoints."""
    own = str(next(a.ip for a in snapshot.wiring.node(node).addresses if a.version == family))
    spec = service["spec"]
    local = spec.get("externalTrafficPolicy") == "Local" and spec.get("healthCheckNodePort")
    return Check(node, own, local or PROXY_HEALTH_PORT)


def expected(snapshot: Snapshot) -> Mapping[Check, bool]:
    """What every check ought to say if nothing is broken: under Local, whether the node has endpoints."""
    homes = _homes(snapshot)
    found: dict[Check, bool] = {}
    for name, nodes in targets(snapshot).items():
        for node, check in nodes.items():
            found[check] = check.port == PROXY_HEALTH_PORT or node in homes.get(name, ())
    return found


def _homes(snapshot: Snapshot) -> Mapping[tuple[str, str], set[str]]:
    """The nodes of each Service's ready endpoints."""
    homes: dict[tuple[str, str], set[str]] = {}
    for piece in snapshot.all("EndpointSlice"):
        metadata = piece["metadata"]
        name = (metadata.get("labels") or {}).get(SERVICE_NAME, "")
        for endpoint in piece.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            ready = conditions.get("ready") is not False and not conditions.get("terminating")
            if ready and endpoint.get("nodeName") and piece.get("ports"):
                homes.setdefault((metadata.get("namespace", ""), name), set()).add(endpoint["nodeName"])
    return homes


# -- what was found out ----------------------------------------------------------------------------


def recorded(topology: JsonObject | None) -> Mapping[str, Mapping[str, JsonObject]]:
    """`namespace/name` of a Service → node → `{healthy, message}`, from the Topology's status."""
    found: Mapping[str, Mapping[str, JsonObject]] = (
        ((topology or {}).get("status") or {}).get("loadBalancer") or {}
    ).get("targets") or {}
    return found


def healthy_nodes(snapshot: Snapshot) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The nodes that get new connections of each balanced Service."""
    known = recorded(next(iter(snapshot.all("Topology")), None))
    present = candidates(snapshot)
    return {
        name: tuple(node for node in present if known.get("/".join(name), {}).get(node, {}).get("healthy"))
        for name in targets(snapshot)
    }

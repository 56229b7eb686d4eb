"""Positive controls: what must be answered for a silence to mean anything.

An expected drop is a claim about the network, but a dead prober, a pod whose cable is cut and
a target that died are silent too. So every expected drop is followed by probes that nothing the
scenario may legitimately do can silence. They are chosen so that no NetworkPolicy forbids them
(a node may always reach its own pods; nothing cuts a pod off from itself; replies to an allowed
connection always pass), and they leave exactly one suspect: the path that was claimed.

1. *source → itself*, ICMP echo: the prober can send and hear in that network namespace.
2. *the source's cable*: its own node → a pod; another node → a node; another outside host → an
   outside host. An echo that comes back used the cable in both directions.
3. *target pod*: its own node → the pod on the claimed port. A refusal will do: it shows that the
   pod is there and that the silence is not its own.

When a control stays unanswered the verdict is an error, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.errors import ApiError
from emulator.cluster.places import WORKLOADS, Place, PlaceKind, parse_place
from emulator.scenario.cluster import LiveCluster
from emulator.scenario.model import Control, ProbeCheck

_ANSWERED = ("connected", "rejected")


def controls_of(check: ProbeCheck, cluster: LiveCluster) -> tuple[Control, ...]:
    """The controls of an expected drop, the author's own before the engine's choice."""
    if check.controls is not None:
        return check.controls
    source, target = parse_place(check.source), parse_place(check.target)
    return (
        Control(check.source, check.source, "icmp", "the prober lives"),
        *_cable(source, cluster),
        *_target(target, check.port, cluster),
    )


def _cable(source: Place, cluster: LiveCluster) -> Iterator[Control]:
    match source.kind:
        case PlaceKind.NODE:
            others = [f"node/{node['metadata']['name']}" for node in cluster.get("Node")]
            yield from _from_another(source, others)
        case PlaceKind.EXTERNAL:
            others = [f"ext/{name}" for name in _external(cluster)]
            yield from _from_another(source, others)
        case PlaceKind.POD:
            node = _node_of(source, cluster)
            if node:
                yield Control(node, str(source), "icmp", "the source's cable works both ways")


def _from_another(source: Place, others: list[str]) -> Iterator[Control]:
    other = next((one for one in others if one != str(source)), None)
    if other:
        yield Control(other, str(source), "icmp", "the source's cable works both ways")


def _target(target: Place, port: str | None, cluster: LiveCluster) -> Iterator[Control]:
    if target.kind is not PlaceKind.POD:
        return
    node = _node_of(target, cluster)
    if node:
        yield Control(node, str(target), port or "icmp", "the target answers for itself", _ANSWERED)


def _node_of(place: Place, cluster: LiveCluster) -> str | None:
    if place.kind in WORKLOADS:
        return None
    try:
        pod = cluster.get("Pod", place.name, place.namespace)
    except ApiError:
        return None
    node = (pod.get("spec") or {}).get("nodeName")
    return f"node/{node}" if node else None


def _external(cluster: LiveCluster) -> list[str]:
    return [
        host["name"]
        for topology in cluster.get("Topology")
        for host in topology["spec"].get("external") or []
    ]

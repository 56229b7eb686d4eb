"""Sentences for the flows that decide: which Service, which endpoint, which policy, which node.

A flow is known by its stage and the name that its author gave it. What is not told here is told by that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from controllers.pipeline.flow import Flow
from controllers.pipeline.tables import (
    EGRESS_DEFAULT_RULE,
    INGRESS_DEFAULT_RULE,
    L3_FORWARDING,
    SERVICE_ENDPOINT,
    SERVICE_FRONTEND,
    SERVICE_LB,
    SPOOF_GUARD,
)
from emulator.cluster.model import Ref
from emulator.verdict.trace.atlas import Atlas, Entry
from emulator.verdict.trace.model import Weight
from emulator.verdict.trace.packet import Packet, with_port
from emulator.verdict.trace.text import Part, Step

_WAYS = re.compile(r"multipath\([^,]+,\d+,[^,]+,(\d+),")
_NETWORK = re.compile(r"(?:nw|ipv6)_dst=([^,]+)")
_FRONTENDS = {
    "cluster-ip": "the cluster IP",
    "node-port": "a node port",
    "external-ip": "an external IP",
    "load-balancer": "the load balancer's address",
    "allowed-source": "the load balancer's address",
    "host-port": "a host port",
}
_ALLOWING = {"allowed", "allowed-by-a-rule"}


@dataclass(frozen=True, slots=True)
class Scene:
    """What the packet was before and after one pass, and how the last pass ends."""

    before: Packet
    after: Packet
    last: Part


@dataclass(frozen=True, slots=True)
class Told:
    """What people read of a flow; empty and None where there is nothing better than its name."""

    words: str = ""
    weight: Weight | None = None


def sentence(atlas: Atlas, entry: Entry, flow: Flow, step: Step, scene: Scene) -> Told | None:
    """What happened, in people's words."""
    stage, name, owner = flow.stage, flow.name, flow.owner
    if stage is SPOOF_GUARD and name == "own-address":
        return Told(f"source is {place_of(owner)}'s own address")
    if stage is SERVICE_FRONTEND:
        return _frontend(name, owner, scene.before)
    if stage is SERVICE_LB and name in ("choose-endpoint", "choose-node"):
        return _choice(atlas, owner, step, scene.after)
    if stage is SERVICE_LB and name == "no-endpoints":
        return Told(f"{place_of(owner)} has no endpoint")
    if stage is SERVICE_ENDPOINT:
        return Told(weight=Weight.PASS)
    if name in _ALLOWING and owner.kind.endswith("NetworkPolicy"):
        return Told(f"allowed by {place_of(owner)}")
    if stage in (EGRESS_DEFAULT_RULE, INGRESS_DEFAULT_RULE):
        return _isolation(atlas, entry, flow, scene)
    if stage is L3_FORWARDING:
        return _route(flow, step)
    return None


def ways(actions: Sequence[str]) -> int:
    """Among how many a flow chooses by a hash; 0 where it does not."""
    found = _WAYS.search(", ".join(actions))
    return int(found[1]) if found else 0


def place_of(owner: Ref) -> str:
    """`svc/shop/db`, `shop/web`, `worker-1`, as people name it."""
    name = f"{owner.namespace}/{owner.name}" if owner.namespace else owner.name
    return f"svc/{name}" if owner.kind == "Service" else name


def _frontend(name: str, owner: Ref, packet: Packet) -> Told | None:
    known = next((words for start, words in _FRONTENDS.items() if name.startswith(start)), None)
    if known is None:
        return None
    address = with_port(packet.destination, packet.destination_port)
    return Told(f"{address}/{packet.protocol} is {known} of {place_of(owner)}")


def _choice(atlas: Atlas, owner: Ref, step: Step, packet: Packet) -> Told | None:
    there_are, place = ways(step.actions), atlas.place_at(packet.destination)
    if not there_are or place is None:
        return None
    many = "1 endpoint" if there_are == 1 else f"{there_are} endpoints to choose from"
    return Told(f"{place_of(owner)} has {many}; this one: {place}")


def _isolation(atlas: Atlas, entry: Entry, flow: Flow, scene: Scene) -> Told | None:
    is_egress = flow.stage is EGRESS_DEFAULT_RULE
    side = "egress" if is_egress else "ingress"
    if flow.name.startswith("isolated"):
        place = (
            atlas.pod_place(entry.bridge, entry.ofport)
            if is_egress
            else atlas.place_at(scene.after.destination)
        )
        others = flow.name.removeprefix("isolated").removeprefix("-by-")
        more = f" and {int(others) - 1} more" if others else ""
        who = place or "the pod"
        return Told(f"{who} is isolated for {side} by {place_of(flow.owner)}{more}; no rule allows this")
    ofport = entry.ofport if is_egress else next(iter(scene.last.outputs), 0)
    pod = atlas.pod_place(entry.bridge, ofport)
    return Told(f"no policy isolates {pod} for {side}", Weight.NOTE) if pod else None


def _route(flow: Flow, step: Step) -> Told | None:
    if flow.name == "to-pods-of-node":
        network = _NETWORK.search(step.match)
        return Told(f"{network[1]} is on {place_of(flow.owner)}") if network else None
    return Told(f"{place_of(flow.owner)} is here") if flow.name == "to-pod" else None

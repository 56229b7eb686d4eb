"""Where a packet entered a node's bridge, and what needs no further thought.

VXLAN is made and unmade by the node's own stack: packets between nodes' stacks cross the
bridge untouched, and nobody else's are let in. ARP and neighbour discovery between the stack
and the fabric are bridged.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Goto, Output, load
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, icmp, match, src, to_port
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import SOURCE, Source
from controllers.pipeline.tables import CLASSIFIER, SPOOF_GUARD, TTL_GUARD
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Protocol
from emulator.cluster.wiring import HOST_OFPORT, TUNNEL_OFPORT, UPLINK_OFPORT

VXLAN_PORT = 4789
NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT = 135, 136
_ACROSS = ((UPLINK_OFPORT, HOST_OFPORT), (HOST_OFPORT, UPLINK_OFPORT))


def flows(view: NodeView) -> Iterator[Flow]:
    """The Classifier of a node's bridge."""
    if view.overlay:
        yield from _tunnel_packets(view)
    yield from _neighbour_discovery(view)
    for ofport, source in _sources(view):
        actions = (load(SOURCE, source), Goto(TTL_GUARD))
        yield Flow(
            CLASSIFIER, 100, match(f.IN_PORT(ofport)), actions, PIPELINE, f"from-{source.name.lower()}"
        )
    from_pod = (load(SOURCE, Source.POD), Goto(SPOOF_GUARD))
    yield Flow(CLASSIFIER, 0, match(), from_pod, PIPELINE, "from-pod")


def _sources(view: NodeView) -> Iterator[tuple[int, Source]]:
    yield UPLINK_OFPORT, Source.UPLINK
    yield HOST_OFPORT, Source.HOST
    if view.overlay:
        yield TUNNEL_OFPORT, Source.TUNNEL


def _tunnel_packets(view: NodeView) -> Iterator[Flow]:
    """VXLAN runs between node addresses of the primary family; `SpoofGuard` keeps pods from forging it."""
    family = view.families[0]
    own = view.node_address(family)
    vxlan = to_port(family, Protocol.UDP, VXLAN_PORT)
    for peer in view.peers:
        other = next(a.ip for a in peer.addresses if a.version == family)
        inward = match(f.IN_PORT(UPLINK_OFPORT), vxlan, src(other), dst(own))
        outward = match(f.IN_PORT(HOST_OFPORT), vxlan, src(own), dst(other))
        yield Flow(CLASSIFIER, 400, inward, (Output(HOST_OFPORT),), view.ref, f"vxlan-from-{peer.name}")
        yield Flow(CLASSIFIER, 400, outward, (Output(UPLINK_OFPORT),), view.ref, f"vxlan-to-{peer.name}")
    yield Flow(CLASSIFIER, 390, match(vxlan, dst(own)), (), view.ref, "forged-vxlan")


def _neighbour_discovery(view: NodeView) -> Iterator[Flow]:
    for entry, other in _ACROSS:
        arp = match(f.IN_PORT(entry), f.ETH_TYPE(0x0806))
        yield Flow(CLASSIFIER, 300, arp, (Output(other),), PIPELINE, "arp-of-the-node")
        if 6 in view.families:
            for kind in (NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT):
                condition = match(f.IN_PORT(entry), icmp(6, kind))
                yield Flow(CLASSIFIER, 300, condition, (Output(other),), PIPELINE, "nd-of-the-node")

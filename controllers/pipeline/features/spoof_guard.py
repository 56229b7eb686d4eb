"""A pod speaks with its own MAC and IP addresses or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Goto
from controllers.pipeline.features.classifier import NEIGHBOR_SOLICITATION, VXLAN_PORT
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import arp, dst, icmp, match, src, to_port
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.tables import ARP_RESPONDER, SPOOF_GUARD, TTL_GUARD
from controllers.pipeline.view import NodeView, networks_of
from emulator.cluster.model import Pod, Protocol
from emulator.cluster.wiring import PodPort


def flows(view: NodeView) -> Iterator[Flow]:
    """What no pod may send."""
    if view.overlay:
        family = view.families[0]
        for network in networks_of(view.wiring.node_cidrs, family):
            forged = match(to_port(family, Protocol.UDP, VXLAN_PORT), dst(network))
            yield Flow(SPOOF_GUARD, 300, forged, (), PIPELINE, "forged-vxlan")
    yield Flow(SPOOF_GUARD, 0, match(), (), PIPELINE, "spoofed")


def pod_flows(_view: NodeView, pod: Pod, port: PodPort) -> Iterator[Flow]:
    """What one pod may send."""
    sender = (f.IN_PORT(port.ofport), f.ETH_SRC(port.mac))
    for interface in port.addresses:
        own = interface.ip
        packet = match(sender, src(own))
        yield Flow(SPOOF_GUARD, 200, packet, (Goto(TTL_GUARD),), pod.ref, "own-address")
        if own.version == 4:
            question = match(sender, arp(1), f.ARP_SHA(port.mac), f.ARP_SPA(own))
        else:
            question = match(sender, src(own), icmp(6, NEIGHBOR_SOLICITATION))
        yield Flow(SPOOF_GUARD, 210, question, (Goto(ARP_RESPONDER),), pod.ref, "own-address-asks")

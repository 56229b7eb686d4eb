"""ARP and neighbour discovery, answered by the switch itself.

An answer is the question turned round: the switch swaps the addresses, writes its own MAC
address and sends the packet back. It needs no controller, so neighbours stay resolved while
the controller restarts.

A pod's gateway answers for every address of the node's pod range, because all of a pod's
packets are routed. For IPv6 the answer takes two stages: the option that carries the MAC
address becomes writable only once the packet is an advertisement.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Goto, InPort, move, write
from controllers.pipeline.features.classifier import NEIGHBOR_ADVERTISEMENT as ADVERTISEMENT
from controllers.pipeline.features.classifier import NEIGHBOR_SOLICITATION as SOLICITATION
from controllers.pipeline.fields import Term
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import arp, icmp, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import SEGMENT, SWAP_IPV4
from controllers.pipeline.tables import ARP_RESPONDER, L2_FORWARDING, NEIGHBOR_ADVERTISEMENT
from controllers.pipeline.view import NodeView, RouterView
from emulator.cluster.model import Ref
from emulator.cluster.wiring import IPAddress, IPNetwork

TARGET_LINK_LAYER_ADDRESS = 2
ROUTER_SOLICITED_OVERRIDE = 0xE0000000
"""Flags of an advertisement (RFC 4861, 4.4)."""


def node_flows(view: NodeView) -> Iterator[Flow]:
    """A pod's gateway answers; requests from the node's stack never come here."""
    for network in view.node.pod_cidrs:
        yield _answer(network, (), view.node.gateway_mac, view.ref)
    if 6 in view.families:
        yield _advertise(view.node.gateway_mac, view.ref)
    yield Flow(ARP_RESPONDER, 0, match(), (), PIPELINE, "nobody-to-ask")


def router_flows(view: RouterView) -> Iterator[Flow]:
    """A router answers for its gateway addresses; other questions are the subnet's own affair."""
    for segment in view.segments:
        for gateway in segment.gateways:
            yield _answer(gateway.ip, (SEGMENT(segment.number),), view.mac, view.ref)
    if 6 in view.families:
        yield _advertise(view.mac, view.ref)
    yield Flow(ARP_RESPONDER, 0, match(), (Goto(L2_FORWARDING),), PIPELINE, "neighbours-answer")


def _answer(target: IPAddress | IPNetwork, where: tuple[Term, ...], mac: str, owner: Ref) -> Flow:
    turned = (move(f.ETH_SRC, f.ETH_DST), write(f.ETH_SRC, mac))
    if target.version == 4:
        question = match(where, arp(1), f.ARP_TPA(target))
        return Flow(ARP_RESPONDER, 200, question, (*turned, *_arp_reply(mac)), owner, "arp-reply")
    question = match(where, icmp(6, SOLICITATION), f.ND_TARGET(target))
    actions = (
        *turned,
        move(f.IPV6_SRC, f.IPV6_DST),
        move(f.ND_TARGET, f.IPV6_SRC),
        write(f.ICMPV6_TYPE, ADVERTISEMENT),
        Goto(NEIGHBOR_ADVERTISEMENT),
    )
    return Flow(ARP_RESPONDER, 200, question, actions, owner, "neighbor-advertisement")


def _arp_reply(mac: str) -> tuple[Action, ...]:
    return (
        write(f.ARP_OP, 2),
        move(f.ARP_SHA, f.ARP_THA),
        write(f.ARP_SHA, mac),
        move(f.ARP_TPA.part(0, 31), SWAP_IPV4),
        move(f.ARP_SPA, f.ARP_TPA),
        move(SWAP_IPV4, f.ARP_SPA),
        InPort(),
    )


def _advertise(mac: str, owner: Ref) -> Flow:
    actions = (
        write(f.ND_RESERVED, ROUTER_SOLICITED_OVERRIDE),
        write(f.ND_OPTIONS_TYPE, TARGET_LINK_LAYER_ADDRESS),
        write(f.ND_TLL, mac),
        InPort(),
    )
    return Flow(
        NEIGHBOR_ADVERTISEMENT, 200, match(icmp(6, ADVERTISEMENT)), actions, owner, "link-layer-address"
    )

"""A router's own affairs: the frames of its subnets, and packets to its own addresses.

Inside a subnet a router is a switch: hosts find each other by ARP or neighbour discovery,
which reach all of them, and frames go by MAC address. Only frames addressed to the router's
MAC address are routed. Pings to the router are answered by the switch; what else is sent to
it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Goto, InPort, Output, load, move, punt, write
from controllers.pipeline.features.classifier import NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, icmp, ip, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import SEGMENT, SWAP_IPV4, SWAP_IPV6, SWAP_MAC, Punt
from controllers.pipeline.tables import ARP_RESPONDER, CLASSIFIER, L2_FORWARDING, LOCAL_DELIVERY, TTL_GUARD
from controllers.pipeline.view import RouterView, Segment
from emulator.cluster.wiring import IPAddress

ECHO_REQUEST = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}
ECHO_TTL = 64


def flows(view: RouterView) -> Iterator[Flow]:
    """Classifier, L2Forwarding and LocalDelivery of a router's bridge."""
    for segment in view.segments:
        yield from _entries(segment)
        yield from _switching(view, segment)
    for family in view.families:
        routed = match(ip(family), f.ETH_DST(view.mac))
        yield Flow(CLASSIFIER, 200, routed, (Goto(LOCAL_DELIVERY),), PIPELINE, "to-be-routed")
    yield Flow(CLASSIFIER, 0, match(), (), PIPELINE, "not-for-this-router")
    yield Flow(L2_FORWARDING, 0, match(), (), PIPELINE, "no-such-neighbour")
    for address in view.own_addresses:
        yield from _own_address(view, address)
    yield Flow(LOCAL_DELIVERY, 0, match(), (Goto(TTL_GUARD),), PIPELINE, "to-be-routed")


def _entries(segment: Segment) -> Iterator[Flow]:
    for port in segment.ports:
        noted = load(SEGMENT, segment.number)
        entry = f.IN_PORT(port.ofport)
        ask = (noted, Goto(ARP_RESPONDER))
        switched = (noted, Goto(L2_FORWARDING))
        yield Flow(CLASSIFIER, 300, match(entry, f.ETH_TYPE(0x0806)), ask, PIPELINE, "arp")
        if any(gateway.version == 6 for gateway in segment.gateways):
            solicitation = match(entry, icmp(6, NEIGHBOR_SOLICITATION))
            advertisement = match(entry, icmp(6, NEIGHBOR_ADVERTISEMENT))
            yield Flow(CLASSIFIER, 300, solicitation, ask, PIPELINE, "neighbor-solicitation")
            yield Flow(CLASSIFIER, 300, advertisement, switched, PIPELINE, "neighbor-advertisement")
        yield Flow(CLASSIFIER, 100, match(entry), switched, PIPELINE, "within-the-subnet")


def _switching(view: RouterView, segment: Segment) -> Iterator[Flow]:
    here = SEGMENT(segment.number)
    for port in segment.ports:
        frame = match(here, f.ETH_DST(port.peer_mac))
        yield Flow(L2_FORWARDING, 200, frame, (Output(port.ofport),), view.ref, "to-neighbour")
    everyone = tuple(Output(port.ofport) for port in segment.ports)
    group = f.ETH_DST(0x010000000000, 0x010000000000)
    questions = [match(here, f.ETH_TYPE(0x0806), group)]
    if any(gateway.version == 6 for gateway in segment.gateways):
        questions += [
            match(here, icmp(6, kind), group) for kind in (NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT)
        ]
    for question in questions:
        yield Flow(L2_FORWARDING, 100, question, everyone, view.ref, "ask-everyone")


def _own_address(view: RouterView, address: IPAddress) -> Iterator[Flow]:
    family = address.version
    kind = f.ICMP_TYPE if family == 4 else f.ICMPV6_TYPE
    echo = match(dst(address), icmp(family, ECHO_REQUEST[family]))
    back = (*_turn_round(family), write(kind, ECHO_REPLY[family]), write(f.NW_TTL, ECHO_TTL), InPort())
    yield Flow(LOCAL_DELIVERY, 300, echo, back, view.ref, "echo-reply")
    control = match(dst(address), f.IP_PROTO(1 if family == 4 else 58))
    yield Flow(LOCAL_DELIVERY, 290, control, (), view.ref, "control-message")
    refused = punt(Punt.PORT_UNREACHABLE)
    yield Flow(LOCAL_DELIVERY, 280, match(dst(address)), refused, view.ref, "no-listener")


def _turn_round(family: int) -> tuple[Action, ...]:
    source, destination = (f.IPV4_SRC, f.IPV4_DST) if family == 4 else (f.IPV6_SRC, f.IPV6_DST)
    swap = SWAP_IPV4 if family == 4 else SWAP_IPV6
    addresses = (move(destination, swap), move(source, destination), move(swap, source))
    macs = (move(f.ETH_DST, SWAP_MAC), move(f.ETH_SRC, f.ETH_DST), move(SWAP_MAC, f.ETH_SRC))
    return (*addresses, *macs)

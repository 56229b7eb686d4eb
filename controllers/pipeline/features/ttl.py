"""TTL and hop limit: checked before anything is translated, decremented after the route is found.

The guard comes first because an ICMP error quotes the packet that caused it, and its sender
must recognise it: before translation it is still as it was sent. What the node's stack sends
or receives is not routed by the bridge, so its TTL is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network

from controllers.pipeline import fields as f
from controllers.pipeline.actions import DecTtl, Goto, punt
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, ip, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import OUT_PORT, SOURCE, Punt, Source
from controllers.pipeline.tables import ADMIN_INGRESS, L3_DEC_TTL, TTL_GUARD, UN_SNAT, Stage
from controllers.pipeline.view import NodeView
from emulator.cluster.wiring import HOST_OFPORT

MULTICAST = (IPv4Network("224.0.0.0/3"), IPv6Network("ff00::/8"))
"""Multicast, reserved and broadcast destinations: no node forwards them."""


def node_flows(view: NodeView) -> Iterator[Flow]:
    """TTLGuard and L3DecTTL of a node's bridge."""
    onward = (Goto(UN_SNAT),)
    for network in MULTICAST:
        if network.version in view.families:
            yield Flow(TTL_GUARD, 400, match(dst(network)), (), PIPELINE, "multicast")
    yield Flow(TTL_GUARD, 320, match(SOURCE(Source.HOST)), onward, PIPELINE, "from-the-stack")
    for family in view.families:
        for address in view.addresses(family):
            yield Flow(TTL_GUARD, 300, match(dst(address)), onward, view.ref, "to-the-node")
    yield from expiry(view.families)
    yield Flow(TTL_GUARD, 0, match(), onward, PIPELINE, "ttl-left")

    routed = (Goto(ADMIN_INGRESS),)
    yield Flow(L3_DEC_TTL, 220, match(SOURCE(Source.HOST)), routed, PIPELINE, "from-the-stack")
    yield Flow(L3_DEC_TTL, 210, match(OUT_PORT(HOST_OFPORT)), routed, PIPELINE, "to-the-stack")
    yield from decrement(view.families, ADMIN_INGRESS)


def expiry(families: Iterable[int]) -> Iterator[Flow]:
    """Packets that may not be forwarded once more: the controller tells the sender."""
    for family in families:
        for ttl in (0, 1):
            last = match(ip(family), f.NW_TTL(ttl))
            yield Flow(TTL_GUARD, 200, last, punt(Punt.TIME_EXCEEDED), PIPELINE, "time-exceeded")


def decrement(families: Iterable[int], following: Stage) -> Iterator[Flow]:
    """One hop less to go."""
    for family in families:
        yield Flow(L3_DEC_TTL, 100, match(ip(family)), (DecTtl(), Goto(following)), PIPELINE, "one-hop")

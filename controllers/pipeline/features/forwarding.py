"""The routes of a node: its own pods, its stack, the other nodes, the world."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Goto, load, write
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, ip, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import MARK_SERVICE, OUT_PORT, SOURCE, Source
from controllers.pipeline.tables import L3_DEC_TTL, L3_FORWARDING
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Pod, Ref
from emulator.cluster.wiring import HOST_OFPORT, TUNNEL_OFPORT, UPLINK_OFPORT, NodePlan, PodPort


def flows(view: NodeView) -> Iterator[Flow]:
    """The routes that do not depend on pods."""
    for network in view.node.pod_cidrs:
        yield Flow(L3_FORWARDING, 250, match(dst(network)), (), view.ref, "no-such-pod")
    yield from _stack(view)
    yield from _tunnel_ends(view)
    for peer in view.peers:
        yield from _peer(view, peer)
    yield from _nowhere(view)
    yield from _world(view)


def pod_flows(view: NodeView, pod: Pod, port: PodPort) -> Iterator[Flow]:
    """The route to one of the node's pods."""
    way = via(port.ofport, view.node.gateway_mac, port.mac)
    for interface in port.addresses:
        yield Flow(L3_FORWARDING, 300, match(dst(interface.ip)), way, pod.ref, "to-pod")


def via(ofport: int, source: str, destination: str) -> tuple[Action, ...]:
    """Out of a port, from one MAC address to another."""
    addresses = (write(f.ETH_SRC, source), write(f.ETH_DST, destination))
    return (*addresses, load(OUT_PORT, ofport), Goto(L3_DEC_TTL))


def _stack(view: NodeView) -> Iterator[Flow]:
    way = via(HOST_OFPORT, view.node.gateway_mac, view.node.mac)
    as_it_is = (load(OUT_PORT, HOST_OFPORT), Goto(L3_DEC_TTL))
    for family in view.families:
        for address in view.addresses(family):
            from_fabric = match(SOURCE(Source.UPLINK), dst(address))
            yield Flow(L3_FORWARDING, 310, from_fabric, as_it_is, view.ref, "fabric-to-the-node")
            yield Flow(L3_FORWARDING, 300, match(dst(address)), way, view.ref, "to-the-node")


def _tunnel_ends(view: NodeView) -> Iterator[Flow]:
    """What came out of the tunnel does not go into it again: it would travel in circles.

    What a Service of this node sends elsewhere may: it came for a NodePort at the pods' gateway.
    """
    if view.overlay:
        for network in view.wiring.pod_cidrs:
            circling = match(SOURCE(Source.TUNNEL), MARK_SERVICE(0), dst(network))
            yield Flow(L3_FORWARDING, 240, circling, (), PIPELINE, "not-for-this-node")


def _peer(view: NodeView, peer: NodePlan) -> Iterator[Flow]:
    """Another node's pods and addresses: through the tunnel, straight, or by way of the gateway."""
    owner = Ref("Node", "", peer.name)
    same_subnet = peer.subnet == view.node.subnet
    next_mac = peer.mac if same_subnet else view.node.default_gateway_mac
    straight = via(UPLINK_OFPORT, view.node.mac, next_mac)
    tunnelled = via(TUNNEL_OFPORT, view.node.vtep_mac, peer.vtep_mac)
    for network in peer.pod_cidrs:
        way = tunnelled if view.overlay else straight
        yield Flow(L3_FORWARDING, 200, match(dst(network)), way, owner, "to-pods-of-node")
    if same_subnet:
        for interface in peer.addresses:
            yield Flow(L3_FORWARDING, 200, match(dst(interface.ip)), straight, owner, "to-node")


def _nowhere(view: NodeView) -> Iterator[Flow]:
    """Cluster addresses that nobody has go nowhere, instead of out to the world."""
    for network in view.wiring.pod_cidrs:
        yield Flow(L3_FORWARDING, 150, match(dst(network)), (), PIPELINE, "no-such-node")
    for network in view.wiring.service_cidrs:
        yield Flow(L3_FORWARDING, 150, match(dst(network)), (), PIPELINE, "no-such-service-port")
    # The fabric sends these to the nodes: sent back, they would travel in circles (Calico drops them, too).
    for network in view.wiring.advertising.ranges if view.wiring.advertising else ():
        if network not in view.wiring.service_cidrs:
            yield Flow(L3_FORWARDING, 150, match(dst(network)), (), PIPELINE, "no-such-service-port")


def _world(view: NodeView) -> Iterator[Flow]:
    way = via(UPLINK_OFPORT, view.node.mac, view.node.default_gateway_mac)
    as_it_is = (load(OUT_PORT, UPLINK_OFPORT), Goto(L3_DEC_TTL))
    for family in view.families:
        # The stack has resolved its next hop itself.
        from_stack = match(ip(family), SOURCE(Source.HOST))
        yield Flow(L3_FORWARDING, 110, from_stack, as_it_is, view.ref, "stack-to-fabric")
        yield Flow(L3_FORWARDING, 100, match(ip(family)), way, view.ref, "to-the-fabric")

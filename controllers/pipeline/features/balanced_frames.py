"""How a fabric carries what the load balancer passes on as it is (mode `vip`), both ways.

Towards the node the frame has the node's MAC address, and every router on the way goes by that: the
IP address is the Service's and leads to the balancer. Back, packets *from* an address of the pool
go to the balancer, whatever their destination: it knows the connection. Which way that is follows
from the routes to the pool; what comes from there is on its way to a client and routed as usual.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Goto, Output, load, write
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, match, src
from controllers.pipeline.registers import OUT_PORT
from controllers.pipeline.tables import CLASSIFIER, L3_DEC_TTL, L3_FORWARDING
from controllers.pipeline.view import RouterView
from emulator.cluster.wiring import IPNetwork, NextHop


def flows(view: RouterView) -> Iterator[Flow]:
    """Classifier and L3Forwarding of a router inside; nothing where there is no load balancer."""
    balancer = view.wiring.balancer
    for network in balancer.pool if balancer else ():
        for node in view.wiring.nodes:
            ofport = view.towards(node, network.version)
            if ofport is not None:
                for_node = match(f.ETH_DST(node.mac), dst(network))
                # Whom the node answers directly, as with ICMP errors, is its gateway.
                onward = (write(f.ETH_SRC, view.mac), Output(ofport))
                yield Flow(CLASSIFIER, 250, for_node, onward, view.ref, "balanced-to-node")
        way_back = _way_back(view, network)
        if way_back is None:
            continue
        addresses = (write(f.ETH_SRC, view.mac), write(f.ETH_DST, way_back.mac))
        back = (*addresses, load(OUT_PORT, way_back.ofport), Goto(L3_DEC_TTL))
        for port in view.bridge.ports:
            if port.ofport != way_back.ofport:
                answer = match(f.IN_PORT(port.ofport), src(network))
                yield Flow(L3_FORWARDING, 300, answer, back, view.ref, "answer-to-balancer")


def _way_back(view: RouterView, network: IPNetwork) -> NextHop | None:
    return next((route.next_hops[0] for route in view.bridge.routes if route.destination == network), None)

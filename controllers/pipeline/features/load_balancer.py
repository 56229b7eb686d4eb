"""The cloud's load balancer: connections to a Service's address are spread over healthy nodes.

Two modes (KEP-1860). VIP: the packet goes on as it is, by the MAC address of the node alone, as a
cloud's network delivers by more than the IP address; what the node answers comes back here by the
source address (`balanced_frames`). Proxy: the destination becomes a node port of the node, the
source an address of the balancer, so the answer comes by itself.

A connection keeps the node that it was given: its number stands in the connection's mark. Two
zones, as on a node: MAIN knows connections as clients see them, SNAT as nodes do. The balancer's
own stack, which checks nodes, passes both, so that no proxied connection gets a port that it uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controllers.pipeline import fields as f
from controllers.pipeline.actions import (
    Action,
    Ct,
    Goto,
    HashBy,
    Load,
    Move,
    Multipath,
    Nat,
    OutputTo,
    load,
    move,
    write,
)
from controllers.pipeline.features.routing import routes
from controllers.pipeline.fields import ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, ip, match, src, to_port, transport
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import (
    ENDPOINT_SLOT,
    FLAGS,
    MARK_FLAGS,
    MARK_MASQUERADE,
    MARK_SERVICE,
    MARK_TARGET,
    MASQUERADE,
    OUT_PORT,
    SERVICE,
    TARGET,
)
from controllers.pipeline.tables import (
    CONNTRACK_COMMIT,
    CONNTRACK_STATE,
    CONNTRACK_ZONE,
    ENDPOINT_DNAT,
    L3_DEC_TTL,
    L3_FORWARDING,
    OUTPUT,
    SERVICE_ENDPOINT,
    SERVICE_FRONTEND,
    SERVICE_LB,
    SNAT,
    UN_SNAT,
)
from controllers.pipeline.view import BalancerView, networks_of, of_family
from emulator.cluster.model import LoadBalancerAddress, Service, ServicePort
from emulator.cluster.wiring import IPAddress, NodePlan

PORTS = (1024, 65535)
"""Source ports of proxied connections."""

_NEW = ct_state("+trk+new")
_MARKS: tuple[Move, ...] = (move(FLAGS, MARK_FLAGS),)


def flows(view: BalancerView) -> Iterator[Flow]:
    """What the balancer does whatever the Services are."""
    yield from routes(view, UN_SNAT, CONNTRACK_COMMIT)
    for family in view.families:
        yield from _lookups(view, family)
        yield from _source_translation(view, family)
        yield from _to_targets(view, family)
    yield Flow(UN_SNAT, 0, match(), (Goto(CONNTRACK_ZONE),), PIPELINE, "not-to-the-balancer")
    yield Flow(CONNTRACK_STATE, 300, match(ct_state("+trk+inv")), (), PIPELINE, "invalid")
    # As on a node: a first packet sent again is still new, and belongs to the node that it was given.
    again = (move(MARK_FLAGS, FLAGS), Goto(L3_FORWARDING))
    translated = match(_NEW, MARK_SERVICE(1))
    yield Flow(CONNTRACK_STATE, 200, translated, again, PIPELINE, "retransmitted-first-packet")
    yield Flow(CONNTRACK_STATE, 0, match(), (Goto(L3_FORWARDING),), PIPELINE, "route")
    yield Flow(SERVICE_FRONTEND, 0, match(), (), PIPELINE, "no-such-service")
    yield Flow(CONNTRACK_COMMIT, 300, translated, (Goto(SNAT),), PIPELINE, "committed-by-service")
    yield Flow(CONNTRACK_COMMIT, 0, match(), (Goto(SNAT),), PIPELINE, "known-connection")
    yield Flow(SNAT, 0, match(), (Goto(OUTPUT),), PIPELINE, "as-it-is")
    yield Flow(OUTPUT, 200, match(ct_state("+trk+inv")), (), PIPELINE, "untranslated")
    # A client inside comes by the way that leads to the nodes, and goes back by it.
    send = (load(f.IN_PORT_NXM.part(0, 15), 0), OutputTo(OUT_PORT))
    yield Flow(OUTPUT, 100, match(), send, PIPELINE, "send")


def service_flows(view: BalancerView, service: Service) -> Iterator[Flow]:
    """One Service: its frontends, the healthy nodes, and what is translated on the way to them."""
    for entry in service.load_balancer:
        address = entry.address
        if any(address in network for network in networks_of(view.balancer.pool, address.version)):
            nodes = view.targets(service.targets, address.version)
            for port in service.ports:
                if entry.proxy and port.node_port is None:
                    continue
                yield from _frontends(service, port, address)
                yield from _choice(view, service, port, address.version, nodes)
                if nodes:
                    yield from _commits(view, service, port, entry, nodes)


def _lookups(view: BalancerView, family: int) -> Iterator[Flow]:
    zone = view.bridge.zone
    for own in of_family(view.balancer.addresses, family):
        given_back = (Ct(zone + 1, CONNTRACK_ZONE, nat=Nat()),)
        yield Flow(UN_SNAT, 200, match(dst(own)), given_back, view.ref, "back-to-proxied")
    looked_up = (Ct(zone, CONNTRACK_STATE, nat=Nat()),)
    yield Flow(CONNTRACK_ZONE, 200, match(ip(family)), looked_up, PIPELINE, "look-up")
    for network in networks_of(view.balancer.pool, family):
        wanted = match(_NEW, dst(network))
        yield Flow(CONNTRACK_STATE, 100, wanted, (Goto(SERVICE_FRONTEND),), view.ref, "to-a-service")


def _source_translation(view: BalancerView, family: int) -> Iterator[Flow]:
    """ConntrackCommit and SNAT: proxied connections leave as the balancer, its own stack's as they are."""
    zone = view.bridge.zone
    new = (*ip(family), _NEW)
    plain = Ct(zone, SNAT, commit=True, mark=_MARKS)
    yield Flow(CONNTRACK_COMMIT, 100, match(new), (plain,), PIPELINE, "commit")
    known = match(ip(family), ct_state("+trk-new-rpl"), MARK_MASQUERADE(1))
    yield Flow(SNAT, 300, known, (Ct(zone + 1, OUTPUT, nat=Nat()),), PIPELINE, "known-proxied")
    asks = (*ip(family), ct_state("+trk+new-rpl"), MASQUERADE(1))
    for own in of_family(view.balancer.addresses, family):
        reserved = (load(MASQUERADE, 1), plain)
        yield Flow(
            CONNTRACK_COMMIT, 200, match(new, src(own)), reserved, view.ref, "reserve-the-stacks-tuple"
        )
        keep = (Ct(zone + 1, OUTPUT, commit=True),)
        yield Flow(SNAT, 220, match(asks, src(own)), keep, view.ref, "keep-the-stacks-tuple")
        proxied = (Ct(zone + 1, OUTPUT, nat=Nat("src", own, PORTS), commit=True),)
        yield Flow(SNAT, 200, match(asks), proxied, view.ref, "as-the-balancer")


def _to_targets(view: BalancerView, family: int) -> Iterator[Flow]:
    """What is not translated finds its node by the connection's mark, and leaves with the node's address."""
    for network in networks_of(view.balancer.pool, family):
        for node in view.wiring.nodes:
            ofport = view.towards(node, family)
            if ofport is not None:
                chosen = match(dst(network), MARK_TARGET(node.index))
                addresses = (write(f.ETH_SRC, view.mac), write(f.ETH_DST, node.mac))
                way = (*addresses, load(OUT_PORT, ofport), Goto(L3_DEC_TTL))
                yield Flow(L3_FORWARDING, 310, chosen, way, view.ref, f"to-{node.name}")
        yield Flow(L3_FORWARDING, 300, match(dst(network)), (), view.ref, "without-a-node")


# -- services --------------------------------------------------------------------------------------


def _frontends(service: Service, port: ServicePort, address: IPAddress) -> Iterator[Flow]:
    """Clouds keep to loadBalancerSourceRanges at the balancer: behind a proxy no node could tell."""
    knock = (*dst(address), *to_port(address.version, port.protocol, port.port))
    actions = (load(SERVICE, port.id), Goto(SERVICE_LB))
    ranges = networks_of(service.source_ranges, address.version)
    for network in ranges:
        yield Flow(SERVICE_FRONTEND, 210, match(knock, src(network)), actions, service.ref, "allowed-source")
    if service.source_ranges:
        yield Flow(SERVICE_FRONTEND, 200, match(knock), (), service.ref, "not-an-allowed-source")
    else:
        yield Flow(SERVICE_FRONTEND, 200, match(knock), actions, service.ref, "load-balancer")


def _choice(
    view: BalancerView, service: Service, port: ServicePort, family: int, nodes: Sequence[NodePlan]
) -> Iterator[Flow]:
    asked = (*ip(family), SERVICE(port.id))
    if not nodes:
        yield Flow(SERVICE_LB, 200, match(asked), (), service.ref, "no-healthy-node")
        return
    # A node can keep a client at its endpoint only if the client comes back to the node.
    by = HashBy.CONNECTION if service.affinity_seconds is None else HashBy.CLIENT
    spread = Multipath(len(nodes), view.bridge.datapath_id, ENDPOINT_SLOT, by)
    hashed = (spread, Goto(SERVICE_ENDPOINT))
    yield Flow(SERVICE_LB, 200, match(asked), hashed, service.ref, "choose-node")
    for slot, node in enumerate(nodes):
        chosen = (load(TARGET, node.index), Goto(ENDPOINT_DNAT))
        yield Flow(SERVICE_ENDPOINT, 200, match(asked, ENDPOINT_SLOT(slot)), chosen, service.ref, node.name)


def _commits(
    view: BalancerView,
    service: Service,
    port: ServicePort,
    entry: LoadBalancerAddress,
    nodes: Sequence[NodePlan],
) -> Iterator[Flow]:
    family = entry.address.version
    chosen = (*transport(family, port.protocol), SERVICE(port.id))
    marks: tuple[Load | Move, ...] = (load(MARK_SERVICE, 1), *_MARKS, move(TARGET, MARK_TARGET))
    if not entry.proxy:
        commit = Ct(view.bridge.zone, L3_FORWARDING, commit=True, mark=marks)
        yield Flow(ENDPOINT_DNAT, 200, match(chosen), (commit,), service.ref, "pass-on")
        return
    for node in nodes:
        assert port.node_port is not None
        to_node = Nat("dst", view.address_of(node, family), (port.node_port, port.node_port))
        commit = Ct(view.bridge.zone, L3_FORWARDING, nat=to_node, commit=True, mark=marks)
        actions: tuple[Action, ...] = (load(MASQUERADE, 1), commit)
        yield Flow(ENDPOINT_DNAT, 200, match(chosen, TARGET(node.index)), actions, service.ref, "proxy")

"""NodePorts: the frontends that face outwards.

With externalTrafficPolicy Cluster every client is masqueraded and any endpoint may serve. With
Local only endpoints of this node serve clients from off-cluster, whose address is kept; the
node's own pods and its stack are short-circuited to the Cluster behaviour, as in kube-proxy.
Load-balancer addresses and externalIPs are frontends of the same kind (`features.outward`).
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Goto, load, punt
from controllers.pipeline.features.services import ANY_ENDPOINT, LOCAL_ENDPOINTS, MASQUERADED, frontend
from controllers.pipeline.fields import Term
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, ip, match, to_port
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import SOURCE, TO_NODE_ADDRESS, Punt, Source
from controllers.pipeline.tables import ENDPOINT_DNAT, NODE_PORT_MARK, SERVICE_FRONTEND
from controllers.pipeline.view import NodeView, of_family
from emulator.cluster.model import Service, ServicePort, TrafficPolicy


def flows(view: NodeView) -> Iterator[Flow]:
    """NodePortMark: the addresses at which NodePorts answer."""
    noted = (load(TO_NODE_ADDRESS, 1), Goto(SERVICE_FRONTEND))
    for family in view.families:
        for address in view.addresses(family):
            yield Flow(NODE_PORT_MARK, 200, match(dst(address)), noted, view.ref, "to-the-node")
        yield from _expiry(family)
    yield Flow(NODE_PORT_MARK, 0, match(), (Goto(SERVICE_FRONTEND),), PIPELINE, "not-to-the-node")


def _expiry(family: int) -> Iterator[Flow]:
    """TTLGuard lets everything pass that is addressed to the node; here it turns out to go further."""
    for source in (Source.POD, Source.UPLINK):
        for ttl in (0, 1):
            last = match(ip(family), SOURCE(source), f.NW_TTL(ttl))
            yield Flow(ENDPOINT_DNAT, 300, last, punt(Punt.TIME_EXCEEDED), PIPELINE, "time-exceeded")


def service_flows(view: NodeView, service: Service) -> Iterator[Flow]:
    """ServiceFrontend for the NodePorts of one service."""
    for family in view.families:
        if of_family(service.cluster_ips, family):
            for port in service.ports:
                yield from _node_port(service, port, family)


def _node_port(service: Service, port: ServicePort, family: int) -> Iterator[Flow]:
    if port.node_port is not None:
        knock = (TO_NODE_ADDRESS(1), *to_port(family, port.protocol, port.node_port))
        yield from outward(service, port, knock, "node-port")


def outward(service: Service, port: ServicePort, knock: tuple[Term, ...], name: str) -> Iterator[Flow]:
    """The frontends for clients of any kind that knock at an address facing outwards."""
    if service.external_traffic_policy is TrafficPolicy.CLUSTER:
        yield frontend(service, port, 200, match(knock), (*ANY_ENDPOINT, *MASQUERADED), name)
        return
    from_pod, from_stack = match(knock, SOURCE(Source.POD)), match(knock, SOURCE(Source.HOST))
    yield frontend(service, port, 220, from_pod, ANY_ENDPOINT, f"{name}-from-pod")
    yield frontend(service, port, 220, from_stack, (*ANY_ENDPOINT, *MASQUERADED), f"{name}-from-the-stack")
    yield frontend(service, port, 200, match(knock), LOCAL_ENDPOINTS, f"{name}-local")

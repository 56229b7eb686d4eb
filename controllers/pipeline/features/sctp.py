"""The ports of SCTP, which connection tracking does not see.

Userspace Open vSwitch tracks SCTP by its addresses alone: it translates these, and leaves ports as they are.
So the destination port is written here, in every packet that belongs to a service, and the source port in
every answer. An answer that comes from an address of the node was asked at the NodePort, any other at the
service's own port.

What follows from tracking by address: all associations of a client with one virtual address share one
connection, and with it the endpoint of the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Goto, move, write
from controllers.pipeline.endpoints import endpoint_sets
from controllers.pipeline.fields import Term, ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, match, src, transport
from controllers.pipeline.registers import FLAGS, MARK_FLAGS, MARK_SERVICE, MARK_SERVICE_ID
from controllers.pipeline.tables import ADMIN_EGRESS, CONNTRACK_STATE
from controllers.pipeline.view import NodeView, of_family
from emulator.cluster.model import Endpoint, Protocol, Service, ServicePort
from emulator.cluster.wiring import IPAddress


def service_flows(view: NodeView, service: Service) -> Iterator[Flow]:
    """ConntrackState for the SCTP ports of one service."""
    ports = [port for port in service.ports if port.protocol is Protocol.SCTP]
    for family in view.families if ports else ():
        if of_family(service.cluster_ips, family):
            for owner in ports:
                ours = (*transport(family, Protocol.SCTP), MARK_SERVICE(1), MARK_SERVICE_ID(owner.id))
                yield from _questions(view, service, ports, ours, family)
                yield from _answers(view, service, ports, ours, family)


def to_endpoint(port: ServicePort, endpoint: Endpoint) -> tuple[Action, ...]:
    """EndpointDNAT: the first packet's port."""
    return (write(f.SCTP_DST, endpoint.port),) if port.protocol is Protocol.SCTP else ()


def _endpoints(view: NodeView, port: ServicePort, family: int) -> Iterator[Endpoint]:
    sets = endpoint_sets(port, view.node, family)
    yield from dict.fromkeys((*sets.cluster, *sets.local))


def _questions(
    view: NodeView, service: Service, ports: list[ServicePort], ours: tuple[Term, ...], family: int
) -> Iterator[Flow]:
    """The endpoint is chosen, the port still is the frontend's."""
    targets: dict[tuple[IPAddress, int], int] = {}
    for port in ports:
        for endpoint in _endpoints(view, port, family):
            for number in filter(None, (port.port, port.node_port)):
                targets.setdefault((endpoint.address, number), endpoint.port)
    for (address, number), target in targets.items():
        asked = (*ours, *dst(address), f.SCTP_DST(number))
        if number != target:
            again, known = match(asked, ct_state("+trk+new")), match(asked, ct_state("+trk-new-inv-rpl"))
            write_port = write(f.SCTP_DST, target)
            first = (write_port, move(MARK_FLAGS, FLAGS), Goto(ADMIN_EGRESS))
            yield Flow(CONNTRACK_STATE, 250, again, first, service.ref, "sctp-retransmitted-first-packet")
            later = (write_port, Goto(ADMIN_EGRESS))
            yield Flow(CONNTRACK_STATE, 250, known, later, service.ref, "sctp-question")


def _answers(
    view: NodeView, service: Service, ports: list[ServicePort], ours: tuple[Term, ...], family: int
) -> Iterator[Flow]:
    """The source is the frontend's address again, the port still the endpoint's."""
    frontends: dict[int, ServicePort] = {}
    for port in ports:
        for endpoint in _endpoints(view, port, family):
            frontends.setdefault(endpoint.port, port)
    for target, port in frontends.items():
        answer = (*ours, ct_state("+trk-inv+rpl"), f.SCTP_SRC(target))
        own = (write(f.SCTP_SRC, port.port), Goto(ADMIN_EGRESS))
        yield Flow(CONNTRACK_STATE, 250, match(answer), own, service.ref, "sctp-answer")
        if port.node_port is not None:
            knocked = (write(f.SCTP_SRC, port.node_port), Goto(ADMIN_EGRESS))
            for address in view.addresses(family):
                from_node = match(answer, src(address))
                yield Flow(CONNTRACK_STATE, 260, from_node, knocked, service.ref, "sctp-node-port-answer")

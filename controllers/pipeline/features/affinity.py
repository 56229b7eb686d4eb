"""sessionAffinity ClientIP: a client keeps its endpoint.

The node that translates a connection remembers the endpoint by the client's address, for each
service port, whatever frontend the client has knocked at. The memory lasts as long as new
connections come within `timeoutSeconds` of each other: only they pass Affinity, so that the
learned flow's idle timeout slides as the window of kube-proxy's iptables mode does (xt_recent
with `--rcheck --seconds --reap`, set anew by every connection).

A memory is a proposal. ServiceLB follows it only where the endpoint is in the set that may serve
this client: one that is gone, drains, or is not local under the policy Local is chosen anew, as in
kube-proxy, whose chains ask the endpoints that they have. So it does not matter that Open vSwitch
3.1.0 may bring back a learned flow that was just deleted (mended in 3.1.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controllers.pipeline.actions import LONGEST_IDLE, Action, Goto, Learn, Resubmit, load
from controllers.pipeline.fields import Bits, Term
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import ip, match, source_field
from controllers.pipeline.owner import PIPELINE, cookie_of
from controllers.pipeline.registers import (
    ENDPOINT_IPV4,
    ENDPOINT_IPV6,
    ENDPOINT_PORT,
    REMEMBERED,
    SERVICE,
)
from controllers.pipeline.tables import AFFINITY, ENDPOINT_DNAT, SERVICE_LB
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Endpoint, Ref, Service, ServicePort


def flows(_view: NodeView) -> Iterator[Flow]:
    """What is remembered of strangers: nothing."""
    yield Flow(AFFINITY, 0, match(), (), PIPELINE, "nothing-remembered")


def asked(service: Service) -> tuple[Action, ...]:
    """What a frontend does to learn of an earlier choice."""
    return () if service.affinity_seconds is None else (Resubmit(AFFINITY),)


def remembered(service: Service, when: tuple[Term, ...], chosen: Iterable[Endpoint]) -> Iterator[Flow]:
    """ServiceLB of one endpoint set: what is remembered holds while the endpoint belongs to it."""
    if service.affinity_seconds is None:
        return
    for endpoint in chosen:
        same = match(when, REMEMBERED(1), *is_endpoint(endpoint))
        yield Flow(SERVICE_LB, 210, same, (Goto(ENDPOINT_DNAT),), service.ref, "remembered-endpoint")


def learning(view: NodeView, service: Service, port: ServicePort, endpoint: Endpoint) -> tuple[Action, ...]:
    """EndpointDNAT: remember that this client was given `endpoint`."""
    if service.affinity_seconds is None:
        return ()
    family = endpoint.address.version
    client = source_field(family)
    seconds = min(service.affinity_seconds, LONGEST_IDLE)
    # A flow that is learned again keeps its first idle timeout: another time is another memory.
    about = f"{port.id}/{endpoint.address}/{endpoint.port}/{seconds}"
    cookie = cookie_of(Ref("Affinity", service.ref.namespace, about), view.bridge.datapath_id)
    conditions: tuple[Term | Bits, ...] = (*ip(family), SERVICE, client.part(0, client.bits - 1))
    found = (
        load(address_bits(endpoint), int(endpoint.address)),
        load(ENDPOINT_PORT, endpoint.port),
        load(REMEMBERED, 1),
    )
    return (Learn(AFFINITY, 200, seconds, cookie, conditions, found),)


def address_bits(endpoint: Endpoint) -> Bits:
    """Where a chosen endpoint's address is kept."""
    return ENDPOINT_IPV4 if endpoint.address.version == 4 else ENDPOINT_IPV6


def is_endpoint(endpoint: Endpoint) -> tuple[Term, ...]:
    """Packets for which `endpoint` was chosen."""
    return (address_bits(endpoint)(int(endpoint.address)), ENDPOINT_PORT(endpoint.port))

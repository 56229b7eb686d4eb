"""Services as kube-proxy programs them: cluster IPs, a choice of endpoints, translation.

A frontend is where a client knocks. It decides which of the two endpoint sets may serve this
client and whether the client is masqueraded (`node_ports` holds the frontends that face
outwards). Clients are told apart by where they enter the bridge: `Source.POD` is a pod of this
node, `Source.HOST` the node itself and its hostNetwork pods, everything else comes from
off-cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline.actions import Action, Ct, Goto, Multipath, Nat, load, move, punt
from controllers.pipeline.endpoints import EndpointSets, endpoint_sets
from controllers.pipeline.features import affinity, sctp
from controllers.pipeline.features.affinity import address_bits, is_endpoint
from controllers.pipeline.features.conntrack import MARKS, main_zone
from controllers.pipeline.fields import Term
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import Match, dst, ip, match, src, to_port, transport
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import (
    ENDPOINT_PORT,
    ENDPOINT_SLOT,
    HAIRPIN,
    LOCAL_SET,
    MARK_SERVICE,
    MARK_SERVICE_ID,
    MASQUERADE,
    SERVICE,
    SOURCE,
    Punt,
    Source,
)
from controllers.pipeline.tables import (
    ADMIN_EGRESS,
    ENDPOINT_DNAT,
    SERVICE_ENDPOINT,
    SERVICE_FRONTEND,
    SERVICE_LB,
)
from controllers.pipeline.view import NodeView, of_family
from emulator.cluster.model import Endpoint, Service, ServicePort, TrafficPolicy
from emulator.cluster.wiring import IPAddress

ANY_ENDPOINT: tuple[Action, ...] = ()
LOCAL_ENDPOINTS: tuple[Action, ...] = (load(LOCAL_SET, 1),)
MASQUERADED: tuple[Action, ...] = (load(MASQUERADE, 1),)


def flows(_view: NodeView) -> Iterator[Flow]:
    """What is for no service."""
    yield Flow(SERVICE_FRONTEND, 0, match(), (Goto(ADMIN_EGRESS),), PIPELINE, "no-service")


def service_flows(view: NodeView, service: Service) -> Iterator[Flow]:
    """ServiceFrontend for cluster IPs, ServiceLB, ServiceEndpoint and EndpointDNAT of one service."""
    for family in view.families:
        for address in of_family(service.cluster_ips, family):
            for port in service.ports:
                yield from _cluster_ip(view, service, port, address)
                yield from _backends(view, service, port, family)


def frontend(
    service: Service, port: ServicePort, priority: int, when: Match, how: tuple[Action, ...], name: str
) -> Flow:
    """A frontend of a service port: `how` chooses the endpoint set and the masquerade."""
    actions = (load(SERVICE, port.id), *how, *affinity.asked(service), Goto(SERVICE_LB))
    return Flow(SERVICE_FRONTEND, priority, when, actions, service.ref, name)


def _cluster_ip(view: NodeView, service: Service, port: ServicePort, address: IPAddress) -> Iterator[Flow]:
    local = service.internal_traffic_policy is TrafficPolicy.LOCAL
    endpoints = LOCAL_ENDPOINTS if local else ANY_ENDPOINT
    knock = (*dst(address), *to_port(address.version, port.protocol, port.port))
    from_pod = match(knock, SOURCE(Source.POD))
    as_node = MASQUERADED if view.wiring.masquerade_all else ()
    yield frontend(service, port, 310, from_pod, (*endpoints, *as_node), "cluster-ip-from-pod")
    yield frontend(service, port, 300, match(knock), (*endpoints, *MASQUERADED), "cluster-ip")


def _backends(view: NodeView, service: Service, port: ServicePort, family: int) -> Iterator[Flow]:
    sets = endpoint_sets(port, view.node, family)
    yield from _choice(view, service, port, family, LOCAL_SET(0), sets.cluster, sets)
    if TrafficPolicy.LOCAL in (service.internal_traffic_policy, service.external_traffic_policy):
        yield from _choice(view, service, port, family, LOCAL_SET(1), sets.local, sets)
    for endpoint in dict.fromkeys((*sets.cluster, *sets.local)):
        yield from _translation(view, service, port, endpoint)


def _choice(
    view: NodeView,
    service: Service,
    port: ServicePort,
    family: int,
    which: Term,
    chosen: tuple[Endpoint, ...],
    sets: EndpointSets,
) -> Iterator[Flow]:
    """One endpoint set of a service port: a hash over it, or what happens when it is empty."""
    asked = (*ip(family), SERVICE(port.id), which)
    if chosen:
        spread = Multipath(len(chosen), view.bridge.datapath_id, ENDPOINT_SLOT)
        hashed = (spread, Goto(SERVICE_ENDPOINT))
        yield Flow(SERVICE_LB, 200, match(asked), hashed, service.ref, "choose-endpoint")
    elif sets.cluster:
        yield Flow(SERVICE_LB, 200, match(asked), (), service.ref, "no-local-endpoint")
    else:
        refused = punt(Punt.PORT_UNREACHABLE)
        yield Flow(SERVICE_LB, 200, match(asked), refused, service.ref, "no-endpoints")
    yield from affinity.remembered(service, asked, chosen)
    for slot, endpoint in enumerate(chosen):
        actions = (*_load_endpoint(endpoint), Goto(ENDPOINT_DNAT))
        condition = match(asked, ENDPOINT_SLOT(slot))
        yield Flow(SERVICE_ENDPOINT, 200, condition, actions, service.ref, "endpoint")


def _translation(view: NodeView, service: Service, port: ServicePort, endpoint: Endpoint) -> Iterator[Flow]:
    family = endpoint.address.version
    chosen = (
        *transport(family, port.protocol),
        SERVICE(port.id),
        *is_endpoint(endpoint),
    )
    commit = Ct(
        main_zone(view),
        ADMIN_EGRESS,
        nat=Nat("dst", endpoint.address, (endpoint.port, endpoint.port)),
        commit=True,
        mark=(load(MARK_SERVICE, 1), *MARKS, move(SERVICE, MARK_SERVICE_ID)),
    )
    before = (*affinity.learning(view, service, port, endpoint), *sctp.to_endpoint(port, endpoint))
    # An endpoint that is no pod of the cluster may not know the way back to a pod.
    leaves = MASQUERADED if _beyond_uplink(view, endpoint.address) else ()
    yield Flow(ENDPOINT_DNAT, 200, match(chosen), (*leaves, *before, commit), service.ref, "translate")
    if endpoint.node == view.node.name:
        itself = match(chosen, src(endpoint.address))
        hairpin = (*MASQUERADED, load(HAIRPIN, 1), *before, commit)
        yield Flow(ENDPOINT_DNAT, 210, itself, hairpin, service.ref, "hairpin")


def _load_endpoint(endpoint: Endpoint) -> tuple[Action, ...]:
    return (load(address_bits(endpoint), int(endpoint.address)), load(ENDPOINT_PORT, endpoint.port))


def _beyond_uplink(view: NodeView, address: IPAddress) -> bool:
    in_cluster = any(address.version == cidr.version and address in cidr for cidr in view.wiring.pod_cidrs)
    return not in_cluster and address not in view.addresses(address.version)

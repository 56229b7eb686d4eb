"""What would be known if a cause were gone: so that the next one on the way can be looked for.

Nothing is sent for it: the objects are changed on paper, and the oracle is asked again. Where nobody can say
what comes after a cause, there is nothing to go on with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from emulator.api.objects import JsonObject
from emulator.cluster import pods as podlib
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    Direction,
    Endpoint,
    Pod,
    PolicyAction,
    Service,
    ServicePort,
    TrafficPolicy,
)
from emulator.cluster.places import Place, PlaceKind, parse_place, parse_port
from emulator.cluster.wiring import IPAddress
from emulator.oracle.answer import Code as Said
from emulator.verdict.causes import (
    addresses,
    cluster_policies,
    daemons,
    machinery,
    name_servers,
    naming,
    pods,
    policies,
    unexplained,
)
from emulator.verdict.causes import services as svc
from emulator.verdict.diagnose.diagnosis import Cause
from emulator.verdict.diagnose.evidence import Answers, Evidence
from emulator.verdict.diagnose.sights import Cable, Sights, Speaker

Mender = Callable[[Evidence, Cause], Evidence | None]


def mended(evidence: Evidence, cause: Cause) -> Evidence | None:
    """The evidence as if the cause were gone, without answers; None where nobody can say what comes then."""
    mend = _MENDERS.get(cause.code.name)
    found = mend(evidence, cause) if mend is not None else None
    return replace(found, supposed=True, refusal="", answers=Answers()) if found is not None else None


# -- policies --------------------------------------------------------------------------------------------


def _without_isolation(said: Said, direction: Direction) -> Mender:
    """None of the policies that isolate the pod does so any more."""

    def mend(evidence: Evidence, _: Cause) -> Evidence | None:
        isolating = {reason.object for reason in evidence.answers.reasons(said)}
        kept = tuple(
            replace(policy, directions=policy.directions - {direction}) if policy.ref in isolating else policy
            for policy in evidence.state.policies
        )
        return replace(evidence, state=replace(evidence.state, policies=kept))

    return mend


def _accepted(direction: Direction) -> Mender:
    """The policy accepts what it denied: NetworkPolicies are not asked any more."""

    def mend(evidence: Evidence, cause: Cause) -> Evidence | None:
        known = tuple(
            _accepting(policy, direction) if str(policy.ref) == cause.object else policy
            for policy in evidence.state.cluster_policies
        )
        return replace(evidence, state=replace(evidence.state, cluster_policies=known))

    return mend


def _accepting(policy: ClusterNetworkPolicy, direction: Direction) -> ClusterNetworkPolicy:
    rules = tuple(
        replace(rule, action=PolicyAction.ACCEPT) if rule.action is PolicyAction.DENY else rule
        for rule in policy.rules(direction)
    )
    return replace(policy, egress=rules) if direction is Direction.EGRESS else replace(policy, ingress=rules)


# -- names -----------------------------------------------------------------------------------------------


def _resolved(evidence: Evidence, _: Cause) -> Evidence | None:
    """The name server says what it would if it could be asked."""
    service = evidence.service()
    return _asking(evidence, service) if service is not None else None


def _renamed(evidence: Evidence, cause: Cause) -> Evidence | None:
    """The one that is named instead is asked for: a Service or a pod."""
    kind, _, name = cause.object.partition("/")
    namespace, _, name = name.partition("/")
    if kind == "Service" and (service := evidence.snapshot.get(kind, namespace, name)) is not None:
        return _asking(evidence, service)
    return None


def _asking(evidence: Evidence, service: JsonObject) -> Evidence | None:
    """The Service is asked for, in the family that was asked in, at the port that was, or its only one."""
    metadata = service["metadata"]
    place = Place(PlaceKind.SERVICE, metadata["name"], metadata["namespace"], evidence.asked.port)
    asked = replace(evidence, asked=replace(evidence.asked, target=place), naming=None)
    typed = evidence.typed(service)
    if typed is None:
        return asked if not service["spec"].get("clusterIP") else None
    family = evidence.address.version if evidence.address else typed.cluster_ips[0].version
    address = next((one for one in typed.cluster_ips if one.version == family), typed.cluster_ips[0])
    port = evidence.port
    if port is None and len(typed.ports) == 1:
        port = parse_port(f"{typed.ports[0].port}/{typed.ports[0].protocol.lower()}")
    return replace(asked, address=address, port=port)


# -- Services --------------------------------------------------------------------------------------------


def _selected(evidence: Evidence, _: Cause) -> Evidence | None:
    """The pods that are meant are behind the Service, and ready: those that it selects, or nearly does."""
    service = evidence.service()
    typed = evidence.typed(service) if service is not None else None
    if service is None or typed is None:
        return None
    selector, namespace = service["spec"].get("selector") or {}, service["metadata"]["namespace"]
    chosen = list(evidence.snapshot.labelled(namespace, selector)) or list(svc.nearly(evidence, service))
    behind = [pod for one in chosen if (pod := evidence.typed_pod(podlib.place_of(one))) is not None]
    if not behind:
        return None
    written = service["spec"].get("ports") or ()
    ports = tuple(
        replace(port, endpoints=tuple(_endpoints(behind, port, target)))
        for port in typed.ports
        for target in (one.get("targetPort") for one in written if one["port"] == port.port)
    )
    return _with_service(evidence, replace(typed, ports=ports))


def _running(evidence: Evidence, cause: Cause) -> Evidence | None:
    """It is ready, and nobody knows what it would listen at."""
    running = replace(evidence, back=evidence.back | {cause.object})
    return _selected(running, cause) or running


def _endpoints(behind: Iterable[Pod], port: ServicePort, target: int | str | None) -> Iterator[Endpoint]:
    for pod in behind:
        named = {p.name: p.port for p in pod.container_ports if p.protocol is port.protocol}
        number = target if isinstance(target, int) else named.get(str(target), next(iter(named.values()), 0))
        for address in pod.addresses if number else ():
            yield Endpoint(address, number, pod.node, True, True, False, pod.ref)


def _anywhere(evidence: Evidence, _: Cause) -> Evidence | None:
    """Endpoints of other nodes serve, too, and whoever asks."""
    service = evidence.service()
    typed = evidence.typed(service) if service is not None else None
    if typed is None:
        return None
    whole = TrafficPolicy.CLUSTER
    opened = replace(typed, internal_traffic_policy=whole, external_traffic_policy=whole, source_ranges=())
    return _with_service(evidence, opened)


def _at_its_port(evidence: Evidence, _: Cause) -> Evidence | None:
    """The port is asked for that the Service has for the same protocol, if it has one only."""
    service = evidence.service()
    typed = evidence.typed(service) if service is not None else None
    if typed is None or evidence.port is None:
        return None
    same = [port.port for port in typed.ports if port.protocol.lower() == evidence.port.protocol]
    return replace(evidence, port=replace(evidence.port, number=same[0])) if len(same) == 1 else None


def _with_service(evidence: Evidence, service: Service) -> Evidence:
    known = tuple(service if one.ref == service.ref else one for one in evidence.state.services)
    return replace(evidence, state=replace(evidence.state, services=known))


# -- machinery -------------------------------------------------------------------------------------------


def _with_sights(change: Callable[[Sights, Cause], Sights]) -> Mender:
    """Something of the machinery is well again, and nodes are heard of through it."""

    def mend(evidence: Evidence, cause: Cause) -> Evidence | None:
        heard = {f"Node/{node.name}" for node in evidence.state.wiring.nodes}
        return _serving(
            replace(evidence, sights=change(evidence.sights, cause), back=evidence.back | heard), cause
        )

    return mend


def _plugged(sights: Sights, cause: Cause) -> Sights:
    return replace(sights, cables=tuple(_up(c) if c.object == cause.object else c for c in sights.cables))


def _sound(sights: Sights, cause: Cause) -> Sights:
    cables = tuple(replace(c, impairment=c.planned) if c.object == cause.object else c for c in sights.cables)
    # What was sent over it says nothing of the others.
    return replace(sights, cables=cables, sizes=())


def _switched_on(sights: Sights, cause: Cause) -> Sights:
    place = _place(cause)
    return replace(sights, cables=tuple(_up(c) if place in c.ends else c for c in sights.cables))


def _up(cable: Cable) -> Cable:
    return replace(cable, carries=True)


def _without_tunnels(sights: Sights, cause: Cause) -> Sights:
    near = cause.object.partition("/")[2]
    return replace(sights, tunnels={node: known for node, known in sights.tunnels.items() if node != near})


def _speaking(sights: Sights, cause: Cause) -> Sights:
    place = _place(cause)
    others = (one for one in sights.speakers if one.place != place)
    return replace(sights, speakers=tuple(replace(one, sessions=_with_others(one, place)) for one in others))


def _with_others(speaker: Speaker, place: str) -> Mapping[tuple[str, int], str]:
    return {end: state for end, state in speaker.sessions.items() if end[0] != place}


def _proxied(sights: Sights, cause: Cause) -> Sights:
    return replace(sights, silent_proxies=sights.silent_proxies - {cause.object.partition("/")[2]})


def _with_room(sights: Sights, _: Cause) -> Sights:
    return replace(sights, zones=())


def _routed(sights: Sights, _: Cause) -> Sights:
    return replace(sights, way=None)


def _followed(evidence: Evidence, _: Cause) -> Evidence | None:
    """What the controller has not done yet is done, and pods that wait for it start."""
    waiting = {f"Pod/{podlib.place_of(pod)}" for pod in evidence.snapshot.pods if not podlib.is_ready(pod)}
    sights = replace(evidence.sights, controller_follows=True)
    return replace(evidence, drift=(), sights=sights, back=evidence.back | waiting)


def _as_computed(evidence: Evidence, _: Cause) -> Evidence | None:
    """Somebody has to put the flows right."""
    return evidence


def _node_back(evidence: Evidence, cause: Cause) -> Evidence | None:
    """The node is heard of, and its pods serve."""
    sights = _switched_on(evidence.sights, cause)
    return _serving(replace(evidence, sights=sights, back=evidence.back | {cause.object}), cause)


def _serving(evidence: Evidence, cause: Cause) -> Evidence:
    """Where a Service lost all endpoints because their nodes were not heard of, they are back in it."""
    said = evidence.answers.spec
    is_empty = said is not None and any(reason.code is Said.NO_ENDPOINTS for reason in said.reasons)
    silent = set(_silent(evidence))
    service = evidence.service() if is_empty else None
    selector = ((service or {}).get("spec") or {}).get("selector")
    if service is None or not selector:
        return evidence
    pods = evidence.snapshot.labelled(service["metadata"]["namespace"], selector)
    lost = any(podlib.node_name(pod) in silent for pod in pods)
    return (_selected(evidence, cause) or evidence) if lost else evidence


def _silent(evidence: Evidence) -> Iterator[str]:
    """Nodes that are not heard of."""
    for node in evidence.snapshot.all("Node"):
        ready = podlib.condition(node, "Ready")
        if ready is not None and ready.get("status") == "Unknown":
            yield node["metadata"]["name"]


def _place(cause: Cause) -> str:
    kind, _, name = cause.object.partition("/")
    return f"{kind.lower()}/{name}"


def own_address(place: str, family: int, evidence: Evidence) -> IPAddress | None:
    """The address of a place that packets reach without any policy's leave: its node's, or its own."""
    pod = evidence.typed_pod(place)
    wanted = parse_place(f"node/{pod.node}" if pod is not None else place)
    wiring = evidence.state.wiring
    known: tuple[IPAddress, ...] = ()
    if wanted.kind is PlaceKind.NODE:
        known = tuple(a.ip for node in wiring.nodes if node.name == wanted.name for a in node.addresses)
    elif wanted.kind is PlaceKind.EXTERNAL:
        known = tuple(a.ip for host in wiring.external if host.name == wanted.name for a in host.addresses)
    return next((one for one in known if one.version == family), None)


_GATEWAYS = (machinery.NAT_DOWN, machinery.INTERNET_DOWN, machinery.ROUTER_DOWN)
_MENDERS: Mapping[str, Mender] = {
    code.name: mend
    for mend, codes in (
        (_without_isolation(Said.EGRESS_ISOLATED, Direction.EGRESS), (policies.SOURCE_ISOLATED,)),
        (_without_isolation(Said.INGRESS_ISOLATED, Direction.INGRESS), (policies.DESTINATION_ISOLATED,)),
        (_accepted(Direction.EGRESS), (cluster_policies.SOURCE_DENIED,)),
        (_accepted(Direction.INGRESS), (cluster_policies.DESTINATION_DENIED,)),
        (_resolved, (naming.BLOCKED, name_servers.DNS_DOWN)),
        (_renamed, (naming.WRONG_NAMESPACE, naming.WRONG_NAME)),
        (_selected, (svc.SELECTS_NOTHING, svc.NAMED_PORT_MISSING, pods.NOT_READY)),
        (_running, (pods.NOT_RUNNING,)),
        (_anywhere, (svc.INTERNAL_LOCAL, svc.EXTERNAL_LOCAL, svc.SOURCE_RANGES)),
        (_at_its_port, (svc.NO_SERVICE_PORT,)),
        (_with_sights(_plugged), (machinery.LINK_DOWN,)),
        (_with_sights(_switched_on), _GATEWAYS),
        (_with_sights(_sound), (machinery.LINK_IMPAIRED,)),
        (_with_sights(_without_tunnels), (machinery.PEER_MISSING, machinery.WRONG_VTEP)),
        (_with_sights(_speaking), (machinery.BGP_DOWN, machinery.BGP_SESSION)),
        (_with_sights(_proxied), (daemons.PROXY_STALE,)),
        (_with_sights(_with_room), (daemons.CONNTRACK_FULL,)),
        (_with_sights(_routed), (addresses.NO_ROUTE, addresses.OVERLAPPING)),
        (_followed, (daemons.CONTROLLER_DOWN,)),
        (_as_computed, (unexplained.DRIFTED,)),
        (_node_back, (machinery.NODE_DOWN,)),
    )
    for code in codes
}

"""Causes in Services: which pods they select, at which port, and who may come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from emulator.api.objects import JsonObject
from emulator.cluster import pods as podlib
from emulator.cluster.model import Protocol, ServicePort
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import PlaceKind
from emulator.cluster.state import SERVICE_NAME_LABEL, cluster_ips
from emulator.oracle.answer import Code as Said
from emulator.verdict.causes.pods import ailments
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence

NO_SUCH_SERVICE = Code(
    "no-such-service",
    "There is no Service of that name in that namespace",
    "name one that exists: mininetes get services -A",
)
NO_SERVICE_PORT = Code(
    "no-service-port",
    "The Service has no such port, or has it for another protocol",
    "use a port that the Service has, or add it under spec.ports",
)
WITHOUT_PORTS = Code(
    "service-without-ports",
    "The Service lists no ports, so that there is nothing to connect to by it",
    "add spec.ports",
)
WITHOUT_SELECTOR = Code(
    "service-without-selector",
    "The Service has no selector, and nobody has made EndpointSlices for it",
    "add spec.selector, or an EndpointSlice with the label kubernetes.io/service-name",
)
SELECTS_NOTHING = Code(
    "selector-matches-nothing",
    "No pod of the Service's namespace carries all labels of its selector",
    "make spec.selector and the labels of the pods the same",
)
NAMED_PORT_MISSING = Code(
    "named-port-missing",
    "The Service's targetPort is a name, and no selected pod has a container port of that name and protocol",
    "give the container port that name, or use its number as targetPort",
)
ONLY_TERMINATING = Code(
    "endpoints-only-terminating",
    "All pods behind the Service are on their way out, and they do not serve any more",
    "wait for their successors, or start some: mininetes scale",
)
INTERNAL_LOCAL = Code(
    "internal-traffic-policy-local",
    "internalTrafficPolicy is Local, and the client's node has no endpoint",
    "set internalTrafficPolicy: Cluster, or run a pod on every node (a DaemonSet)",
)
EXTERNAL_LOCAL = Code(
    "external-traffic-policy-local",
    "externalTrafficPolicy is Local, and the node that was asked has no endpoint",
    "set externalTrafficPolicy: Cluster, ask a node that has one, or run a pod on every node",
)
SOURCE_RANGES = Code(
    "source-ranges",
    "The client's address is not in loadBalancerSourceRanges",
    "add the client's range to spec.loadBalancerSourceRanges",
)
WRONG_TARGET_PORT = Code(
    "wrong-target-port",
    "The Service sends to a port at which its pods do not listen, while they listen at another",
    "set targetPort to the port at which the container listens",
)
CODES = (
    NO_SUCH_SERVICE,
    NO_SERVICE_PORT,
    WITHOUT_PORTS,
    WITHOUT_SELECTOR,
    SELECTS_NOTHING,
    NAMED_PORT_MISSING,
    ONLY_TERMINATING,
    INTERNAL_LOCAL,
    EXTERNAL_LOCAL,
    SOURCE_RANGES,
    WRONG_TARGET_PORT,
)


def missing(evidence: Evidence) -> Cause | None:
    """There is no such Service."""
    target = evidence.asked.target
    if target.kind is not PlaceKind.SERVICE or evidence.service() is not None:
        return None
    known = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in evidence.snapshot.all("Service")]
    elsewhere = sorted(namespace for namespace, name in known if name == target.name)
    near = get_close_matches(target.name, [name for ns, name in known if ns == target.namespace], n=1)
    if elsewhere:
        fix = f"name the namespace that it is in: svc/{elsewhere[0]}/{target.name}"
    elif near:
        fix = f"did you mean svc/{target.namespace}/{near[0]}?"
    else:
        fix = f"mininetes get services -n {target.namespace}"
    sentence = f"there is no Service {target.name} in namespace {target.namespace}"
    return Cause(NO_SUCH_SERVICE, f"Service/{target.namespace}/{target.name}", sentence, fix)


def without_port(evidence: Evidence) -> Cause | None:
    """The Service does not have the port that is asked for."""
    service, port = _asked_service(evidence), evidence.port
    if service is None or port is None or not port.number or _ports(evidence, service):
        return None
    ref, listed = _ref(service), service["spec"].get("ports") or []
    if not listed:
        sentence = f"{ref} lists no ports"
        fix = f"spec:\n  ports:\n  - {{port: {port.number}, protocol: {port.protocol.upper()}}}"
        return Cause(WITHOUT_PORTS, ref, sentence, fix, _see(service))
    if cluster_ips(service) and not evidence.answers.reasons(Said.NO_SERVICE_PORT):
        return None
    known = ", ".join(_spelled(one) for one in listed)
    sentence = f"{ref} has no port {port}; it has {known}"
    other = next((p for p in listed if p["port"] == port.number), listed[0])
    meant = f"{other['port']}/{(other.get('protocol') or 'TCP').lower()}"
    fix = f"ask for {meant}, or add it:\nspec:\n  ports:\n  - {{name: p{port.number}, port: {port.number}, "
    return Cause(NO_SERVICE_PORT, ref, sentence, f"{fix}protocol: {port.protocol.upper()}}}", _see(service))


def without_endpoints(evidence: Evidence) -> Cause | None:
    """Nobody stands behind the Service: the reason for it."""
    service = evidence.service()
    nobody = evidence.refusal or (evidence.supposed and evidence.address is None)
    headless = service is not None and not cluster_ips(service) and bool(nobody)
    if service is None or not (headless or evidence.answers.reasons(Said.NO_ENDPOINTS, Said.NO_HEALTHY_NODE)):
        return None
    if service["spec"].get("type") == "ExternalName":
        return None
    ref, selector = _ref(service), service["spec"].get("selector") or {}
    if not selector:
        return _without_selector(evidence, service)
    pods = list(evidence.snapshot.labelled(service["metadata"]["namespace"], selector))
    if not pods:
        return _selects_nothing(evidence, service, selector)
    unnamed = _named_port_missing(evidence, service, pods)
    if unnamed is not None:
        return unnamed
    for cause in ailments(evidence, pods):
        return cause
    if all(podlib.is_terminating(pod) or podlib.is_finished(pod) for pod in pods):
        sentence = f"all {len(pods)} pods of {ref} are terminating, and none of them serves any more"
        return Cause(ONLY_TERMINATING, ref, sentence, ONLY_TERMINATING.remedy, _see(service))
    return None


def drains(evidence: Evidence) -> Cause | None:
    """Only pods that are about to end were left to send to, and packets did not fare as they should."""
    service = evidence.service()
    typed = evidence.typed(service) if service else None
    if service is None or typed is None or evidence.answers.difference != "wire":
        return None
    version = evidence.address.version if evidence.address else 4
    ends = [e for p in _ports(evidence, service) for e in p.endpoints if e.address.version == version]
    if not ends or any(e.ready for e in ends) or not all(e.terminating for e in ends):
        return None
    ref = _ref(service)
    sentence = f"all {len(ends)} endpoints of {ref} are terminating"
    return Cause(ONLY_TERMINATING, ref, sentence, ONLY_TERMINATING.remedy, _see(service))


def without_local_endpoint(evidence: Evidence) -> Cause | None:
    """The traffic policy Local, and the node has none."""
    for reason in evidence.answers.reasons(Said.NO_LOCAL_ENDPOINT):
        external = reason.sentence.startswith("external")
        code, field = (EXTERNAL_LOCAL, "external") if external else (INTERNAL_LOCAL, "internal")
        service = evidence.snapshot.get("Service", reason.object.namespace, reason.object.name)
        typed = evidence.typed(service) if service else None
        nodes = sorted({e.node for p in (typed.ports if typed else ()) for e in p.endpoints if e.node})
        has = f"; its endpoints are on {', '.join(nodes)}" if nodes else ""
        patch = _patch(reason.object.namespace, reason.object.name, {f"{field}TrafficPolicy": "Cluster"})
        return Cause(code, str(reason.object), f"{reason.sentence}{has}", code.remedy, "", patch)
    return None


def outside_source_ranges(evidence: Evidence) -> Cause | None:
    """loadBalancerSourceRanges keep the client out."""
    for reason in evidence.answers.reasons(Said.SOURCE_RANGES):
        source = reason.sentence.partition(" ")[0]
        bits = 128 if ":" in source else 32
        service = evidence.snapshot.get("Service", reason.object.namespace, reason.object.name)
        known = ((service or {}).get("spec") or {}).get("loadBalancerSourceRanges") or []
        wider = {"loadBalancerSourceRanges": [*known, f"{source}/{bits}"]}
        patch = _patch(reason.object.namespace, reason.object.name, wider)
        return Cause(SOURCE_RANGES, str(reason.object), reason.sentence, SOURCE_RANGES.remedy, "", patch)
    return None


def wrong_target_port(evidence: Evidence) -> Cause | None:
    """Packets reach a pod at a port where nothing listens, and something listens at another."""
    service = evidence.service()
    if service is None or evidence.port is None or evidence.answers.spec is None:
        return None
    refused = evidence.answers.difference == "wire" and Outcome.REJECTED in evidence.answers.happened
    if not refused and not evidence.supposed:
        return None
    if evidence.answers.expected != {Outcome.CONNECTED}:
        return None
    protocol = evidence.port.protocol
    for arrival in sorted(evidence.answers.spec.endpoints):
        open_here = evidence.listening.get(arrival.place)
        if open_here is None or arrival.port is None or f"Pod/{arrival.place}" in evidence.back:
            continue
        if any(one.hears(arrival.address, arrival.port, protocol) for one in open_here):
            continue
        others = sorted({one.port for one in open_here if one.hears(arrival.address, one.port, protocol)})
        declared = _declared(evidence, arrival.place, protocol)
        if arrival.port in declared or not others:
            continue
        right = next((port for port in others if port in declared), others[0])
        ref = _ref(service)
        sentence = (
            f"{ref} sends to {arrival.port}/{protocol} of {arrival.place}, which listens at "
            f"{', '.join(f'{port}/{protocol}' for port in others)}"
        )
        return Cause(
            WRONG_TARGET_PORT,
            ref,
            sentence,
            WRONG_TARGET_PORT.remedy,
            _see(service),
            _target_port(service, evidence.port.number, right),
        )
    return None


# -- the causes of having no endpoints ---------------------------------------------------------------------


def _without_selector(evidence: Evidence, service: JsonObject) -> Cause | None:
    metadata = service["metadata"]
    for found in evidence.snapshot.all("EndpointSlice"):
        labels = found["metadata"].get("labels") or {}
        same = found["metadata"].get("namespace") == metadata["namespace"]
        if same and labels.get(SERVICE_NAME_LABEL) == metadata["name"] and found.get("endpoints"):
            return None
    sentence = f"{_ref(service)} has no selector, and no EndpointSlice names it"
    fix = "spec:\n  selector: {app: ...}"
    return Cause(WITHOUT_SELECTOR, _ref(service), sentence, fix, _see(service))


def _selects_nothing(evidence: Evidence, service: JsonObject, selector: JsonObject) -> Cause:
    """With the pods that come nearest: most labels in common, then most alike in values."""
    namespace = service["metadata"]["namespace"]
    told = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    sentence = f"no pod in {namespace} has the labels {told} that {_ref(service)} selects"
    labelled = [(key, value) for _, key, value in _alike(evidence, service)]
    patch = ""
    elsewhere = [podlib.place_of(p) for p in evidence.snapshot.pods if _carries(p, selector)]
    if labelled:
        key, near_value = labelled[0]
        sentence += f"; there are pods with {key}={near_value}"
        fix = SELECTS_NOTHING.remedy
        patch = _patch(namespace, service["metadata"]["name"], {"selector": {key: near_value}})
    elif elsewhere:
        sentence += f"; {elsewhere[0]} has, in another namespace, where a Service selects nothing"
        fix = f"create the Service in namespace {elsewhere[0].partition('/')[0]}"
    else:
        fix = f"start pods with the labels {told} in {namespace}, or give them to some that run"
    see = f"mininetes get pods -n {namespace} -o wide"
    return Cause(SELECTS_NOTHING, _ref(service), sentence, fix, see, patch)


def nearly(evidence: Evidence, service: JsonObject) -> Iterator[JsonObject]:
    """The pods that a selector with a slip in it was meant for."""
    found = list(_alike(evidence, service))
    return (pod for pod, *label in found if label == list(found[0][1:]))


def _alike(evidence: Evidence, service: JsonObject) -> Iterator[tuple[JsonObject, str, str]]:
    """Pods with a label that is like one of the selector: the label's key and the pod's own value."""
    for pod in evidence.snapshot.pods_by_namespace.get(service["metadata"]["namespace"], ()):
        labels = pod["metadata"].get("labels") or {}
        for key, value in (service["spec"].get("selector") or {}).items():
            if labels.get(key, "") != value and get_close_matches(value, [labels.get(key, "")], n=1):
                yield pod, key, labels[key]


def _named_port_missing(evidence: Evidence, service: JsonObject, pods: Sequence[JsonObject]) -> Cause | None:
    for port in service["spec"].get("ports") or ():
        target, protocol = port.get("targetPort"), port.get("protocol") or "TCP"
        asked = evidence.port
        mine = asked is None or (
            asked.number in (port["port"], port.get("nodePort")) if asked.number else True
        )
        if not mine or not isinstance(target, str):
            continue
        known = [one for pod in pods for one in podlib.container_ports(pod)]
        if any(o.get("name") == target and (o.get("protocol") or "TCP") == protocol for o in known):
            continue
        names = sorted(
            {
                f"{o['name']} ({o['containerPort']}/{o.get('protocol') or 'TCP'})"
                for o in known
                if o.get("name")
            }
        )
        told = f"; they name {', '.join(names)}" if names else ""
        sentence = f"targetPort {target} of {_ref(service)}: no selected pod has such a {protocol} port{told}"
        number = next((o["containerPort"] for o in known if (o.get("protocol") or "TCP") == protocol), 0)
        patch = _target_port(service, port["port"], number) if number else ""
        fix = NAMED_PORT_MISSING.remedy
        return Cause(NAMED_PORT_MISSING, _ref(service), sentence, fix, _see(service), patch)
    return None


# -- reading Services --------------------------------------------------------------------------------------


def _asked_service(evidence: Evidence) -> JsonObject | None:
    """The one that is meant, also by an address at which none of its ports was asked for."""
    found = evidence.service()
    if found is not None or evidence.address is None:
        return found
    return next((o for o in evidence.snapshot.all("Service") if evidence.address in cluster_ips(o)), None)


def _ports(evidence: Evidence, service: JsonObject) -> list[ServicePort]:
    """The Service's ports that were asked for, by whichever frontend."""
    typed, asked = evidence.typed(service), evidence.port
    if asked is None:
        return []
    if typed is not None:
        ports = typed.ports
    else:
        ports = tuple(_bare(port) for port in service["spec"].get("ports") or ())
    return [
        port
        for port in ports
        if port.protocol.lower() == asked.protocol and asked.number in (port.port, port.node_port)
    ]


def _bare(port: JsonObject) -> ServicePort:
    """A port of a headless Service: clients find the target port by themselves."""
    target = port.get("targetPort")
    number = target if isinstance(target, int) else port["port"]
    protocol = Protocol(port.get("protocol") or "TCP")
    return ServicePort(0, port.get("name") or "", protocol, port["port"], number, ())


def _declared(evidence: Evidence, place: str, protocol: str) -> list[int]:
    pod = evidence.pod(place)
    ports: Iterator[JsonObject] = iter(podlib.container_ports(pod)) if pod else iter(())
    return [int(p["containerPort"]) for p in ports if (p.get("protocol") or "TCP").lower() == protocol]


def _carries(pod: JsonObject, selector: JsonObject) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _spelled(port: JsonObject) -> str:
    name = f" ({port['name']})" if port.get("name") else ""
    return f"{port['port']}/{(port.get('protocol') or 'TCP').lower()}{name}"


def _target_port(service: JsonObject, port: int, target: int) -> str:
    ports = {"ports": [{"port": port, "targetPort": target}]}
    return _patch(service["metadata"]["namespace"], service["metadata"]["name"], ports)


def _patch(namespace: str, name: str, spec: JsonObject) -> str:
    """The command that changes a Service's spec so."""
    return f"mininetes patch service {name} -n {namespace} -p '{json.dumps({'spec': spec})}'"


def _see(service: JsonObject) -> str:
    return f"mininetes describe service/{service['metadata']['name']} -n {service['metadata']['namespace']}"


def _ref(service: JsonObject) -> str:
    return f"Service/{service['metadata']['namespace']}/{service['metadata']['name']}"

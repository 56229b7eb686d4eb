"""Causes at a node's own ports."""

from __future__ import annotations

from emulator.cluster.outcome import Outcome
from emulator.cluster.places import PlaceKind
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence

WRONG_PORT = Code(
    "wrong-node-port",
    "Nothing answers at this port of the node: a Service has it as its port, and another one as its nodePort",
    "ask for the nodePort, or reach the Service by its own address from inside",
)
NOT_EXPOSED = Code(
    "service-not-exposed",
    "Nothing answers at this port of the node: the Service that has it is of type ClusterIP",
    "set spec.type of the Service to NodePort or LoadBalancer",
)
CODES = (WRONG_PORT, NOT_EXPOSED)


def wrong_port(evidence: Evidence) -> Cause | None:
    """A Service's port was asked of a node."""
    target, asked = evidence.asked.target, evidence.port
    if target.kind is not PlaceKind.NODE or asked is None or evidence.answers.happened != {Outcome.REJECTED}:
        return None
    if list(evidence.arrivals()) != [str(target)]:
        return None
    for service in evidence.state.services:
        for port in service.ports:
            if (port.port, port.protocol.lower()) != (asked.number, asked.protocol):
                continue
            name, namespace = service.ref.name, service.ref.namespace
            if port.node_port:
                sentence = f"{service.ref} has port {asked}; on nodes it is {port.node_port}/{asked.protocol}"
                fix = f"ask for {target}:{port.node_port}/{asked.protocol}"
                return Cause(WRONG_PORT, str(service.ref), sentence, fix)
            sentence = f"{service.ref} has port {asked}, and is not exposed on nodes"
            patch = f'mininetes patch service {name} -n {namespace} -p \'{{"spec": {{"type": "NodePort"}}}}\''
            return Cause(NOT_EXPOSED, str(service.ref), sentence, NOT_EXPOSED.remedy, "", patch)
    return None

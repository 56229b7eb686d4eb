"""Causes in addresses and routes: who has them, which way they lie, and who translates them."""

from __future__ import annotations

from emulator.cluster.outcome import Outcome
from emulator.cluster.wiring import BridgeRole
from emulator.oracle.answer import Code as Said
from emulator.verdict.causes import path
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence
from emulator.verdict.trace.model import Direction, Hop

OVERLAPPING = Code(
    "overlapping-ranges",
    "An address has two owners, and packets for one of them end at the other",
    "give one of them another address or range",
)
EPHEMERAL = Code(
    "ephemeral-pod-address",
    "The address lies in the pods' range, and no pod has it: pods' addresses go with them",
    "ask for a Service, which stays while its pods come and go",
)
NO_ROUTE = Code(
    "no-route",
    "The sender's own stack knows no way to the destination",
    "put the route back",
)
ROUTE_MISSING = Code(
    "route-missing",
    "A router's table has no route to the destination",
    "add the route to the router's table",
)
NO_NAT = Code(
    "no-nat",
    "Packets leave with a private address that nobody outside knows the way back to",
    "send them through a NAT gateway that translates this family",
)
CODES = (OVERLAPPING, EPHEMERAL, NO_ROUTE, ROUTE_MISSING, NO_NAT)


def overlapping(evidence: Evidence) -> Cause | None:
    """Somebody else takes the packets, at the sender or in the cluster."""
    if evidence.astray:
        spec = evidence.answers.spec
        owner = next((r.object for r in (spec.reasons if spec else ()) if r.object.kind == "Service"), None)
        taken = f"{owner or ', '.join(evidence.astray)} takes {evidence.address}"
        said = (
            f"{taken}, the address of {evidence.asked.target}: packets arrive at {', '.join(evidence.astray)}"
        )
        return Cause(OVERLAPPING, str(owner or evidence.asked.target), said, OVERLAPPING.remedy)
    way = evidence.sights.way
    if way is not None and evidence.is_captured:
        how = "as one of its own" if way.is_local else f"by its interface {way.interface}"
        said = f"{evidence.source} takes {evidence.address} {how}: a range of its own covers it"
        see = f"mininetes exec {evidence.source} -- ip route get {evidence.address}"
        return Cause(OVERLAPPING, _object(evidence), said, OVERLAPPING.remedy, see)
    return None


def ephemeral(evidence: Evidence) -> Cause | None:
    """A pod's address is used that nobody has."""
    if not evidence.answers.reasons(Said.NO_SUCH_POD):
        return None
    said = f"no pod has the address {evidence.address} now; a pod that is replaced gets another one"
    return Cause(
        EPHEMERAL, f"Address/{evidence.address}", said, EPHEMERAL.remedy, "mininetes get pods -A -o wide"
    )


def no_route(evidence: Evidence) -> Cause | None:
    """The sender's kernel refuses."""
    way = evidence.sights.way
    if way is None or not way.refusal:
        return None
    said = f"{evidence.source}: {way.refusal}"
    see = f"mininetes exec {evidence.source} -- ip route"
    return Cause(NO_ROUTE, _object(evidence), said, NO_ROUTE.remedy, see)


def route_missing(evidence: Evidence) -> Cause | None:
    """A router refuses, because its table says nothing of the destination."""
    for reason in evidence.answers.reasons(Said.NO_ROUTE):
        place = reason.sentence.partition(" ")[0]
        about = (
            f"Router/{place.removeprefix('router/')}" if place.startswith("router/") else str(reason.object)
        )
        return Cause(ROUTE_MISSING, about, reason.sentence, ROUTE_MISSING.remedy, _see(evidence))
    hop = _refusing_router(evidence, Direction.FORWARD)
    if hop is None:
        return None
    said = f"{hop.node} has no route to {evidence.address}"
    about = f"Router/{hop.node.removeprefix('router/')}"
    return Cause(ROUTE_MISSING, about, said, ROUTE_MISSING.remedy, _see(evidence))


def no_nat(evidence: Evidence) -> Cause | None:
    """The answer finds no way back to the address that the packet left with."""
    trace = evidence.answers.trace
    hop = _refusing_router(evidence, Direction.REPLY)
    if trace is None or hop is None or not path.is_outside(evidence):
        return None
    routers = [place for place in path.stations(evidence) if place.startswith("router/")]
    gateways = [b.place for b in evidence.state.wiring.bridges if b.role is BridgeRole.NAT]
    # A gateway that was passed does not translate; else the first router should have led to one.
    about = next((place for place in routers if place in gateways), routers[0])
    said = f"{trace.endpoint} sees {trace.source_seen}, and {hop.node} knows no way back to it"
    return Cause(NO_NAT, f"Router/{about.removeprefix('router/')}", said, NO_NAT.remedy, _see(evidence))


def _refusing_router(evidence: Evidence, direction: Direction) -> Hop | None:
    """The router that refuses to go on, by the trace, although packets should."""
    trace = evidence.answers.trace
    hop = trace.decisive if trace is not None else None
    if hop is None or hop.direction is not direction or not hop.node.startswith("router/"):
        return None
    if not hop.action.startswith("refused"):
        return None
    unanswered = direction is Direction.REPLY and not (evidence.answers.wire or {}).get("replies")
    fails = path.fails(evidence) or (unanswered and evidence.answers.traced != evidence.answers.expected)
    return hop if fails and Outcome.CONNECTED in evidence.answers.expected else None


def _object(evidence: Evidence) -> str:
    return (
        f"Pod/{evidence.source}"
        if evidence.pod(evidence.source)
        else evidence.source.replace("node/", "Node/")
    )


def _see(evidence: Evidence) -> str:
    port = f" --port {evidence.port}" if evidence.port and evidence.port.protocol != "icmp" else ""
    return f"mininetes trace {evidence.asked.source} {evidence.asked.target}{port}"

"""Flows of NetworkPolicy, interpreted: which one decides a packet, conjunctive matches included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Conjunction, Goto
from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.fields import Term
from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.match import Match, dst, match, src, to_port
from controllers.pipeline.registers import OUT_PORT, SOURCE, Source
from controllers.pipeline.tables import (
    ADMIN_EGRESS,
    ADMIN_INGRESS,
    BASELINE_EGRESS,
    BASELINE_INGRESS,
    EGRESS_DEFAULT_RULE,
    EGRESS_RULE,
    INGRESS_DEFAULT_RULE,
    INGRESS_RULE,
    Stage,
)
from emulator.api.selectors import Operator, Requirement, Selector
from emulator.cluster.model import (
    ClusterState,
    ContainerPort,
    Direction,
    NetworkPolicy,
    Pod,
    PolicyRule,
    Protocol,
    Ref,
)

from .cluster import pod, wiring

TCP, UDP, SCTP = Protocol
PLAN = wiring("three-node")
ANYBODY = PolicyRule()
STAGES_OF = {
    Direction.EGRESS: (ADMIN_EGRESS, EGRESS_RULE, EGRESS_DEFAULT_RULE, BASELINE_EGRESS),
    Direction.INGRESS: (ADMIN_INGRESS, INGRESS_RULE, INGRESS_DEFAULT_RULE, BASELINE_INGRESS),
}


def a_pod(name: str, index: int, node: str = "worker-1", *ports: ContainerPort) -> Pod:
    namespace, _, own = name.partition("/")
    made = pod(PLAN, own, node, index)
    return replace(
        made, ref=Ref("Pod", namespace, own), labels={"pod": own}, uid=name, container_ports=tuple(ports)
    )


WEB = (ContainerPort("web", TCP, 80), ContainerPort("dns", UDP, 53))
XA = a_pod("x/a", 2, "worker-1", *WEB)
XB = a_pod("x/b", 3, "worker-1", ContainerPort("web", TCP, 8080))
XC = a_pod("x/c", 2, "worker-2")
YA, YB, ZA = a_pod("y/a", 4), a_pod("y/b", 3, "worker-2", *WEB), a_pod("z/a", 2, "worker-3")
PODS = (XA, XB, XC, YA, YB, ZA)
NAMESPACES = {name: {"ns": name} for name in ("x", "y", "z")}


def label(key: str, *values: str) -> Selector:
    return (Requirement(key, Operator.IN, values),)


def policy(
    *,
    name: str = "p",
    namespace: str = "x",
    pods: Selector = (),
    ingress: Iterable[PolicyRule] | None = None,
    egress: Iterable[PolicyRule] | None = None,
) -> NetworkPolicy:
    """A policy that rules the directions that are given."""
    given = {Direction.INGRESS: ingress, Direction.EGRESS: egress}
    return NetworkPolicy(
        Ref("NetworkPolicy", namespace, name),
        pods,
        frozenset(direction for direction, rules in given.items() if rules is not None),
        tuple(ingress or ()),
        tuple(egress or ()),
    )


def cluster(*policies: NetworkPolicy, pods: Iterable[Pod] = PODS) -> ClusterState:
    return ClusterState(PLAN, pods=tuple(pods), namespaces=NAMESPACES, policies=policies)


def program(state: ClusterState, node: str) -> FlowProgram:
    return compile_cluster(state)[PLAN.node(node).bridge]


def meets(flow: Flow, packet: Match, conjunction: int = 0) -> bool:
    given = {term.field: term.value for term in packet} | {f.CONJ_ID: conjunction}
    return all(given.get(term.field, 0) & term.mask == term.value for term in flow.match)


def decide(flows: list[Flow], stage: Stage, packet: Match) -> Flow:
    """What Open vSwitch's classifier finds (conjunctive matches: ovs-fields(7))."""
    there = [flow for flow in flows if flow.stage is stage]
    notes = [flow for flow in there if flow.actions and isinstance(flow.actions[0], Conjunction)]
    plain = [flow for flow in there if flow not in notes]
    met: dict[tuple[int, int], set[int]] = {}
    for flow in notes:
        if meets(flow, packet):
            for note in flow.actions:
                assert isinstance(note, Conjunction)
                met.setdefault((note.id, note.of), set()).add(note.condition)
    numbers = [number for (number, of), conditions in met.items() if len(conditions) == of]
    found = [flow for number in (0, *numbers) for flow in plain if meets(flow, packet, number)]
    return max(found, key=lambda flow: flow.priority)


def verdict(state: ClusterState, direction: Direction, at: Pod, packet: Match) -> Flow:
    """The flow that has the last word at one end."""
    return last_word(list(program(state, at.node)), direction, packet)


def last_word(flows: list[Flow], direction: Direction, packet: Match) -> Flow:
    """The same, of these flows."""
    stages = STAGES_OF[direction]
    found = decide(flows, stages[0], packet)
    while found.actions:
        (following,) = found.actions
        assert isinstance(following, Goto)
        if following.stage not in stages:
            break
        found = decide(flows, following.stage, packet)
    return found


def question(one: Pod, other: Pod, what: tuple[Term, ...], direction: Direction, *more: Term) -> Match:
    """The first packet of a connection, unless `more` says otherwise."""
    assert one.port is not None
    assert other.port is not None
    family = 4 if Term(f.ETH_TYPE, 0x0800, 0xFFFF) in what else 6
    source, destination = (
        next(address for address in end.addresses if address.version == family) for end in (one, other)
    )
    if direction is Direction.EGRESS:
        way: tuple[Term, ...] = (f.IN_PORT(one.port.ofport), SOURCE(Source.POD), *dst(destination))
    else:
        way = (OUT_PORT(other.port.ofport), SOURCE(Source.TUNNEL), *src(source))
    return match(way, what, *more)


def passes(
    state: ClusterState, one: Pod, other: Pod, port: int = 80, protocol: Protocol = TCP, *more: Term
) -> bool:
    """Whether both ends let a connection begin; IPv4 and IPv6 have to agree."""
    found = set()
    for family in (4, 6):
        what = to_port(family, protocol, port)
        ends = ((Direction.EGRESS, one), (Direction.INGRESS, other))
        verdicts = [
            verdict(state, direction, end, question(one, other, what, direction, *more))
            for direction, end in ends
        ]
        found.add(all(flow.actions for flow in verdicts))
    assert len(found) == 1
    return found.pop()


def clients(state: ClusterState, target: Pod, port: int = 80, protocol: Protocol = TCP) -> set[str]:
    """Who reaches `target`."""
    others = [one for one in state.pods if one is not target]
    return {
        f"{one.ref.namespace}/{one.ref.name}" for one in others if passes(state, one, target, port, protocol)
    }

"""ClusterNetworkPolicy in flows and in the oracle's words: order of tiers and rules, peers, ports, cost.

Expectations are written from the API's rules; flows and oracle have to agree on each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, ip_network

import pytest

from controllers.pipeline import fields as f
from controllers.pipeline.match import dst, match, to_port, transport
from controllers.pipeline.registers import HAIRPIN, KNOWN, SOURCE, Source
from emulator.api.selectors import Operator, Requirement
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    ClusterPolicyRule,
    ClusterState,
    Direction,
    NetworkPolicy,
    Node,
    Pod,
    PolicyAction,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Tier,
)
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import parse_place
from emulator.oracle.ask import ask
from emulator.oracle.packet import Question

from .policy_lab import (
    PLAN,
    PODS,
    SCTP,
    TCP,
    UDP,
    XA,
    XB,
    XC,
    YA,
    YB,
    ZA,
    a_pod,
    cluster,
    label,
    passes,
    policy,
    program,
    question,
    verdict,
)

ACCEPT, DENY, PASS = PolicyAction
ADMIN, BASELINE = Tier
Y = PolicyPeer(namespaces=label("ns", "y"))
EVERYBODY = PolicyPeer(namespaces=())
X = PolicyPeer(namespaces=label("ns", "x"))
A = PolicyPeer(pods=label("pod", "a"), namespaces=label("ns", "x"))


def rule(action: PolicyAction, *peers: PolicyPeer, ports: Iterable[PolicyPort] = ()) -> ClusterPolicyRule:
    return ClusterPolicyRule(action, PolicyRule(peers, tuple(ports)))


def rules(
    *ingress: ClusterPolicyRule,
    egress: Iterable[ClusterPolicyRule] = (),
    tier: Tier = ADMIN,
    priority: int = 10,
    name: str = "rules",
    subject: PolicyPeer = A,
) -> ClusterNetworkPolicy:
    ref = Ref("ClusterNetworkPolicy", "", name)
    return ClusterNetworkPolicy(ref, tier, priority, subject, ingress, tuple(egress))


def ruled(*policies: ClusterNetworkPolicy | NetworkPolicy, pods: Iterable[Pod] = PODS) -> ClusterState:
    plain = [one for one in policies if isinstance(one, NetworkPolicy)]
    state = cluster(*plain, pods=pods)
    nodes = tuple(Node(node.name, {"name": node.name}) for node in PLAN.nodes)
    found = tuple(one for one in policies if isinstance(one, ClusterNetworkPolicy))
    return replace(state, cluster_policies=found, nodes=nodes)


def reaches(state: ClusterState, one: Pod, other: Pod, port: int = 80, protocol: Protocol = TCP) -> bool:
    """What flows and oracle say alike."""
    flows = passes(state, one, other, port, protocol)
    for family in (4, 6):
        target = next(address for address in other.addresses if address.version == family)
        place = parse_place(f"{one.ref.namespace}/{one.ref.name}")
        answer = ask(state, Question(place, target, protocol, port))
        assert (answer.outcome is Outcome.CONNECTED) == flows, answer
    return flows


# -- order -----------------------------------------------------------------------------------------


def test_who_is_a_subject_is_not_isolated() -> None:
    state = ruled(rules(rule(DENY, Y)))
    assert not reaches(state, YA, XA)
    assert reaches(state, ZA, XA)
    assert reaches(state, YA, XB)
    assert reaches(state, XA, YA), "ingress rules mean what the pod is sent"


def test_tiers_in_their_order() -> None:
    """Admin above NetworkPolicies, those above Baseline."""
    open_to_y = policy(pods=label("pod", "a"), ingress=[PolicyRule((Y,))])
    shut = policy(pods=label("pod", "a"), ingress=())
    assert not reaches(ruled(rules(rule(DENY, Y)), open_to_y), YA, XA)
    assert reaches(ruled(rules(rule(ACCEPT, Y)), shut), YA, XA)
    assert not reaches(ruled(rules(rule(ACCEPT, Y)), shut), ZA, XA)
    floor = rules(rule(DENY, EVERYBODY), tier=BASELINE)
    assert not reaches(ruled(floor), YA, XA)
    assert reaches(ruled(floor, open_to_y), YA, XA)
    assert not reaches(ruled(rules(rule(ACCEPT, EVERYBODY), tier=BASELINE), shut), YA, XA)


@pytest.mark.parametrize("tier", Tier)
def test_priorities_and_then_from_the_top(tier: Tier) -> None:
    low = rules(rule(DENY, EVERYBODY), tier=tier, priority=1000, name="a-low")
    high = rules(rule(ACCEPT, Y), tier=tier, priority=0, name="z-high")
    state = ruled(low, high)
    assert reaches(state, YA, XA)
    assert not reaches(state, ZA, XA)
    assert not reaches(ruled(low, replace(high, priority=1000)), YA, XA)
    top = rules(rule(ACCEPT, Y, ports=[PolicyPort(TCP, 80)]), rule(DENY, Y), tier=tier)
    assert reaches(ruled(top), YA, XA, 80)
    assert not reaches(ruled(top), YA, XA, 81)
    assert not reaches(ruled(replace(top, ingress=top.ingress[::-1])), YA, XA, 80)


def test_of_one_priority_the_first_name() -> None:
    one, other = rules(rule(ACCEPT, Y), name="a"), rules(rule(DENY, Y), name="b")
    assert reaches(ruled(one, other), YA, XA)
    swapped = (replace(one, ref=replace(one.ref, name="c")), other)
    assert not reaches(ruled(*swapped), YA, XA)


def test_pass_leaves_it_to_the_next_tier() -> None:
    passed = rules(rule(PASS, Y), rule(DENY, EVERYBODY))
    floor = rules(rule(DENY, Y, ports=[PolicyPort(TCP, 81)]), tier=BASELINE, name="floor")
    assert reaches(ruled(passed), YA, XA)
    assert not reaches(ruled(passed), ZA, XA)
    assert not reaches(ruled(passed, policy(pods=label("pod", "a"), ingress=())), YA, XA)
    assert [reaches(ruled(passed, floor), YA, XA, port) for port in (80, 81)] == [True, False]
    through = replace(floor, ingress=(rule(PASS, Y), *floor.ingress))
    assert reaches(ruled(passed, through), YA, XA, 81)


def test_directions_by_themselves_and_both_ends_have_to_agree() -> None:
    out = rules(egress=[rule(ACCEPT, Y), rule(DENY, EVERYBODY)])
    inward = rules(rule(DENY, EVERYBODY), name="in", subject=PolicyPeer(label("pod", "b"), label("ns", "y")))
    assert reaches(ruled(out), XA, YA)
    assert not reaches(ruled(out), XA, XB)
    assert reaches(ruled(out), ZA, XA)
    assert not reaches(ruled(out, inward), XA, YB)


# -- peers and ports -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (EVERYBODY, {"x/b", "x/c", "y/a", "y/b", "z/a"}),
        (Y, {"y/a", "y/b"}),
        (PolicyPeer(pods=label("pod", "b"), namespaces=()), {"x/b", "y/b"}),
        (PolicyPeer(pods=label("pod", "b"), namespaces=label("ns", "y")), {"y/b"}),
        (PolicyPeer(namespaces=(Requirement("ns", Operator.NOT_IN, ("x", "y")),)), {"z/a"}),
        (
            PolicyPeer(namespaces=(Requirement("none", Operator.DOES_NOT_EXIST),)),
            {"x/b", "x/c", "y/a", "y/b", "z/a"},
        ),
        (PolicyPeer(namespaces=label("ns", "nowhere")), set()),
    ],
)
def test_peers(peer: PolicyPeer, expected: set[str]) -> None:
    others = [one for one in PODS if one is not XA]
    state = ruled(rules(rule(DENY, peer), egress=[rule(DENY, peer)]))
    for way in (lambda one: reaches(state, one, XA), lambda one: reaches(state, XA, one)):
        assert {f"{one.ref.namespace}/{one.ref.name}" for one in others if not way(one)} == expected


def test_peers_beyond_the_pods() -> None:
    first = [PolicyPeer(block=ip_network(f"{address}/{address.max_prefixlen}")) for address in YA.addresses]
    blocked = ruled(rules(egress=[rule(DENY, *first)]))
    assert not reaches(blocked, XA, YA)
    assert reaches(blocked, XA, ZA)
    nodes = PolicyPeer(nodes=(Requirement("name", Operator.IN, ("worker-2",)),))
    state = ruled(rules(egress=[rule(DENY, nodes)]))
    for node, expected in (("worker-1", True), ("worker-2", False), ("worker-3", True)):
        for interface in PLAN.node(node).addresses:
            answer = ask(state, Question(parse_place("x/a"), interface.ip, TCP, 22))
            assert (answer.outcome is Outcome.CONNECTED) == expected
    assert reaches(state, XA, XC), "a pod on that node is not the node"


def opened(*ports: PolicyPort, protocol: Protocol = TCP) -> set[int]:
    """Which ports of `x/a` the rule denies."""
    state = ruled(rules(rule(DENY, Y, ports=ports)))
    return {port for port in (53, 79, 80, 85, 90, 91, 8080) if not reaches(state, YA, XA, port, protocol)}


def test_ports() -> None:
    for protocol in Protocol:
        assert opened(PolicyPort(protocol, 80), protocol=protocol) == {80}
        assert opened(PolicyPort(protocol, 80, 90), protocol=protocol) == {80, 85, 90}
        assert len(opened(PolicyPort(protocol, None), protocol=protocol)) == 7
    assert opened(PolicyPort(TCP, 80), protocol=UDP) == set()
    names = [PolicyPort(protocol, "web") for protocol in Protocol]
    assert opened(*names) == {80}
    assert opened(*names, protocol=SCTP) == set()
    state = ruled(rules(subject=Y, egress=[rule(DENY, X, ports=names)]))
    assert [reaches(state, YA, to, port) for to in (XA, XB) for port in (80, 8080)] == [
        False,
        True,
        True,
        False,
    ]


def test_what_networkpolicies_have_no_say_about() -> None:
    """A pod to itself through a Service, and to its own node: rules mean them, the baseline as well."""
    node = PLAN.node("worker-1").addresses[0].ip
    assert isinstance(node, IPv4Address)
    assert XA.port is not None
    for tier in Tier:
        itself = ruled(rules(rule(DENY, X), tier=tier))
        assert not passes(itself, XA, XA, 80, TCP, HAIRPIN(1))
        away = ruled(rules(egress=[rule(DENY, PolicyPeer(nodes=()))], tier=tier))
        packet = match(f.IN_PORT(XA.port.ofport), SOURCE(Source.POD), dst(node))
        assert not verdict(away, Direction.EGRESS, XA, packet).actions
        assert ask(away, Question(parse_place("x/a"), node, TCP, 22)).outcome is Outcome.DROPPED
        isolated = ruled(rules(egress=[rule(DENY, PolicyPeer(nodes=()))], tier=tier), policy(egress=()))
        assert bool(verdict(isolated, Direction.EGRESS, XA, packet).actions) == (tier is BASELINE)


def test_known_connections_pass() -> None:
    state = ruled(rules(rule(DENY, EVERYBODY)), rules(rule(DENY, EVERYBODY), tier=BASELINE, name="floor"))
    for protocol in Protocol:
        assert not passes(state, YA, XA, 80, protocol)
        assert passes(state, YA, XA, 80, protocol, KNOWN(1))


def test_protocols_without_ports_need_a_rule_without_ports() -> None:
    for ports, expected in (((), False), ((PolicyPort(TCP, None),), True)):
        state = ruled(rules(rule(DENY, Y, ports=ports)))
        what = (*transport(4, TCP)[:1], f.IP_PROTO(1))
        packet = question(YA, XA, what, Direction.INGRESS)
        assert bool(verdict(state, Direction.INGRESS, XA, packet).actions) == expected


def test_pods_of_the_host_network_are_never_meant() -> None:
    host = replace(XB, host_network=True, port=None)
    state = ruled(rules(rule(DENY, EVERYBODY), subject=EVERYBODY), pods=(host, YA))
    assert not [flow for flow in program(state, "worker-1") if str(XB.addresses[0]) in str(flow.match)]


# -- reasons and cost ------------------------------------------------------------------------------


def test_a_drop_names_its_rule() -> None:
    state = ruled(rules(rule(ACCEPT, Y), replace(rule(DENY, EVERYBODY), name="rest"), name="fence"))
    found = verdict(state, Direction.INGRESS, XA, question(ZA, XA, to_port(4, TCP, 80), Direction.INGRESS))
    assert (str(found.owner), found.name) == ("ClusterNetworkPolicy/fence", "denied-by-rule-2")
    answer = ask(state, Question(parse_place("z/a"), XA.addresses[0], TCP, 80))
    assert answer.explanation == (
        "ingress of x/a denied by ClusterNetworkPolicy/fence, rule 2 (rest), Admin tier: z/a, 80/tcp"
    )
    assert answer.because_of("ingress-denied")
    assert answer.because_of("ClusterNetworkPolicy/fence")


@pytest.mark.parametrize(("targets", "peers", "ports"), [(1, 2, 2), (5, 40, 10), (30, 30, 25)])
def test_flows_grow_with_the_sum_of_peers_and_ports(targets: int, peers: int, ports: int) -> None:
    """T + F*(P + Q) + 1 for F families."""
    inside = [a_pod(f"x/t{number}", 10 + number) for number in range(targets)]
    outside = [a_pod(f"y/p{number}", 10 + number, "worker-2") for number in range(peers)]
    numbers = [PolicyPort(TCP, 2 * n + 1) for n in range(ports)]
    state = ruled(rules(rule(DENY, Y, ports=numbers), subject=X), pods=(*inside, *outside))
    families = len(PLAN.node("worker-1").pod_cidrs)
    found = [flow for flow in program(state, "worker-1") if flow.owner.kind == "ClusterNetworkPolicy"]
    assert len(found) == targets + families * (peers + ports) + 1
    assert not [flow for flow in program(state, "worker-2") if flow.owner.kind == "ClusterNetworkPolicy"]

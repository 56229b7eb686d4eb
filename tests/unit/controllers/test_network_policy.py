"""NetworkPolicy in flows: what packets of isolated pods meet, and how many flows that takes.

Expectations are written from the API's rules.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from controllers.pipeline import fields as f
from controllers.pipeline.actions import load
from controllers.pipeline.compile import Compiler, compile_cluster
from controllers.pipeline.conjunctions import masked
from controllers.pipeline.diff import diff
from controllers.pipeline.fields import Field, Term, ct_state
from controllers.pipeline.match import dst, match, src, to_port, transport
from controllers.pipeline.registers import HAIRPIN, KNOWN, OUT_PORT, SOURCE, Source
from controllers.pipeline.tables import (
    CONNTRACK_STATE,
    EGRESS_DEFAULT_RULE,
    INGRESS_DEFAULT_RULE,
)
from emulator.api.selectors import Operator, Requirement
from emulator.cluster.model import (
    ClusterState,
    Direction,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
)

from .cluster import pod, wiring
from .policy_lab import (
    ANYBODY,
    NAMESPACES,
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
    clients,
    cluster,
    decide,
    label,
    meets,
    passes,
    policy,
    program,
    question,
    verdict,
)

EVERYBODY = {"x/a", "x/b", "x/c", "y/a", "y/b", "z/a"}


# -- isolation -------------------------------------------------------------------------------------


def test_who_is_not_selected_is_free() -> None:
    state = cluster(policy(pods=label("pod", "a"), ingress=()))
    assert clients(state, XA) == set()
    assert clients(state, XB) == EVERYBODY - {"x/b"}
    assert clients(state, YA) == EVERYBODY - {"y/a"}


def test_directions_are_isolated_by_themselves() -> None:
    state = cluster(policy(pods=label("pod", "a"), egress=()))
    assert clients(state, XA) == EVERYBODY - {"x/a"}
    assert "x/a" not in clients(state, YB)


def test_both_ends_have_to_allow() -> None:
    out = policy(pods=label("pod", "a"), egress=[PolicyRule((PolicyPeer(namespaces=label("ns", "y")),))])
    inward = policy(namespace="y", pods=label("pod", "b"), ingress=())
    state = cluster(out, inward)
    assert passes(state, XA, YA)
    assert not passes(state, XA, YB)
    assert not passes(state, XA, ZA)


@pytest.mark.parametrize("order", [1, -1])
def test_policies_add_up_in_any_order(order: int) -> None:
    policies = [
        policy(name="deny", ingress=()),
        policy(name="some", ingress=[PolicyRule((PolicyPeer(pods=label("pod", "b")),))]),
        policy(name="ports", ingress=[PolicyRule((), (PolicyPort(TCP, 81),))]),
    ]
    state = cluster(*policies[::order])
    assert clients(state, XA) == {"x/b"}
    assert clients(state, XA, 81) == EVERYBODY - {"x/a"}


def test_policies_of_another_namespace_do_not_count() -> None:
    assert clients(cluster(policy(namespace="y", ingress=())), XA) == EVERYBODY - {"x/a"}


# -- peers -----------------------------------------------------------------------------------------

NOT_X = (Requirement("ns", Operator.NOT_IN, ("x",)),)


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ([PolicyPeer(pods=())], {"x/b", "x/c"}),
        ([PolicyPeer(namespaces=())], EVERYBODY - {"x/a"}),
        ([PolicyPeer(namespaces=label("ns", "y"))], {"y/a", "y/b"}),
        ([PolicyPeer(pods=label("pod", "b"), namespaces=label("ns", "y"))], {"y/b"}),
        (
            [PolicyPeer(pods=label("pod", "b")), PolicyPeer(namespaces=label("ns", "y"))],
            {"x/b", "y/a", "y/b"},
        ),
        ([PolicyPeer(pods=label("pod", "b"), namespaces=NOT_X)], {"y/b"}),
        ([PolicyPeer(namespaces=(Requirement("other", Operator.NOT_IN, ("v",)),))], EVERYBODY - {"x/a"}),
        ([PolicyPeer(pods=label("pod", "nobody"))], set()),
        ([], EVERYBODY - {"x/a"}),
    ],
)
def test_peers(peers: list[PolicyPeer], expected: set[str]) -> None:
    state = cluster(policy(pods=label("pod", "a"), ingress=[PolicyRule(tuple(peers))]))
    assert clients(state, XA) == expected


def test_ip_blocks_mean_pods_too_and_exceptions_are_this_rules_alone() -> None:
    blocks = [PolicyPeer(block=ip_network(cidr)) for cidr in ("10.244.0.0/16", "fd00:10:244::/48")]
    first = (f"{XB.addresses[0]}/32", f"{XB.addresses[1]}/128")
    narrow = [replace(block, excepts=(ip_network(part),)) for block, part in zip(blocks, first, strict=True)]
    out = PolicyRule(tuple(narrow))
    state = cluster(policy(pods=label("pod", "a"), egress=[out]))
    assert not passes(state, XA, XB)
    assert passes(state, XA, XC)
    again = PolicyRule(tuple(PolicyPeer(block=ip_network(text)) for text in first))
    assert passes(cluster(policy(pods=label("pod", "a"), egress=[out, again])), XA, XB)


def test_pods_of_the_host_network_are_their_node() -> None:
    node = PLAN.node("worker-2")
    host = replace(
        XB, host_network=True, port=None, node="worker-2", addresses=tuple(a.ip for a in node.addresses)
    )
    pods = (XA, host, YA)
    state = cluster(policy(ingress=[PolicyRule((PolicyPeer(namespaces=()),))]), pods=pods)
    flows = [flow for flow in program(state, "worker-1") if flow.owner.kind == "NetworkPolicy"]
    assert not any(meets(flow, match(src(host.addresses[0]))) for flow in flows)
    assert not [flow for flow in program(state, "worker-2") if flow.owner.kind == "NetworkPolicy"]


# -- ports -----------------------------------------------------------------------------------------


def opened(*ports: PolicyPort, protocol: Protocol = TCP) -> set[int]:
    """Which of the interesting ports of `x/a` and `x/b` alike are open."""
    state = cluster(policy(ingress=[PolicyRule((), ports)]))
    return {
        port for port in (0, 53, 79, 80, 81, 89, 90, 91, 8080, 65535) if passes(state, YA, XA, port, protocol)
    }


def test_ports() -> None:
    assert opened(PolicyPort(TCP, 80)) == {80}
    assert opened(PolicyPort(TCP, 80), protocol=UDP) == set()
    assert opened(PolicyPort(TCP, 80, 90)) == {80, 81, 89, 90}
    assert opened(PolicyPort(TCP, 80, 90), PolicyPort(TCP, 80), PolicyPort(TCP, 91)) == {80, 81, 89, 90, 91}
    assert len(opened(PolicyPort(TCP, None))) == 10
    assert opened(PolicyPort(TCP, None), protocol=SCTP) == set()
    assert opened(PolicyPort(SCTP, 81), protocol=SCTP) == {81}
    assert opened(PolicyPort(TCP, "web")) == {80}
    assert opened(PolicyPort(TCP, "web"), PolicyPort(TCP, 81)) == {80, 81}
    assert opened(PolicyPort(UDP, "web"), PolicyPort(TCP, "nothing")) == set()


def test_a_named_port_is_the_destinations() -> None:
    inward = cluster(policy(ingress=[PolicyRule((), (PolicyPort(TCP, "web"),))]))
    assert [passes(inward, YA, to, port) for to in (XA, XB) for port in (80, 8080)] == [
        True,
        False,
        False,
        True,
    ]
    out = cluster(policy(pods=label("pod", "c"), egress=[PolicyRule((), (PolicyPort(TCP, "web"),))]))
    assert [passes(out, XC, to, port) for to in (XA, XB) for port in (80, 8080)] == [True, False, False, True]
    assert not passes(out, XC, ZA)


def test_protocols_without_ports_need_a_rule_without_ports() -> None:
    ping = {4: (f.IP_PROTO(1),), 6: (f.IP_PROTO(58),)}
    for rule, expected in ((ANYBODY, True), (PolicyRule((), (PolicyPort(TCP, None),)), False)):
        state = cluster(policy(ingress=[rule]))
        for family, protocol in ping.items():
            what = (*transport(family, TCP)[:1], *protocol)
            packet = question(YA, XA, what, Direction.INGRESS)
            assert bool(verdict(state, Direction.INGRESS, XA, packet).actions) == expected


@pytest.mark.parametrize(
    ("first", "last"), [(0, 65535), (1, 65534), (80, 80), (1, 1), (0, 0), (1000, 2000), (65535, 65535)]
)
def test_ranges_are_exact_and_short(first: int, last: int) -> None:
    pieces = list(masked(first, last))
    covered = [port for value, mask in pieces for port in range(value, value + (0x10000 - mask))]
    assert covered == list(range(first, last + 1))
    assert len(pieces) <= 30


# -- what no policy can forbid ---------------------------------------------------------------------

LOCKED = cluster(policy(ingress=(), egress=()), policy(name="y", namespace="y", ingress=(), egress=()))


def ends(*more: Term) -> list[bool]:
    return [passes(LOCKED, YA, XA, 80, protocol, *more) for protocol in (TCP, UDP, SCTP)]


def test_known_connections_and_answers_pass() -> None:
    assert ends() == [False] * 3
    assert ends(KNOWN(1)) == [True] * 3
    flows = [flow for flow in program(LOCKED, "worker-1") if flow.stage is CONNTRACK_STATE]
    for state in (ct_state("+trk+est-new-rpl"), ct_state("+trk+est-new+rpl")):
        met = [decide(flows, CONNTRACK_STATE, match(transport(4, one), state)) for one in Protocol]
        assert [load(KNOWN, 1) in flow.actions for flow in met] == [True, True, False], (
            "what is known of SCTP is known of its addresses"
        )


def test_a_pod_reaches_itself_through_a_service() -> None:
    assert passes(LOCKED, XA, XA, 80, TCP, HAIRPIN(1))


def test_a_pod_and_its_own_node_reach_each_other() -> None:
    node, other = PLAN.node("worker-1"), PLAN.node("worker-2")
    assert XA.port is not None
    for addresses, expected in ((node.addresses, True), (other.addresses, False)):
        for address in addresses:
            packet = match(f.IN_PORT(XA.port.ofport), SOURCE(Source.POD), dst(address.ip))
            assert bool(verdict(LOCKED, Direction.EGRESS, XA, packet).actions) == expected
    for source, expected in ((Source.HOST, True), (Source.TUNNEL, False), (Source.UPLINK, False)):
        packet = match(SOURCE(source), OUT_PORT(XA.port.ofport))
        assert bool(verdict(LOCKED, Direction.INGRESS, XA, packet).actions) == expected


# -- flows -----------------------------------------------------------------------------------------


def test_a_drop_names_its_policy() -> None:
    one = policy(name="b-policy", pods=label("pod", "a"), ingress=())
    packet = question(YA, XA, to_port(4, TCP, 80), Direction.INGRESS)
    alone = verdict(cluster(one), Direction.INGRESS, XA, packet)
    assert (alone.owner, alone.name) == (one.ref, "isolated")
    another = policy(name="a-policy", ingress=())
    several = verdict(cluster(one, another), Direction.INGRESS, XA, packet)
    assert (several.owner, several.name) == (another.ref, "isolated-by-2")


@pytest.mark.parametrize(("targets", "peers", "ports"), [(1, 2, 2), (5, 40, 10), (30, 30, 30)])
def test_flows_grow_with_the_sum_of_peers_and_ports(targets: int, peers: int, ports: int) -> None:
    """T + F*(P + Q) + 1 for F families, and one drop for each isolated pod."""
    inside = [a_pod(f"x/t{number}", 10 + number) for number in range(targets)]
    outside = [a_pod(f"y/p{number}", 10 + number, "worker-2") for number in range(peers)]
    rule = PolicyRule(
        (PolicyPeer(namespaces=label("ns", "y")),), tuple(PolicyPort(TCP, 2 * n + 1) for n in range(ports))
    )
    state = cluster(policy(ingress=[rule]), pods=(*inside, *outside))
    families = len(PLAN.node("worker-1").pod_cidrs)
    found = [flow for flow in program(state, "worker-1") if flow.owner.kind == "NetworkPolicy"]
    assert len(found) == targets + families * (peers + ports) + 1 + targets
    assert not [flow for flow in program(state, "worker-2") if flow.owner.kind == "NetworkPolicy"]


def test_rules_share_what_they_have_in_common() -> None:
    rules = [
        PolicyRule((PolicyPeer(namespaces=label("ns", ns)),), (PolicyPort(TCP, 80),)) for ns in ("y", "z")
    ]
    state = cluster(policy(pods=label("pod", "a"), ingress=rules))
    (port,) = [
        flow
        for flow in program(state, "worker-1")
        if flow.owner.kind == "NetworkPolicy" and flow.match == match(to_port(4, TCP, 80))
    ]
    assert len(port.actions) == 2


def test_a_rule_that_comes_leaves_the_others_as_they_are() -> None:
    kept = policy(
        name="b", ingress=[PolicyRule((PolicyPeer(pods=label("pod", "b")),), (PolicyPort(TCP, 80),))]
    )
    new = policy(name="a", namespace="y", ingress=[PolicyRule((PolicyPeer(pods=()),), (PolicyPort(UDP, 9),))])
    change = diff(program(cluster(kept), "worker-1"), program(cluster(new, kept), "worker-1"))
    assert {flow.owner for flow in change.add} == {new.ref}
    assert not change.modify
    assert not change.remove


def test_policies_are_not_compiled_again_when_nothing_that_they_need_changes() -> None:
    before = cluster(policy(ingress=[PolicyRule((PolicyPeer(pods=()),))]))
    unready = cluster(*before.policies, pods=[replace(one, ready=False) for one in PODS])
    compiler = Compiler()
    first, second = compiler.compile(before)["n1"], compiler.compile(unready)["n1"]
    (unit,) = [name for name in first.units if getattr(name, "kind", "") == "NetworkPolicy"]
    assert first.units[unit] is second.units[unit]


def test_a_pod_is_guarded_from_the_version_that_knows_its_address() -> None:
    """Its containers start when that version is acknowledged (engine.pods), so no packet comes before."""
    deny = policy(ingress=(), egress=())
    late = a_pod("x/late", 40)
    born = replace(late, ready=False)
    change = diff(program(cluster(deny), "worker-1"), program(cluster(deny, pods=(*PODS, born)), "worker-1"))
    stages = {flow.stage for flow in change.add if flow.name == "isolated"}
    assert stages == {EGRESS_DEFAULT_RULE, INGRESS_DEFAULT_RULE}
    routes = [flow for flow in change.add if flow.owner == late.ref]
    assert routes, "the pod's own flows come with the very same bundle"


def test_addresses_of_a_family_that_the_cluster_has_not_are_left_out() -> None:
    plan = wiring("only-ipv4")
    one = replace(pod(plan, "a", "worker-1", 2), ref=Ref("Pod", "x", "a"))
    peers = (
        PolicyPeer(block=ip_network("fd00::/8")),
        PolicyPeer(block=ip_network(f"{ip_address('192.0.2.1')}/32")),
    )
    only = policy(ingress=[PolicyRule(peers)])
    found = compile_cluster(ClusterState(plan, pods=(one,), namespaces=NAMESPACES, policies=(only,)))["n1"]
    fields: set[Field] = {term.field for flow in found for term in flow.match if flow.owner == only.ref}
    assert f.IPV4_SRC in fields
    assert f.IPV6_SRC not in fields

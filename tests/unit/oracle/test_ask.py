"""What the oracle says, in tables; beside each row the rule's source."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from emulator.api.selectors import from_label_selector
from emulator.cluster.model import (
    ClusterState,
    Direction,
    NetworkPolicy,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Service,
    TrafficPolicy,
)
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import parse_place
from emulator.oracle.answer import Answer, Code
from emulator.oracle.ask import Oracle, UnanswerableError
from emulator.oracle.packet import Question
from tests.unit.controllers import cluster

C, D, R = Outcome.CONNECTED, Outcome.DROPPED, Outcome.REJECTED
WEB = ("shop/web-0", "shop/web-1", "shop/web-2")
PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP, "icmp": None}


def quiet(topology: str) -> ClusterState:
    """The written cluster, as if nobody had forbidden anything in it."""
    return replace(cluster.state(topology), policies=())


def ask(state: ClusterState, source: str, address: str, port: str) -> Answer:
    number, _, protocol = port.rpartition("/")
    question = Question(
        parse_place(source), ip_address(address), PROTOCOLS[protocol], int(number) if number else None
    )
    return Oracle(state).ask(question)


def places(answer: Answer) -> tuple[str, ...]:
    return tuple(sorted({arrival.place for arrival in answer.endpoints}))


def sources(answer: Answer) -> tuple[str, ...]:
    return tuple(sorted(map(str, answer.sources)))


SERVICES = [
    # kube-proxy pkg/proxy/iptables: KUBE-SERVICES, KUBE-SVC, KUBE-EXT, KUBE-MARK-MASQ, KUBE-FW
    ("shop/client", "10.96.0.20", "80/tcp", C, WEB, ("10.244.1.3",), None),
    ("shop/client", "10.96.0.20", "80/udp", D, (), (), Code.NO_SERVICE_PORT),
    ("shop/client", "10.96.0.20", "icmp", D, (), (), Code.NO_SERVICE_PORT),
    ("shop/web-0", "10.96.0.20", "80/tcp", C, WEB, ("10.244.1.1", "10.244.1.2"), None),
    ("node/worker-2", "10.96.0.20", "80/tcp", C, WEB, ("10.244.2.1",), None),
    ("shop/client", "10.96.0.22", "80/tcp", D, (), (), Code.NO_LOCAL_ENDPOINT),
    ("shop/web-2", "10.96.0.22", "80/tcp", C, ("shop/web-2",), ("10.244.3.1",), None),
    ("shop/client", "10.96.0.23", "53/udp", R, (), (), Code.NO_ENDPOINTS),
    ("ext/client", "192.168.50.12", "30080/tcp", C, WEB, ("10.244.2.1",), None),
    ("ext/client", "192.168.50.12", "30081/tcp", D, (), (), Code.NO_LOCAL_ENDPOINT),
    ("ext/client", "192.168.50.13", "30081/tcp", C, ("shop/web-2",), ("198.51.100.7",), None),
    ("shop/client", "192.168.50.11", "30081/tcp", C, ("shop/web-2",), ("10.244.1.3",), None),
    ("shop/client", "192.168.50.12", "30081/tcp", D, (), (), Code.NO_LOCAL_ENDPOINT),
    ("shop/client", "192.168.50.13", "30081/tcp", C, ("shop/web-2",), ("192.168.50.11",), None),
    ("node/worker-1", "192.168.50.11", "30081/tcp", C, ("shop/web-2",), ("10.244.1.1",), None),
    ("node/worker-1", "127.0.0.1", "30080/tcp", C, WEB, ("10.244.1.1",), None),
    ("shop/client", "203.0.113.9", "80/tcp", C, ("shop/web-0",), ("10.244.1.3",), None),
    ("shop/client", "203.0.113.10", "80/tcp", D, (), (), Code.SOURCE_RANGES),
    # portmap CNI plugin: hostPort, at every address of the node or at one; the client is kept
    ("ext/client", "192.168.50.11", "80/tcp", C, ("shop/client",), ("198.51.100.7",), None),
    ("ext/client", "192.168.50.12", "80/tcp", C, ("node/worker-2",), ("198.51.100.7",), None),
    ("shop/web-0", "192.168.50.11", "53/udp", C, ("node/worker-1",), ("10.244.1.2",), None),
    ("node/worker-1", "127.0.0.1", "53/udp", C, ("shop/client",), ("10.244.1.1",), None),
    ("shop/client", "192.168.50.11", "80/tcp", C, ("shop/client",), ("10.244.1.1",), None),
    # the network model: pods reach pods without translation, and leave the cluster as their node
    ("shop/client", "10.244.3.2", "9/udp", C, ("shop/web-2",), ("10.244.1.3",), None),
    ("shop/client", "10.244.3.9", "9/udp", D, (), (), Code.NO_SUCH_POD),
    ("shop/client", "192.168.50.12", "22/tcp", C, ("node/worker-2",), ("192.168.50.11",), None),
    ("shop/client", "192.168.50.11", "22/tcp", C, ("node/worker-1",), ("10.244.1.3",), None),
    ("shop/client", "198.51.100.80", "80/tcp", C, ("ext/server",), ("203.0.113.1",), None),
    ("ext/server", "203.0.113.1", "80/tcp", D, (), (), Code.UNSOLICITED),
    ("ext/client", "10.244.1.3", "80/tcp", R, (), (), Code.NO_ROUTE),
    ("node/worker-1", "10.244.3.2", "icmp", C, ("shop/web-2",), ("10.244.1.1",), None),
]  # fmt: skip


@pytest.mark.parametrize(("source", "to", "port", "outcome", "ends", "seen", "code"), SERVICES)
def test_services_and_the_network(
    source: str,
    to: str,
    port: str,
    outcome: Outcome,
    ends: tuple[str, ...],
    seen: tuple[str, ...],
    code: Code | None,
) -> None:
    answer = ask(quiet("three-node"), source, to, port)
    assert (answer.outcome, places(answer), sources(answer)) == (outcome, ends, seen)
    assert code is None or answer.because_of(code), answer.reasons
    assert bool(answer.explanation) == (outcome is not C)


BALANCED = [
    # KEP-1860: VIP keeps the packet; Proxy makes it the balancer's, to a node port
    ("ext/client", "203.0.113.65", "80/tcp", C, 3),
    ("ext/client", "203.0.113.66", "80/tcp", C, 3),
    ("shop/client", "203.0.113.65", "80/tcp", C, 3),
    # status.loadBalancer, health checks: no node answers
    ("ext/client", "203.0.113.67", "80/tcp", D, 0),
    ("ext/client", "203.0.113.67", "81/tcp", D, 0),
]


@pytest.mark.parametrize(("source", "to", "port", "outcome", "count"), BALANCED)
def test_load_balancers(source: str, to: str, port: str, outcome: Outcome, count: int) -> None:
    answer = ask(quiet("two-zone-vpc"), source, to, port)
    assert (answer.outcome, len(places(answer))) == (outcome, count), answer.reasons


def test_an_advertised_cluster_ip_needs_no_node_port() -> None:
    """Calico, service advertisement: any node takes it, and masquerades."""
    answer = ask(quiet("on-prem-bgp"), "ext/client", "10.96.0.20", "80/tcp")
    assert (answer.outcome, places(answer)) == (C, WEB)
    assert sources(answer) == ("10.244.1.1", "10.244.2.1", "10.244.3.1")


def with_endpoints(number: int, **changes: object) -> ClusterState:
    """The three-node cluster; the endpoint of `web` that has that number is changed."""
    state = quiet("three-node")
    web, *others = state.services
    (port,) = web.ports
    changed = tuple(
        replace(endpoint, **changes)
        if endpoint.target and endpoint.target.name == f"web-{number}"
        else endpoint
        for endpoint in port.endpoints
    )
    return replace(state, services=(replace(web, ports=(replace(port, endpoints=changed),)), *others))


def only_web(state: ClusterState, change: dict[int, dict[str, object]]) -> tuple[str, ...]:
    web, *others = state.services
    (port,) = web.ports
    changed = tuple(
        replace(endpoint, **change.get(int((endpoint.target or Ref("", "", "0")).name[-1]), {}))
        for endpoint in port.endpoints
    )
    altered = replace(state, services=(replace(web, ports=(replace(port, endpoints=changed),)), *others))
    return places(ask(altered, "shop/client", "10.96.0.20", "80/tcp"))


GONE = {"ready": False, "serving": False}
DRAINING = {"ready": False, "serving": True, "terminating": True}
IN_A, IN_B = {"for_zones": ("a",)}, {"for_zones": ("b",)}
CHOICES = [
    # KEP-1669: those that terminate serve only where nobody is ready
    ({0: GONE}, WEB[1:]),
    ({0: DRAINING}, WEB[1:]),
    ({0: DRAINING, 1: GONE, 2: GONE}, WEB[:1]),
    # KEP-2433, KEP-3015: all have hints and one speaks of this place, or hints do not count
    ({0: IN_A, 1: IN_B, 2: IN_A}, ("shop/web-0", "shop/web-2")),
    ({0: IN_A, 1: IN_B}, WEB),
    ({n: {"for_zones": ("elsewhere",)} for n in range(3)}, WEB),
    ({n: {"for_zones": ("a",), "for_nodes": (f"worker-{n + 1}",)} for n in range(3)}, WEB[:1]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "chosen"), CHOICES)
def test_which_endpoints_serve(change: dict[int, dict[str, object]], chosen: tuple[str, ...]) -> None:
    state = quiet("three-node")
    zoned = replace(
        state,
        wiring=replace(state.wiring, nodes=tuple(replace(node, zone="a") for node in state.wiring.nodes)),
    )
    assert only_web(zoned, change) == chosen


def test_an_endpoint_beyond_the_cluster_sees_the_nat_gateway() -> None:
    state = with_endpoints(0, address=ip_address("198.51.100.80"), node=None, target=None)
    answer = ask(state, "shop/client", "10.96.0.20", "80/tcp")
    assert places(answer) == ("ext/server", "shop/web-1", "shop/web-2")
    assert sources(answer) == ("10.244.1.3", "203.0.113.1")


# -- NetworkPolicy ---------------------------------------------------------------------------------

APP = {"client": {"app": "client"}, "web-0": {"app": "web"}, "web-1": {"app": "web"}, "web-2": {"app": "db"}}


def policy(name: str, chosen: dict[str, str], *sides: str, **rules: tuple[PolicyRule, ...]) -> NetworkPolicy:
    return NetworkPolicy(
        Ref("NetworkPolicy", "shop", name),
        from_label_selector({"matchLabels": chosen}) or (),
        frozenset(Direction(side) for side in sides),
        **rules,
    )


def pods(**labels: str) -> PolicyPeer:
    return PolicyPeer(pods=from_label_selector({"matchLabels": labels}))


def block(cidr: str, *excepts: str) -> PolicyPeer:
    return PolicyPeer(block=ip_network(cidr), excepts=tuple(map(ip_network, excepts)))


def tcp(port: int | str | None, last: int | None = None) -> PolicyPort:
    return PolicyPort(Protocol.TCP, port, last)


DENY = policy("deny", {}, "Ingress")
DENY_OUT = policy("deny-out", {}, "Egress")


def allow(*peers: PolicyPeer, ports: tuple[PolicyPort, ...] = ()) -> NetworkPolicy:
    return policy("allow", {}, "Ingress", ingress=(PolicyRule(peers, ports),))


def allow_out(*peers: PolicyPeer, ports: tuple[PolicyPort, ...] = ()) -> NetworkPolicy:
    return policy("allow-out", {}, "Egress", egress=(PolicyRule(peers, ports),))


ANY = PolicyPeer(namespaces=())
POLICIES = [
    # website, network-policies: isolation, rules add up, peers and ports of one rule both hold
    ((), "shop/client", "10.244.2.2", "80/tcp", C),
    ((DENY,), "shop/client", "10.244.2.2", "80/tcp", D),
    ((DENY,), "shop/client", "10.244.2.2", "icmp", D),
    ((DENY, allow()), "shop/client", "10.244.2.2", "80/tcp", C),
    ((DENY, allow(pods(app="client"))), "shop/client", "10.244.2.2", "80/tcp", C),
    ((DENY, allow(pods(app="client"))), "shop/web-0", "10.244.2.2", "80/tcp", D),
    ((DENY, allow(pods(app="no"), pods(app="client"))), "shop/client", "10.244.2.2", "80/tcp", C),
    ((allow(ANY),), "shop/client", "10.244.2.2", "80/tcp", C),
    ((allow(PolicyPeer(namespaces=from_label_selector({"matchLabels": {"team": "x"}}))),),
     "shop/client", "10.244.2.2", "80/tcp", D),
    ((allow(ports=(tcp(80),)),), "shop/client", "10.244.2.2", "80/tcp", C),
    ((allow(ports=(tcp(80),)),), "shop/client", "10.244.2.2", "80/udp", D),
    ((allow(ports=(tcp(80),)),), "shop/client", "10.244.2.2", "81/tcp", D),
    ((allow(ports=(tcp(80, 90),)),), "shop/client", "10.244.2.2", "90/tcp", C),
    ((allow(ports=(tcp(80, 90),)),), "shop/client", "10.244.2.2", "91/tcp", D),
    ((allow(ports=(tcp(None),)),), "shop/client", "10.244.2.2", "9/tcp", C),
    # a rule with ports means no ICMP, one without means it, too
    ((allow(ports=(tcp(None),)),), "shop/client", "10.244.2.2", "icmp", D),
    ((allow(),), "shop/client", "10.244.2.2", "icmp", C),
    # named ports are the receiving pod's, with the same protocol
    ((allow(ports=(tcp("http"),)),), "shop/web-0", "10.244.1.3", "8080/tcp", C),
    ((allow(ports=(tcp("http"),)),), "shop/web-0", "10.244.1.3", "80/tcp", D),
    ((allow_out(ports=(tcp("http"),)),), "shop/web-0", "10.244.1.3", "8080/tcp", C),
    ((allow_out(ports=(tcp("http"),)),), "shop/client", "10.244.2.2", "8080/tcp", D),
    # ipBlock: pods' addresses match (upstream e2e), except takes out
    ((allow(block("10.244.1.0/24")),), "shop/client", "10.244.2.2", "80/tcp", C),
    ((allow(block("10.244.1.0/24", "10.244.1.3/32")),), "shop/client", "10.244.2.2", "80/tcp", D),
    # evaluated after the service's address is translated
    ((allow_out(ANY, ports=(tcp(8080),)),), "shop/client", "10.96.0.20", "80/tcp", C),
    ((allow_out(block("10.96.0.0/16")),), "shop/client", "10.96.0.20", "80/tcp", D),
    ((allow_out(ports=(tcp(80),)),), "shop/client", "10.96.0.20", "80/tcp", D),
    # a pod's own node speaks to it and is spoken to; another node is not its own
    ((DENY,), "node/worker-2", "10.244.2.2", "80/tcp", C),
    ((DENY,), "node/worker-1", "10.244.2.2", "80/tcp", D),
    ((DENY_OUT,), "shop/client", "192.168.50.11", "22/tcp", C),
    ((DENY_OUT,), "shop/client", "192.168.50.12", "22/tcp", D),
    # a pod cannot be cut off from itself, not even through a service
    ((DENY, DENY_OUT), "shop/client", "10.244.1.3", "80/tcp", C),
    ((DENY, DENY_OUT), "shop/web-0", "203.0.113.9", "80/tcp", C),
    # off-cluster: selectors mean nobody there, blocks do
    ((DENY_OUT,), "shop/client", "198.51.100.80", "80/tcp", D),
    ((allow_out(ANY),), "shop/client", "198.51.100.80", "80/tcp", D),
    ((allow_out(block("198.51.100.0/24")),), "shop/client", "198.51.100.80", "80/tcp", C),
    # the client's own address is judged where its packets are not yet masqueraded: on the endpoint's node
    ((allow(block("198.51.100.7/32")),), "ext/client", "192.168.50.13", "30081/tcp", C),
    ((DENY,), "ext/client", "192.168.50.13", "30081/tcp", D),
    # an answer is not judged, and egress of the client does not isolate the server
    ((policy("deny", {"app": "web"}, "Egress"),), "shop/client", "10.244.2.2", "80/tcp", C),
    ((policy("deny", {"app": "db"}, "Ingress"),), "shop/client", "10.96.0.20", "80/tcp", Outcome.MIXED),
]  # fmt: skip


@pytest.mark.parametrize(("policies", "source", "to", "port", "outcome"), POLICIES)
def test_policies(
    policies: tuple[NetworkPolicy, ...], source: str, to: str, port: str, outcome: Outcome
) -> None:
    state = quiet("three-node")
    labelled = replace(
        state,
        policies=policies,
        namespaces={"shop": {"team": "y"}},
        pods=tuple(replace(pod, labels=APP[pod.ref.name]) for pod in state.pods),
    )
    answer = ask(labelled, source, to, port)
    assert answer.outcome is outcome, answer.reasons
    if outcome is D:
        assert any(answer.because_of(str(one.ref)) for one in policies)


def test_the_reason_names_the_policy_and_the_other_end() -> None:
    state = replace(quiet("three-node"), policies=(DENY,))
    answer = ask(state, "shop/client", "10.96.0.20", "80/tcp")
    assert (
        "shop/web-1 isolated for ingress by NetworkPolicy/shop/deny; no rule allows shop/client, 8080/tcp"
        in (answer.explanation)
    )
    assert answer.because_of("NetworkPolicy/shop/deny")
    assert answer.because_of("ingress-isolated")
    assert not answer.because_of("Service/shop/web"), "that was met on the way, and is no reason"


def test_ipv6_is_asked_as_ipv4_is() -> None:
    state = quiet("three-node")
    assert places(ask(state, "shop/client", "fd00:10:96::14", "80/tcp")) == WEB
    assert ask(state, "shop/client", "fd00:10:96::17", "53/udp").outcome is R
    assert ask(state, "shop/client", "::1", "80/tcp").outcome is C


def test_a_service_is_asked_by_name() -> None:
    question = Question(parse_place("shop/client"), parse_place("svc/shop/web"), Protocol.TCP, 80, 6)
    assert places(Oracle(quiet("three-node")).ask(question)) == WEB


@pytest.mark.parametrize(
    "source", ["shop/nobody", "node/worker-9", "ext/nobody", "router/fabric", "svc/shop/web"]
)
def test_who_cannot_send_is_not_answered(source: str) -> None:
    with pytest.raises(UnanswerableError):
        ask(quiet("three-node"), source, "10.96.0.20", "80/tcp")


def test_the_local_policy_of_one_service_does_not_touch_another() -> None:
    state = quiet("three-node")
    first: Service = replace(state.services[0], external_traffic_policy=TrafficPolicy.LOCAL)
    changed = replace(state, services=(first, *state.services[1:]))
    assert sources(ask(changed, "ext/client", "192.168.50.12", "30080/tcp")) == ("198.51.100.7",)
    assert sources(ask(changed, "ext/client", "192.168.50.12", "30082/tcp")) == ("10.244.2.1",)

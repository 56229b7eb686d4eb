"""Random clusters, and random questions about them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import strategies as st

from emulator.api.selectors import Operator, Requirement, Selector
from emulator.cluster.ipam import pod_port
from emulator.cluster.model import (
    ClusterState,
    ContainerPort,
    Direction,
    Endpoint,
    LoadBalancerAddress,
    NetworkPolicy,
    Node,
    Pod,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Service,
    ServicePort,
    ServiceType,
    TrafficPolicy,
)
from emulator.cluster.places import parse_place
from emulator.cluster.wiring import IPAddress, Wiring
from emulator.oracle.packet import Question
from tests.property.cluster_policies import cluster_policies
from tests.unit.controllers.cluster import wiring

MOST_PODS = 6
TOPOLOGIES = ("three-node", "three-node-routed", "three-node-ipv6", "two-zone-vpc")
NAMESPACES = {"x": {"team": "red"}, "y": {"team": "blue"}}
NUMBERS = (80, 81, 8080, 9000)
PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
PUBLIC = ("203.0.113.200", "2001:db8:203:0:113::c8")
RANGES = ("198.51.100.0/24", "10.244.1.0/24", "192.168.50.0/24", "2001:db8::/32", "fd00::/8")

labels = st.fixed_dictionaries({"app": st.sampled_from("abc")})
protocols = st.sampled_from(PROTOCOLS)
numbers = st.sampled_from(NUMBERS)
policy_of_traffic = st.sampled_from(TrafficPolicy)


@st.composite
def pods(draw: st.DrawFn, plan: Wiring) -> tuple[Pod, ...]:
    """One to six pods; a few on the network of their node, a few with a hostPort."""
    found: list[Pod] = []
    taken: set[tuple[str, Protocol, int]] = set()
    for number in range(draw(st.integers(1, MOST_PODS))):
        node = draw(st.sampled_from(plan.nodes))
        on_host = draw(st.integers(0, 7)) == 0
        port = pod_port(plan, node.name, number + 2)
        own = tuple(interface.ip for interface in (node.addresses if on_host else port.addresses))
        declared = [
            ContainerPort(name, protocol, draw(numbers))
            for name, protocol in draw(
                st.lists(st.tuples(st.sampled_from(("web", "dns")), protocols), max_size=2, unique=True)
            )
        ]
        if draw(st.integers(0, 3)) == 0 and not on_host:
            claim = (node.name, draw(protocols), draw(numbers))
            # Known fault: a hostPort of SCTP keeps its number, whatever the container's port is.
            inside = claim[2] if claim[1] is Protocol.SCTP else draw(numbers)
            if claim not in taken:
                taken.add(claim)
                declared.append(ContainerPort("", claim[1], inside, host_port=claim[2]))
        found.append(
            Pod(
                ref=Ref("Pod", draw(st.sampled_from(tuple(NAMESPACES))), f"pod-{number}"),
                uid=str(number),
                node=node.name,
                labels=draw(labels),
                addresses=own,
                host_network=on_host,
                ready=True,
                terminating=False,
                container_ports=tuple(declared),
                port=None if on_host else port,
            )
        )
    return tuple(found)


STATES: tuple[dict[str, bool], ...] = (
    {"ready": True, "serving": True, "terminating": False},
    {"ready": True, "serving": True, "terminating": False},
    {"ready": False, "serving": False, "terminating": False},
    {"ready": False, "serving": True, "terminating": True},
    {"ready": False, "serving": False, "terminating": True},
)


@st.composite
def endpoints(draw: st.DrawFn, plan: Wiring, known: tuple[Pod, ...]) -> tuple[Endpoint, ...]:
    """Some pods with one state each, both families alike; now and then a host outside."""
    found: list[Endpoint] = []
    number, hinted = draw(numbers), draw(st.booleans())
    nodes = [node.name for node in plan.nodes]
    zones = sorted({node.zone for node in plan.nodes})
    for pod in draw(st.lists(st.sampled_from(known), max_size=3, unique_by=lambda pod: pod.ref.name)):
        state: dict[str, Any] = dict(draw(st.sampled_from(STATES)))
        if hinted:
            state["for_zones"] = draw(st.sampled_from((None, *((zone,) for zone in zones))))
            state["for_nodes"] = draw(st.sampled_from((None, (draw(st.sampled_from(nodes)),))))
        found += [Endpoint(own, number, pod.node, target=pod.ref, **state) for own in pod.addresses]
    if draw(st.integers(0, 9)) == 0:
        host = draw(st.sampled_from(plan.external))
        found += [Endpoint(a.ip, number, None, True, True, False, None) for a in host.addresses]
    return tuple(found)


@st.composite
def services(draw: st.DrawFn, plan: Wiring, known: tuple[Pod, ...]) -> tuple[Service, ...]:
    """Up to four, of all kinds."""
    found, nodes = [], [node.name for node in plan.nodes]
    for number in range(1, draw(st.integers(0, 4)) + 1):
        ports = tuple(
            ServicePort(
                number * 4 + index,
                f"p{index}",
                protocol,
                port,
                30_000 + number * 4 + index if draw(st.booleans()) else None,
                draw(endpoints(plan, known)),
            )
            for index, (protocol, port) in enumerate(
                draw(st.lists(st.tuples(protocols, numbers), min_size=1, max_size=2, unique=True))
            )
        )
        pools = plan.balancer.pool if plan.balancer else ()
        # The cloud gives a Service with ports of SCTP no address of a balancer that proxies.
        speaks_sctp = any(port.protocol is Protocol.SCTP for port in ports)
        balanced = draw(st.sampled_from(("no", "vip") if speaks_sctp else ("no", "vip", "proxy")))
        found.append(
            Service(
                ref=Ref("Service", "x", f"service-{number}"),
                type=ServiceType.CLUSTER_IP,
                cluster_ips=tuple(cidr[number + 256] for cidr in plan.service_cidrs),
                ports=ports,
                external_ips=tuple(map(ip_address, PUBLIC)) if draw(st.integers(0, 3)) == 0 else (),
                load_balancer=()
                if balanced == "no"
                else tuple(LoadBalancerAddress(pool[number], balanced == "proxy") for pool in pools),
                source_ranges=tuple(
                    map(ip_network, draw(st.lists(st.sampled_from(RANGES), max_size=2, unique=True)))
                ),
                internal_traffic_policy=draw(policy_of_traffic),
                external_traffic_policy=draw(policy_of_traffic),
                targets=tuple(draw(st.lists(st.sampled_from(nodes), max_size=2, unique=True))),
            )
        )
    return tuple(found)


@st.composite
def selectors(draw: st.DrawFn, key: str, values: tuple[str, ...]) -> Selector:
    """Nothing, a value, or some values, said each way."""
    operator = draw(st.sampled_from((None, Operator.IN, Operator.NOT_IN, Operator.EXISTS)))
    if operator is None:
        return ()
    chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))
    return (Requirement(key, operator, () if operator is Operator.EXISTS else tuple(chosen)),)


of_pods, of_namespaces = selectors("app", ("a", "b", "c")), selectors("team", ("red", "blue"))
blocks = st.sampled_from(
    (
        (ip_network("10.244.0.0/16"), (ip_network("10.244.1.0/24"),)),
        (ip_network("198.51.100.0/24"), (ip_network("198.51.100.80/32"),)),
        (ip_network("0.0.0.0/0"), ()),
        (ip_network("192.168.50.0/24"), ()),
        (ip_network("::/0"), (ip_network("fd00:10:244:1::/64"),)),
        (ip_network("2001:db8:244::/56"), ()),
    )
)
peers = st.one_of(
    st.builds(PolicyPeer, pods=of_pods),
    st.builds(PolicyPeer, namespaces=of_namespaces),
    st.builds(PolicyPeer, pods=of_pods, namespaces=of_namespaces),
    blocks.map(lambda block: PolicyPeer(block=block[0], excepts=block[1])),
)
ports = st.one_of(
    st.builds(PolicyPort, protocols, st.one_of(st.none(), numbers, st.sampled_from(("web", "dns")))),
    st.builds(PolicyPort, protocols, st.just(80), st.sampled_from((81, 8080, 9000))),
)
rules = st.lists(
    st.builds(
        PolicyRule,
        st.lists(peers, max_size=2).map(tuple),
        st.lists(ports, max_size=2).map(tuple),
    ),
    max_size=2,
).map(tuple)


@st.composite
def policies(draw: st.DrawFn) -> tuple[NetworkPolicy, ...]:
    """Up to three."""
    return tuple(
        NetworkPolicy(
            Ref("NetworkPolicy", draw(st.sampled_from(tuple(NAMESPACES))), f"policy-{number}"),
            draw(of_pods),
            frozenset(draw(st.lists(st.sampled_from(Direction), min_size=1, unique=True))),
            draw(rules),
            draw(rules),
        )
        for number in range(draw(st.integers(0, 3)))
    )


class Case:
    """A state that is shown without its wiring, which is a shipped topology's."""

    def __init__(self, state: ClusterState) -> None:
        self.state = state

    def __repr__(self) -> str:
        state = self.state
        parts = (*state.pods, *state.services, *state.policies, *state.cluster_policies)
        return "\n".join((f"topology {state.wiring.name}", *map(str, parts)))


@st.composite
def clusters(draw: st.DrawFn) -> Case:
    """A whole cluster."""
    plan = wiring(draw(st.sampled_from(TOPOLOGIES)))
    known = draw(pods(plan))
    return Case(
        ClusterState(
            wiring=plan,
            pods=known,
            services=draw(services(plan, known)),
            namespaces=NAMESPACES,
            policies=draw(policies()),
            nodes=tuple(Node(node.name, {"name": node.name}) for node in plan.nodes),
            cluster_policies=draw(cluster_policies()),
        )
    )


@st.composite
def questions(draw: st.DrawFn, state: ClusterState) -> tuple[str, Question]:
    """Somebody who has the family, and something that is there, or nearly."""
    plan = state.wiring
    sources = [
        *(f"{pod.ref.namespace}/{pod.ref.name}" for pod in state.pods if not pod.host_network),
        *(f"node/{node.name}" for node in plan.nodes),
        "ext/client",
    ]
    source = draw(st.sampled_from(sources))
    families = {address.version for node in plan.nodes for address in node.pod_gateways}
    if source == "ext/client":
        host = next(host for host in plan.external if host.name == "client")
        families &= {a.ip.version for a in host.addresses}
    at_home = _at_home(state, source)
    targets = [one for one in _targets(state) if one.version in families and one not in at_home]
    target = draw(st.sampled_from(targets))
    protocol = draw(st.sampled_from((*PROTOCOLS, None)))
    node_ports = [p.node_port for s in state.services for p in s.ports if p.node_port]
    number = draw(st.sampled_from((*NUMBERS, *node_ports))) if protocol else None
    met = [
        (port, address)
        for service in state.services
        for port in service.ports
        for address in service.cluster_ips
        if address.version in families
    ]
    if met and draw(st.booleans()):
        port, address = draw(st.sampled_from(met))
        target = draw(st.sampled_from([address, target]))
        protocol, number = port.protocol, draw(st.sampled_from([port.port, port.node_port or port.port]))
    return source, Question(parse_place(source), target, protocol, number)


def _at_home(state: ClusterState, source: str) -> set[IPAddress]:
    """What a pod or a host says to itself meets no switch. A node may speak to a NodePort of its own."""
    kind, _, name = source.partition("/")
    hosts = {a.ip for host in state.wiring.external if source == f"ext/{host.name}" for a in host.addresses}
    own = Ref("Pod", kind, name)
    return hosts | {address for pod in state.pods if pod.ref == own for address in pod.addresses}


def _targets(state: ClusterState) -> list[IPAddress]:
    plan = state.wiring
    found: list[IPAddress] = [address for pod in state.pods for address in pod.addresses]
    for node in plan.nodes:
        found += [*(a.ip for a in node.addresses), *node.pod_gateways, node.pod_cidrs[0][200]]
    for service in state.services:
        found += [*service.cluster_ips, *service.external_ips, *(e.address for e in service.load_balancer)]
    found += [cidr[4000] for cidr in plan.service_cidrs]
    found += [pool[40] for pool in (plan.balancer.pool if plan.balancer else ())]
    found += [a.ip for host in plan.external for a in host.addresses]
    return list(dict.fromkeys(found))

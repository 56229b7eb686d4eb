"""Clusters for the tests of compiler and controller, written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path

import yaml

from emulator.api.selectors import Operator, Requirement
from emulator.cluster.ipam import pod_port
from emulator.cluster.model import (
    ClusterNetworkPolicy,
    ClusterPolicyRule,
    ClusterState,
    ContainerPort,
    Direction,
    Endpoint,
    LoadBalancerAddress,
    NetworkPolicy,
    Node,
    Pod,
    PolicyAction,
    PolicyPeer,
    PolicyPort,
    PolicyRule,
    Protocol,
    Ref,
    Service,
    ServicePort,
    ServiceType,
    Tier,
    TrafficPolicy,
)
from emulator.cluster.plan import wire
from emulator.cluster.topology import FAMILIES, parse_topology
from emulator.cluster.wiring import Wiring

TOPOLOGIES = Path(__file__).resolve().parents[3] / "topologies"
NAMES = tuple(sorted(path.stem for path in TOPOLOGIES.glob("*.yaml")))
PUBLIC = ("203.0.113.9", "2001:db8:203:0:113::9")
BALANCED = ("203.0.113.10", "2001:db8:203:0:113::a")

VARIANTS = {"only-ipv4": "IPv4", "only-ipv6": "IPv6", "first-ipv6": "IPv6,IPv4"}
"""The three-node topology with other families."""
ALL = (*NAMES, *VARIANTS)
HOST_PORTS = (
    ContainerPort("http", Protocol.TCP, 8080, host_port=80),
    ContainerPort("dns", Protocol.UDP, 5353, host_port=53, host_ip="127.0.0.1"),
)

GUARD = NetworkPolicy(
    Ref("NetworkPolicy", "shop", "guard"),
    pods=(Requirement("free", Operator.DOES_NOT_EXIST),),
    directions=frozenset(Direction),
    ingress=(
        PolicyRule((PolicyPeer(pods=()),), (PolicyPort(Protocol.TCP, 8080), PolicyPort(Protocol.SCTP, 9))),
        PolicyRule((), (PolicyPort(Protocol.UDP, 5350, 5353),)),
    ),
    egress=(
        PolicyRule((PolicyPeer(block=ip_network("10.0.0.0/8"), excepts=(ip_network("10.128.0.0/9"),)),)),
        PolicyRule((PolicyPeer(pods=()),), (PolicyPort(Protocol.TCP, "http"), PolicyPort(Protocol.UDP, 53))),
        PolicyRule((PolicyPeer(block=ip_network("fd00::/8")),), (PolicyPort(Protocol.SCTP, 9),)),
    ),
)
"""A policy for every pod that is not free."""


_SHOP = (PolicyPeer(namespaces=()),)
FENCES = tuple(
    ClusterNetworkPolicy(
        Ref("ClusterNetworkPolicy", "", name),
        tier,
        10,
        PolicyPeer(namespaces=()),
        ingress=(
            ClusterPolicyRule(
                action,
                PolicyRule(_SHOP, (PolicyPort(Protocol.TCP, 22), *(PolicyPort(one, 53) for one in Protocol))),
            ),
        ),
        egress=(
            ClusterPolicyRule(action, PolicyRule((PolicyPeer(nodes=()),), (PolicyPort(Protocol.SCTP, 9),))),
            ClusterPolicyRule(PolicyAction.PASS, PolicyRule(_SHOP, (PolicyPort(Protocol.UDP, 53),))),
            ClusterPolicyRule(
                PolicyAction.ACCEPT,
                PolicyRule((PolicyPeer(block=ip_network("192.0.2.0/24")),), (PolicyPort(Protocol.TCP, 80),)),
            ),
        ),
    )
    for name, tier, action in (
        ("fence", Tier.ADMIN, PolicyAction.DENY),
        ("floor", Tier.BASELINE, PolicyAction.ACCEPT),
    )
)
"""One of each tier, for every pod."""


@cache
def wiring(topology: str) -> Wiring:
    """The plan of a shipped topology, or of a variant."""
    name = "three-node" if topology in VARIANTS else topology
    obj = yaml.safe_load((TOPOLOGIES / f"{name}.yaml").read_text())
    if topology in VARIANTS:
        obj["metadata"]["annotations"] = {FAMILIES: VARIANTS[topology]}
    return wire(parse_topology(obj))


def pod(plan: Wiring, name: str, node: str, index: int) -> Pod:
    """A ready pod in namespace `shop`."""
    port = pod_port(plan, node, index)
    return Pod(
        ref=Ref("Pod", "shop", name),
        uid=name,
        node=node,
        labels={},
        addresses=tuple(interface.ip for interface in port.addresses),
        host_network=False,
        ready=True,
        terminating=False,
        container_ports=(),
        port=port,
    )


def endpoints(
    pods: Iterable[Pod],
    port: int = 8080,
    *,
    ready: bool = True,
    serving: bool = True,
    terminating: bool = False,
) -> tuple[Endpoint, ...]:
    """The endpoints that pods are, in both families."""
    return tuple(
        Endpoint(address, port, found.node, ready, serving, terminating, found.ref)
        for found in pods
        for address in found.addresses
    )


def service(
    name: str,
    port_id: int,
    backends: tuple[Endpoint, ...],
    *,
    port: int = 80,
    protocol: Protocol = Protocol.TCP,
    node_port: int | None = None,
    external: TrafficPolicy = TrafficPolicy.CLUSTER,
    internal: TrafficPolicy = TrafficPolicy.CLUSTER,
    affinity: int | None = None,
    external_ips: Iterable[str] = (),
    balanced: Iterable[str] = (),
    proxied: Iterable[str] = (),
    ranges: Iterable[str] = (),
) -> Service:
    """A Service in namespace `shop` with one port and a cluster IP of each family.

    `balanced` are addresses of a load balancer in mode VIP, `proxied` in mode Proxy.
    """
    return Service(
        ref=Ref("Service", "shop", name),
        type=ServiceType.NODE_PORT if node_port else ServiceType.CLUSTER_IP,
        cluster_ips=(ip_address(f"10.96.0.{port_id}"), ip_address(f"fd00:10:96::{port_id:x}")),
        ports=(ServicePort(port_id, "", protocol, port, node_port, backends),),
        external_traffic_policy=external,
        internal_traffic_policy=internal,
        affinity_seconds=affinity,
        external_ips=tuple(map(ip_address, external_ips)),
        load_balancer=(
            *(LoadBalancerAddress(ip_address(text), proxy=False) for text in balanced),
            *(LoadBalancerAddress(ip_address(text), proxy=True) for text in proxied),
        ),
        source_ranges=tuple(map(ip_network, ranges)),
    )


def state(topology: str) -> ClusterState:
    """Two pods a node at most, and a Service of each kind."""
    plan = wiring(topology)
    nodes = [node.name for node in plan.nodes]
    web = [pod(plan, f"web-{number}", node, 2) for number, node in enumerate(nodes[:3])]
    client = replace(pod(plan, "client", nodes[0], 3), container_ports=HOST_PORTS, labels={"free": "yes"})
    return ClusterState(
        wiring=plan,
        nodes=tuple(Node(node.name, node.labels) for node in plan.nodes),
        pods=(client, *web),
        policies=(GUARD,),
        cluster_policies=FENCES,
        services=(
            service("web", 20, endpoints(web), node_port=30080),
            service("local", 21, endpoints(web[-1:]), node_port=30081, external=TrafficPolicy.LOCAL),
            service("near", 22, endpoints(web[-1:]), internal=TrafficPolicy.LOCAL),
            service("nobody", 23, (), port=53, protocol=Protocol.UDP),
            service("sticky", 25, endpoints(web), node_port=30082, affinity=10_800),
            service("outward", 26, endpoints(web[:1]), external=TrafficPolicy.LOCAL, external_ips=PUBLIC),
            service("guarded", 27, endpoints(web), balanced=BALANCED, ranges=("198.51.100.0/24", "::/0")),
            service("signals", 24, endpoints(web[:1]), port=5060, protocol=Protocol.SCTP, node_port=30083),
            *balanced(plan, web),
        ),
    )


def balanced(plan: Wiring, backends: list[Pod]) -> Iterator[Service]:
    """Services behind the topology's load balancer, if it has one: in both modes, and out of order."""
    pools = plan.balancer.pool if plan.balancer else ()
    nodes = tuple(node.name for node in plan.nodes)
    made = service("passed-on", 30, endpoints(backends), node_port=30090, affinity=600)
    proxied = service("proxied", 31, endpoints(backends), node_port=30091)
    broken = service("unhealthy", 32, endpoints(backends), node_port=30092)
    ranges = (ip_network("198.51.100.0/24"), ip_network("2001:db8:198::/48"))
    for number, (one, proxy, targets) in enumerate(
        ((made, False, nodes[:2]), (proxied, True, nodes), (broken, False, ())), start=1
    ):
        if pools:
            entries = tuple(LoadBalancerAddress(pool[number], proxy) for pool in pools)
            source_ranges = ranges if proxy else ()
            yield replace(one, load_balancer=entries, targets=targets, source_ranges=source_ranges)

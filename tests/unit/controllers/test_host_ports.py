"""hostPort and the loopback network, read off the flows."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from controllers.pipeline.actions import Ct, Load
from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.flow import Flow
from controllers.pipeline.registers import HAIRPIN, MASQUERADE
from controllers.pipeline.tables import ENDPOINT_DNAT, NODE_PORT_MARK, SERVICE_FRONTEND
from emulator.cluster.host_ports import HostPort, host_ports
from emulator.cluster.model import ClusterState, ContainerPort, Protocol

from .cluster import pod, wiring

PLAN = wiring("three-node")
ONE, TWO, _ = PLAN.nodes
FOUR, SIX = ip_address("10.244.1.5"), ip_address("fd00:10:244:1::5")


def claimed(host_ip: str | None, port: int = 80) -> list[tuple[int, str | None]]:
    declared = ContainerPort("", Protocol.TCP, 8080, port, host_ip)
    return [(one.to.version, one.at and str(one.at)) for one in host_ports([declared], (FOUR, SIX))]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host_ip", "found"),
    [
        (None, [(4, None), (6, None)]),
        ("0.0.0.0", [(4, None)]),
        ("::", [(6, None)]),
        ("127.0.0.1", [(4, "127.0.0.1")]),
        ("192.168.50.11", [(4, "192.168.50.11")]),
        ("fd00:192:168:50::11", [(6, "fd00:192:168:50::11")]),
        ("::1", []),
    ],
)
def test_the_host_ip_decides_where_it_answers(
    host_ip: str | None, found: list[tuple[int, str | None]]
) -> None:
    assert claimed(host_ip) == found


def test_a_port_that_is_declared_twice_leads_to_the_first() -> None:
    ports = [
        ContainerPort("a", Protocol.TCP, 8080, 80, "0.0.0.0"),
        ContainerPort("b", Protocol.TCP, 9090, 80),
        ContainerPort("c", Protocol.UDP, 9090, 80),
        ContainerPort("d", Protocol.TCP, 1234),
    ]
    assert list(host_ports(ports, (FOUR,))) == [
        HostPort(Protocol.TCP, 80, FOUR, 8080),
        HostPort(Protocol.UDP, 80, FOUR, 9090),
    ]


def flows(bridge: str) -> list[Flow]:
    ports = (
        ContainerPort("http", Protocol.TCP, 8080, 80),
        ContainerPort("admin", Protocol.TCP, 8080, 81, "127.0.0.1"),
    )
    here = replace(pod(PLAN, "here", ONE.name, 5), container_ports=ports)
    program = compile_cluster(ClusterState(PLAN, pods=(here,)))[bridge]
    return [flow for flow in program if flow.owner == here.ref]


def test_only_the_pods_own_node_translates() -> None:
    stages = {flow.stage for flow in flows("n1")}
    assert {SERVICE_FRONTEND, ENDPOINT_DNAT} <= stages
    assert flows("n2") == []


def test_two_ports_of_the_node_may_lead_to_one_of_the_pod() -> None:
    frontends = [flow for flow in flows("n1") if flow.stage is SERVICE_FRONTEND]
    assert sorted(str(flow.name) for flow in frontends) == ["host-port", "host-port", "host-port-at-address"]
    translations = [flow for flow in flows("n1") if flow.name == "translate-host-port"]
    assert len(translations) == 2, "one a family"


def test_who_could_not_be_answered_is_masqueraded() -> None:
    by_name = {flow.name: flow for flow in flows("n1") if flow.stage is ENDPOINT_DNAT}
    assert Load(1, MASQUERADE) not in by_name["translate-host-port"].actions
    assert Load(1, MASQUERADE) in by_name["host-port-from-loopback"].actions
    assert {Load(1, MASQUERADE), Load(1, HAIRPIN)} <= set(by_name["host-port-hairpin"].actions)
    assert all(isinstance(flow.actions[-1], Ct) for flow in by_name.values())


@pytest.mark.parametrize("family", ["only-ipv6", "three-node"])
def test_the_loopback_network_is_the_nodes_own(family: str) -> None:
    plan = wiring(family)
    program = compile_cluster(ClusterState(plan))["n1"]
    found = {flow.name: flow for flow in program if flow.stage is NODE_PORT_MARK}
    assert ("to-anothers-loopback" in found) == (family == "three-node")
    if family == "three-node":
        assert found["to-anothers-loopback"].actions == ()
        assert found["to-its-own-loopback"].priority > found["to-anothers-loopback"].priority

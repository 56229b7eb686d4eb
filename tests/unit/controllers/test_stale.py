"""Which UDP connections are stale: kube-proxy's clean-up, case by case."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from controllers.pipeline.stale import Connection, connections, frontends, stale
from emulator.cluster.model import ClusterState, ContainerPort, LoadBalancerAddress, Protocol, Service

from .cluster import endpoints, pod, service, wiring

PLAN = wiring("three-node")
ONE, TWO, _ = PLAN.nodes
ZONE = PLAN.bridge("n1").zone
LIVE, GONE = pod(PLAN, "live", ONE.name, 5), pod(PLAN, "gone", TWO.name, 5)
CLIENT = (ip_address("10.244.1.9"), 12345)
EXTERNAL, BALANCED, PROXIED = map(ip_address, ("203.0.113.250", "203.0.113.251", "203.0.113.252"))


def dns(*pods: object, **conditions: bool) -> Service:
    found = service("dns", 53, endpoints(pods, 5353, **conditions), protocol=Protocol.UDP, node_port=30053)  # type: ignore[arg-type]
    balanced = (LoadBalancerAddress(BALANCED, proxy=False), LoadBalancerAddress(PROXIED, proxy=True))
    return replace(found, external_ips=(EXTERNAL,), load_balancer=balanced)


def entry(address: str, port: int, server: object, zone: int = ZONE, server_port: int = 5353) -> Connection:
    answers = server.addresses[0] if hasattr(server, "addresses") else ip_address(str(server))
    return Connection(zone, CLIENT, (ip_address(address), port), (answers, server_port))


def is_stale(connection: Connection, *services: Service, **state: object) -> bool:
    served = frontends(ClusterState(PLAN, services=services, **state))  # type: ignore[arg-type]
    return connection in list(stale([connection], served))


FRONTENDS = [
    ("10.96.0.53", 80),
    (str(EXTERNAL), 80),
    (str(BALANCED), 80),
    ("192.168.50.11", 30053),
    ("10.244.1.1", 30053),
    ("127.0.0.1", 30053),
]


@pytest.mark.parametrize(("address", "port"), FRONTENDS)
def test_what_leads_to_nobody_who_serves_is_stale_at_every_frontend(address: str, port: int) -> None:
    assert is_stale(entry(address, port, GONE), dns(LIVE))
    assert not is_stale(entry(address, port, LIVE), dns(LIVE))
    assert is_stale(entry(address, port, address, server_port=port), dns(LIVE)), "never translated"


@pytest.mark.parametrize(
    ("address", "port"),
    [(str(PROXIED), 80), ("10.96.0.53", 81), ("192.168.50.12", 30053), ("192.168.50.11", 30054)],
)
def test_what_did_not_begin_at_a_frontend_is_left_alone(address: str, port: int) -> None:
    """Port 30053 of another node is that node's affair, in that node's zone."""
    assert not is_stale(entry(address, port, GONE), dns(LIVE))


def test_a_service_without_endpoints_makes_nothing_stale() -> None:
    assert not is_stale(entry("10.96.0.53", 80, GONE), dns())


def test_who_serves_while_it_terminates_keeps_its_clients() -> None:
    draining = dns(LIVE, ready=False, serving=True, terminating=True)
    assert not is_stale(entry("10.96.0.53", 80, LIVE), draining)
    dead = dns(LIVE, ready=False, serving=False, terminating=True)
    assert not is_stale(entry("10.96.0.53", 80, LIVE), dead), "nobody else serves"


def test_another_target_port_is_another_endpoint() -> None:
    assert is_stale(entry("10.96.0.53", 80, LIVE, server_port=5354), dns(LIVE))


def test_tcp_services_have_no_part_in_it() -> None:
    tcp = service("web", 53, endpoints([LIVE]), node_port=30053)
    assert not is_stale(entry("10.96.0.53", 80, GONE), tcp)


def test_a_host_port_is_a_frontend_of_its_node() -> None:
    ports = (ContainerPort("dns", Protocol.UDP, 5353, 53),)
    holder = replace(LIVE, container_ports=ports)
    assert is_stale(entry("192.168.50.11", 53, GONE), pods=(holder,))
    assert not is_stale(entry("192.168.50.11", 53, holder), pods=(holder,))
    assert not is_stale(entry("192.168.50.12", 53, GONE, ZONE + 2), pods=(holder,))
    other = replace(LIVE, container_ports=(replace(ports[0], host_ip="127.0.0.1"),))
    assert is_stale(entry("127.0.0.1", 53, GONE), pods=(other,))
    assert not is_stale(entry("192.168.50.11", 53, GONE), pods=(other,))


def test_the_masquerade_goes_with_it() -> None:
    main = entry("192.168.50.11", 30053, GONE)
    masquerade = Connection(ZONE + 1, CLIENT, main.answers, main.answers)
    another = Connection(ZONE + 1, (CLIENT[0], 1), main.answers, main.answers)
    served = frontends(ClusterState(PLAN, services=(dns(LIVE),)))
    assert list(stale([another, masquerade, main], served)) == [main, masquerade]


def test_entries_are_read_from_the_switchs_words() -> None:
    dump = (
        "tcp,orig=(src=10.244.1.9,dst=10.96.0.53,sport=1,dport=80),"
        "reply=(src=10.244.1.5,dst=10.244.1.9,sport=8080,dport=1),zone=102,mark=257,protoinfo=(state=X)\n"
        "udp,orig=(src=10.244.1.9,dst=10.96.0.53,sport=12345,dport=80),"
        "reply=(src=10.244.1.5,dst=10.244.1.9,sport=5353,dport=12345),zone=102,mark=257\n"
        "udp,orig=(src=fd00::9,dst=fd00::53,sport=1,dport=2),"
        "reply=(src=fd00::5,dst=fd00::9,sport=3,dport=1),id=7,zone=104\n"
        "icmpv6,orig=(src=fd00::9,dst=fd00::5,id=1,type=128,code=0),"
        "reply=(src=fd00::5,dst=fd00::9,id=1,type=129,code=0),zone=102\n"
    )
    four, six = connections(dump)
    assert four == entry("10.96.0.53", 80, LIVE, 102)
    assert four.tuple == (
        "ct_nw_src=10.244.1.9,ct_nw_dst=10.96.0.53,ct_nw_proto=17,ct_tp_src=12345,ct_tp_dst=80"
    )
    assert (six.zone, six.answers) == (104, (ip_address("fd00::5"), 3))
    assert six.tuple == "ct_ipv6_src=fd00::9,ct_ipv6_dst=fd00::53,ct_nw_proto=17,ct_tp_src=1,ct_tp_dst=2"

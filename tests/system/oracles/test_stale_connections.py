"""Oracles 60 and 61, and upstream's conntrack tests: UDP clients that keep to their source port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.oracles.addresses import external_address, node_address, of_family
from tests.system.oracles.held import held
from tests.system.oracles.objects import HTTP, UDP, Object, namespace, pod
from tests.system.oracles.talker import SOURCE_PORT, Talker, talking

FAMILIES = (4, 6)
EXTERNAL = {4: "198.51.100.250", 6: "2001:db8:198:51:100::250"}
SERVER_NODE, NODE_PORT = "worker-1", 30123


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> Cluster:
    """One client on the servers' node, one on another."""
    applied = cluster.apply([namespace("shop"), pod("near", SERVER_NODE), pod("far", "worker-2")])
    assert applied.ready.ready, applied.ready.missing
    return cluster


def server(name: str, **spec: object) -> Object:
    return pod(name, SERVER_NODE, app="servers", **spec)


def udp_service(name: str = "udp", **spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"app": "servers"},
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"name": "udp", "port": 80, "protocol": "UDP", "targetPort": UDP}],
            **spec,
        },
    }


def in_force(cluster: Cluster, *objects: Object) -> None:
    applied = cluster.apply(list(objects))
    assert applied.ready.ready, applied.ready.missing


def gone(cluster: Cluster, *objects: Object) -> None:
    deleted = cluster.delete(list(objects))
    assert deleted.ready.ready, deleted.ready.missing


@contextmanager
def existing(cluster: Cluster, *objects: Object) -> Iterator[None]:
    """The objects, and afterwards neither them nor any server."""
    in_force(cluster, *objects)
    try:
        yield
    finally:
        gone(cluster, *objects, *(server(name) for name in ("pod-server-1", "pod-server-2")))


def virtual(cluster: Cluster, family: int, name: str = "udp") -> str:
    return of_family(cluster.get("Service", name, "shop")["spec"]["clusterIPs"], family)


@contextmanager
def at_virtual_address(cluster: Cluster, source: str) -> Iterator[list[Talker]]:
    """A client of each family at the Service's cluster IP."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(talking(cluster, source, virtual(cluster, family), 80, SOURCE_PORT + family))
            for family in FAMILIES
        ]


@contextmanager
def at_node_port(cluster: Cluster, source: str, node: str = SERVER_NODE) -> Iterator[list[Talker]]:
    """A client of each family at the NodePort of a node."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                talking(cluster, source, node_address(cluster, node, family), NODE_PORT, SOURCE_PORT + family)
            )
            for family in FAMILIES
        ]


def answers(talkers: list[Talker], seconds: float = 5) -> set[str]:
    """Who answers the next datagram of each."""
    for talker in talkers:
        talker.ask(seconds)
    return {talker.answer() for talker in talkers}


def assert_silence(talkers: list[Talker]) -> None:
    assert answers(talkers, 0.3) == {"silence"}


def cycle(cluster: Cluster, talkers: list[Talker]) -> None:
    """One server takes another's place; the next datagram after that is in force goes to it."""
    in_force(cluster, server("pod-server-1"))
    assert answers(talkers) == {"pod-server-1"}
    in_force(cluster, server("pod-server-2"))
    # Whoever serves already goes on: the newcomer is no reason to move.
    assert answers(talkers) == {"pod-server-1"}
    gone(cluster, server("pod-server-1"))
    assert answers(talkers) == {"pod-server-2"}


@pytest.mark.parametrize("source", ["ext/client", "shop/far", "shop/near", "node/worker-1"])
def test_should_be_able_to_preserve_udp_traffic_when_server_pod_cycles_for_a_node_port_service(
    clients: Cluster, source: str
) -> None:
    ports = [{"port": 80, "protocol": "UDP", "targetPort": UDP, "nodePort": NODE_PORT}]
    with (
        existing(clients, udp_service(type="NodePort", ports=ports)),
        at_node_port(clients, source) as talkers,
    ):
        cycle(clients, talkers)


def test_should_be_able_to_preserve_udp_traffic_when_server_pod_cycles_for_a_cluster_ip_service(
    clients: Cluster,
) -> None:
    with existing(clients, udp_service()), at_virtual_address(clients, "shop/far") as talkers:
        cycle(clients, talkers)


def test_should_be_able_to_preserve_udp_traffic_when_server_pod_cycles_and_traffic_policy_is_local(
    clients: Cluster,
) -> None:
    local = udp_service(internalTrafficPolicy="Local")
    with existing(clients, local), at_virtual_address(clients, "shop/near") as talkers:
        cycle(clients, talkers)


def test_should_be_able_to_preserve_udp_traffic_when_server_pod_cycles_and_client_is_host_network(
    clients: Cluster,
) -> None:
    with existing(clients, udp_service()), at_virtual_address(clients, "node/worker-2") as talkers:
        cycle(clients, talkers)


def test_should_be_able_to_preserve_udp_traffic_when_initial_unready_endpoints_get_ready(
    clients: Cluster,
) -> None:
    """What was sent before the first endpoint was ready does not pin a way that leads nowhere."""
    gates = {"readinessGates": [{"conditionType": "example.com/open"}]}
    ports = [{"port": 80, "protocol": "UDP", "targetPort": UDP, "nodePort": NODE_PORT}]
    with (
        at_node_port(clients, "ext/client") as early,
        existing(clients, udp_service(type="NodePort", ports=ports)),
        at_virtual_address(clients, "shop/far") as late,
    ):
        in_force(clients, server("pod-server-1", **gates))
        assert_silence([*early, *late])
        opened = [{"type": "example.com/open", "status": "True"}]
        status = clients.get("Pod", "pod-server-1", "shop")["status"]
        conditions = {"status": {"conditions": [*status["conditions"], *opened]}}
        clients.patch("Pod", "pod-server-1", "shop", conditions, subresource="status")
        assert clients.wait_ready().ready
        assert answers([*early, *late]) == {"pod-server-1"}


def test_should_be_able_to_cleanup_conntrack_entries_when_service_target_port_changes(
    clients: Cluster,
) -> None:
    """The old target port is no endpoint any more, though its pod is."""
    both = server("pod-server-1")
    second = {**both["spec"]["containers"][0], "name": "second"}
    second["args"] = ["netexec", "--http-port=9090", "--udp-port=9091"]
    second["ports"] = [{"containerPort": 9091, "protocol": "UDP"}]
    both["spec"]["containers"].append(second)

    def service(target: int) -> Object:
        ports = [{"port": 80, "protocol": "UDP", "targetPort": target, "nodePort": NODE_PORT}]
        return udp_service(type="NodePort", ports=ports)

    def ports_seen() -> set[str]:
        dump = inside(clients, "ovs-appctl", "dpctl/dump-conntrack")
        sources = "|".join(external_address("client", family) for family in FAMILIES)
        asked = rf"^udp,orig=\(src=(?:{sources}),dst=[^,]+,sport=\d+,dport={NODE_PORT}\)"
        return set(re.findall(rf"{asked},reply=\(src=[^,]+,dst=[^,]+,sport=(\d+),.*zone=104\b", dump, re.M))

    with existing(clients, service(UDP), both), at_node_port(clients, "ext/client", "worker-2") as talkers:
        assert answers(talkers) == {"pod-server-1"}
        assert ports_seen() == {str(UDP)}
        in_force(clients, service(9091))
        assert answers(talkers) == {"pod-server-1"}
        assert ports_seen() == {"9091"}


def test_60_external_addresses_move_as_well(clients: Cluster) -> None:
    """Also for a client that asked before the address was anyone's."""
    with ExitStack() as stack:
        talkers = [
            stack.enter_context(talking(clients, "shop/far", EXTERNAL[family], 80, SOURCE_PORT + family))
            for family in FAMILIES
        ]
        assert_silence(talkers)
        stack.enter_context(existing(clients, udp_service(externalIPs=list(EXTERNAL.values()))))
        cycle(clients, talkers)


def test_60_a_udp_client_of_a_removed_endpoint_moves_and_tcp_stays(clients: Cluster, family: int) -> None:
    """The pod goes on running, so that only the clean-up can move anyone."""
    ports = [
        {"name": "udp", "port": 80, "protocol": "UDP", "targetPort": UDP},
        {"name": "http", "port": 80, "targetPort": HTTP},
    ]
    with existing(clients, udp_service(ports=ports), server("pod-server-1")):
        address = virtual(clients, family)
        with (
            talking(clients, "shop/far", address, 80) as udp,
            held(clients, "shop/far", address, 80) as tcp,
        ):
            assert udp.answered_by() == tcp.ask() == "pod-server-1"
            in_force(clients, server("pod-server-2"))
            resting = {"metadata": {"labels": {"app": "resting"}}}
            clients.patch("Pod", "pod-server-1", "shop", resting)
            assert clients.wait_ready().ready
            assert udp.answered_by() == "pod-server-2"
            assert tcp.ask() == "pod-server-1"


def test_61_without_endpoints_nothing_is_forgotten(clients: Cluster, family: int) -> None:
    """Who has asked before still reaches the pod; who has not is refused."""
    with existing(clients, udp_service(), server("pod-server-1")):
        address = virtual(clients, family)
        with talking(clients, "shop/far", address, 80) as known:
            assert known.answered_by() == "pod-server-1"
            clients.patch("Pod", "pod-server-1", "shop", {"metadata": {"labels": {"app": "resting"}}})
            assert clients.wait_ready().ready
            assert known.answered_by() == "pod-server-1"
            refused = clients.probe("shop/far", "svc/shop/udp", "80/udp", family=family)
            assert refused["outcome"] == "rejected"


def test_60_a_host_port_that_changes_hands(clients: Cluster, family: int) -> None:
    """The next pod with the port gets the next datagram."""

    def holder(name: str) -> Object:
        found = server(name)
        found["spec"]["containers"][0]["ports"] = [
            {"containerPort": UDP, "hostPort": 5300, "protocol": "UDP"}
        ]
        return found

    address = node_address(clients, SERVER_NODE, family)
    with existing(clients, holder("pod-server-1")), talking(clients, "ext/client", address, 5300) as udp:
        assert udp.answered_by() == "pod-server-1"
        gone(clients, holder("pod-server-1"))
        in_force(clients, holder("pod-server-2"))
        assert udp.answered_by() == "pod-server-2"

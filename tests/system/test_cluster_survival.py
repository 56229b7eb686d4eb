"""Whatever is killed comes back by itself, and the network with it; "ready" is not said before that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from emulator import Cluster
from tests.system.conversation import conversation, storm
from tests.system.datagrams import datagrams
from tests.system.hygiene import inside
from tests.system.oracles import objects
from tests.system.oracles.addresses import cluster_ip, node_address, node_port, pod_address
from tests.system.processes import PATIENCE, end, kill_and_await, of_service, stopped, with_words
from tests.system.reachability import FAMILIES, NODE_PORTS, assert_everything_passes, shop

pytestmark = pytest.mark.cluster(topology="three-node")

SPAWNER = "mininetes: container spawner"
SCAPY = "emulator.probes.worker"


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Cluster:
    """A shop in which every way is open."""
    applied = cluster.apply(shop())
    assert applied.ready.ready, applied.ready.missing
    return cluster


def assert_ready(cluster: Cluster) -> None:
    readiness = cluster.wait_ready(PATIENCE)
    assert readiness.ready, readiness.missing
    assert not readiness.failing


def pods(cluster: Cluster) -> dict[str, dict[str, Any]]:
    return {pod["metadata"]["name"]: pod for pod in cluster.get("Pod", namespace="shop")}


@pytest.mark.sandbox
@pytest.mark.parametrize("service", ["controller", "ovs-vswitchd", "ovsdb-server", "engine"])
def test_a_killed_service_comes_back(running: Cluster, service: str) -> None:
    kill_and_await(running, service)
    assert_ready(running)
    assert_everything_passes(running)


def test_changes_take_effect_after_the_database_died(running: Cluster) -> None:
    kill_and_await(running, "ovsdb-server")
    late = shop()[1]
    late["metadata"]["name"] = "late"
    applied = running.apply([late])
    assert applied.ready.ready, applied.ready.missing
    assert running.probe("shop/client", "shop/late", "8080/tcp")["outcome"] == "connected"
    assert running.delete([late]).ready.ready


@pytest.mark.sandbox
def test_containers_come_back_after_their_spawner(running: Cluster) -> None:
    before = pods(running)["own"]["status"]["containerStatuses"][0]["restartCount"]
    assert running.exec("shop/client", ["true"]).exit_code == 0
    end(with_words(running, SPAWNER))
    running.wait_for("Pod", "own", "shop", lambda pod: _restarts(pod) > before, PATIENCE)
    assert_ready(running)
    assert _restarts(pods(running)["own"]) == before + 1
    for name in ("own", "client"):
        assert running.exec(f"shop/{name}", ["hostname"]).stdout == f"{name}\n"
    assert_everything_passes(running)


def _restarts(pod: dict[str, Any] | None) -> int:
    assert pod is not None
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def test_crafted_packets_after_the_scapy_worker(running: Cluster) -> None:
    """A SYN by hand is answered, and then it is answered again."""
    syn = {"packet": "tcp", "flags": "S"}
    for _ in range(2):
        report = running.probe("shop/client", "shop/web-3", "8080/tcp", packet=syn)
        assert report["outcome"] == "connected", report
        end(with_words(running, SCAPY))


def test_no_connection_and_no_packet_is_lost_while_the_controller_restarts(running: Cluster) -> None:
    """Words go to and fro on connections of every kind, from before the death to after the re-adoption."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        lines = [
            stack.enter_context(conversation(running, source, address, port))
            for family in FAMILIES
            for source, address, port in (
                ("shop/client", cluster_ip(running, "web", family), 80),
                ("shop/client", pod_address(running, "web-3", family), 8080),
                ("ext/client", node_address(running, "worker-2", family), NODE_PORTS[family]),
            )
        ]
        streams = [
            stack.enter_context(storm(running, "shop/client", pod_address(running, "web-2", family)))
            for family in FAMILIES
        ]
        streams.append(stack.enter_context(storm(running, "shop/client", "198.51.100.80")))
        streams += [
            stack.enter_context(datagrams(running, "shop/client", address, port))
            for family in FAMILIES
            for address, port in (
                (cluster_ip(running, "web", family), 81),
                (pod_address(running, "web-3", family), 8081),
            )
        ]
        death = pool.submit(kill_and_await, running, "controller")
        rounds = 0
        while not death.done() or not running.wait_ready(0).ready:
            for line in lines:
                line.exchange()
            new = running.probe("shop/client", "svc/shop/web-v4", "80/tcp", count=5, timeout=0.9)
            assert new["outcomes"] == {"connected": 5}
            rounds += 1
        death.result()
        for line in lines:
            line.exchange()
    assert rounds > 2
    for stream in streams:
        assert stream.sent > rounds
        assert stream.lost == 0


def test_connections_between_pods_outlive_the_switch(running: Cluster) -> None:
    """Those through a Service or a NAT do not: the switch alone knew how they were translated."""
    with ExitStack() as stack:
        lines = [
            stack.enter_context(
                conversation(running, "shop/client", pod_address(running, "web-3", family), 8080)
            )
            for family in FAMILIES
        ]
        kill_and_await(running, "ovs-vswitchd")
        assert_ready(running)
        for line in lines:
            line.exchange()


def test_objects_and_network_outlive_the_engine(running: Cluster) -> None:
    assert_ready(running)
    kinds = ("Pod", "Service", "Node", "Namespace", "EndpointSlice")
    before = {kind: _identities(running, kind) for kind in kinds}
    runs = {name: _restarts(pod) for name, pod in pods(running).items()}
    with ExitStack() as stack:
        streams = [
            stack.enter_context(storm(running, "shop/client", pod_address(running, "web-2", family)))
            for family in FAMILIES
        ]
        kill_and_await(running, "engine")
        assert_ready(running)
    for stream in streams:
        assert stream.sent > 20
        assert stream.lost == 0
    assert {kind: _identities(running, kind) for kind in kinds} == before
    for name, pod in pods(running).items():
        (container,) = pod["status"]["containerStatuses"]
        assert container["restartCount"] == runs[name] + 1
        ended = container["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (255, "Unknown")


def test_a_host_port_outlives_the_engine_and_ends_with_its_pod(running: Cluster) -> None:
    """On the node itself it needs rules that nobody else would take away."""
    assert_ready(running)
    lender = objects.pod("lender", "worker-1")
    lender["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, "hostPort": 8000}]
    applied = running.apply([lender])
    assert applied.ready.ready, applied.ready.missing

    def rules() -> int:
        listed = inside(running, "ip", "-n", "node-worker-1", "rule")
        return sum("dport 8000" in line for line in listed.splitlines())

    before = rules()
    assert before == 3, "two addresses and the loopback network"
    for address in ("127.0.0.1", node_address(running, "worker-1", 4)):
        assert running.probe("node/worker-1", address, "8000/tcp")["endpoints"] == {"shop/lender": 1}
    kill_and_await(running, "engine")
    assert_ready(running)
    assert rules() == before
    for address in ("127.0.0.1", node_address(running, "worker-1", 4)):
        assert running.probe("node/worker-1", address, "8000/tcp")["endpoints"] == {"shop/lender": 1}
    assert running.delete([lender]).ready.ready
    running.wait_for("Pod", "lender", "shop", lambda found: found is None, PATIENCE)
    assert rules() == 0
    refused = running.probe("node/worker-1", "127.0.0.1", "8000/tcp")
    assert refused["outcome"] == "rejected"


def _identities(cluster: Cluster, kind: str) -> list[tuple[str, str]]:
    return sorted((found["metadata"]["name"], found["metadata"]["uid"]) for found in cluster.get(kind))


def test_ready_means_that_containers_run_again(running: Cluster) -> None:
    """What the journal says of pods is older than the death of their containers."""
    assert_ready(running)
    controller = of_service(running, "controller")
    with stopped(controller):
        kill_and_await(running, "engine")
        readiness = running.wait_ready(0)
        assert {f"pod shop/{name}: ContainerCreating (main)" for name in pods(running)} <= set(
            readiness.missing
        )
    assert_ready(running)
    assert_everything_passes(running)


def test_not_ready_without_a_controller(running: Cluster) -> None:
    assert_ready(running)
    controller = of_service(running, "controller")
    with stopped(running.sandbox.pid):
        end(controller)
        readiness = running.wait_ready(0.5)
        assert not readiness.ready
        assert "controller" in " ".join(readiness.missing)
    assert_ready(running)
    assert_everything_passes(running)


def test_not_ready_while_the_switch_has_lost_its_flows(running: Cluster) -> None:
    """Not even when the controller has not noticed."""
    assert_ready(running)
    with stopped(of_service(running, "controller")):
        kill_and_await(running, "ovs-vswitchd")
        readiness = running.wait_ready(0.5)
        assert not readiness.ready
        assert "Open vSwitch" in " ".join(readiness.missing)
    assert_ready(running)
    assert_everything_passes(running)


def test_ports_and_addresses_stay(running: Cluster) -> None:
    """After all that, Services have the node ports that they were given."""
    for family in FAMILIES:
        assert node_port(running, "web", family) == NODE_PORTS[family]

"""Pods come and go: what their Services, their addresses and their nodes do meanwhile, on real packets.

Tests that follow an end-to-end test of Kubernetes name it. They share a cluster, each in a namespace of its
own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from emulator import Cluster
from emulator.cluster.pods import is_ready
from emulator.scenario import changes
from tests.system.hygiene import assert_clean, inside
from tests.system.living import (
    announce_end,
    answers,
    apply,
    container,
    count_flows,
    deployment,
    endpoints,
    everywhere,
    gone,
    is_running,
    netns_exists,
    pod,
    pods_of,
    service,
    until,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.up("three-node", name=f"life-{os.getpid()}") as running:
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        assert running.wait_ready().ready
        yield running
        assert_clean(running)


@pytest.fixture
def space(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, with a client on worker-1."""
    name = f"t{abs(hash(request.node.name)) % 10**8}"
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    apply(cluster, pod(name, "client", "worker-1"))
    yield name
    done = cluster.delete([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    assert done.ready.ready, done.ready.missing


# -- endpoints follow pods -------------------------------------------------------------------------


def test_services_should_serve_a_basic_endpoint_from_pods(cluster: Cluster, space: str) -> None:
    """[sig-network] Services should serve a basic endpoint from pods [Conformance]."""
    apply(cluster, service(space, "one"))
    assert endpoints(cluster, space, "one") == {}
    refused = cluster.probe(f"{space}/client", f"svc/{space}/one", "80/tcp")
    assert refused["outcome"] == "rejected"
    apply(cluster, pod(space, "pod1", "worker-2", "one"))
    assert endpoints(cluster, space, "one") == {"pod1": [8080, 8081]}
    everywhere(cluster, space, "one", {"pod1"})
    apply(cluster, pod(space, "pod2", "worker-3", "one"))
    assert endpoints(cluster, space, "one") == {"pod1": [8080, 8081], "pod2": [8080, 8081]}
    everywhere(cluster, space, "one", {"pod1", "pod2"})
    gone(cluster, (space, "pod1"))
    everywhere(cluster, space, "one", {"pod2"})
    gone(cluster, (space, "pod2"))
    assert endpoints(cluster, space, "one") == {}
    assert cluster.probe(f"{space}/client", f"svc/{space}/one", "80/tcp")["outcome"] == "rejected"


def test_services_should_serve_multiport_endpoints_from_pods(cluster: Cluster, space: str) -> None:
    """[sig-network] Services should serve multiport endpoints from pods [Conformance]."""
    ports = (
        {"name": "portname1", "port": 80, "targetPort": "svc1"},
        {"name": "portname2", "port": 81, "targetPort": "svc2"},
    )
    first = pod(space, "pod1", "worker-2", "many", more=())
    second = pod(space, "pod2", "worker-3", "many")
    first["spec"]["containers"][0]["args"] = ["netexec", "--http-port=100"]
    first["spec"]["containers"][0]["ports"] = [{"name": "svc1", "containerPort": 100}]
    second["spec"]["containers"][0]["args"] = ["netexec", "--http-port=101"]
    second["spec"]["containers"][0]["ports"] = [{"name": "svc2", "containerPort": 101}]
    apply(cluster, service(space, "many", "many", *ports), first)
    assert endpoints(cluster, space, "many") == {"pod1": [100]}
    apply(cluster, second)
    assert endpoints(cluster, space, "many", "portname1") == {"pod1": [100]}
    assert endpoints(cluster, space, "many", "portname2") == {"pod2": [101]}
    for family in (4, 6):
        for port, name in (("80/tcp", "pod1"), ("81/tcp", "pod2")):
            asked = (f"{space}/client", f"svc/{space}/many", port)
            assert answers(cluster, *asked, count=5, family=family) == {name}
    gone(cluster, (space, "pod1"))
    assert cluster.probe(f"{space}/client", f"svc/{space}/many", "80/tcp")["outcome"] == "rejected"
    assert answers(cluster, f"{space}/client", f"svc/{space}/many", "81/tcp", count=5) == {"pod2"}


def test_services_should_serve_endpoints_on_same_port_and_different_protocols(
    cluster: Cluster, space: str
) -> None:
    """[sig-network] Services should serve endpoints on same port and different protocols [Conformance]."""
    tcp = {"name": "tcp", "port": 80, "targetPort": 8080}
    udp = {"name": "udp", "port": 80, "protocol": "UDP", "targetPort": 8081}
    client, target = f"{space}/client", f"svc/{space}/twice"
    apply(cluster, service(space, "twice", "twice", tcp, udp), pod(space, "twice", "worker-2"))
    for family in (4, 6):
        assert answers(cluster, client, target, "80/tcp", count=3, family=family) == {"twice"}
        assert answers(cluster, client, target, "80/udp", count=3, family=family) == {"twice"}
    address = cluster.get("Service", "twice", space)["spec"]["clusterIP"]
    apply(cluster, service(space, "twice", "twice", tcp))
    assert answers(cluster, client, target, "80/tcp", count=3) == {"twice"}
    assert cluster.probe(client, address, "80/udp")["outcome"] != "connected"
    apply(cluster, service(space, "twice", "twice", udp))
    assert answers(cluster, client, target, "80/udp", count=3) == {"twice"}
    assert cluster.probe(client, address, "80/tcp")["outcome"] != "connected"


def test_granular_checks_services_should_update_endpoints(cluster: Cluster, space: str) -> None:
    """[sig-network] Networking Granular Checks: Services should update endpoints: http, udp."""
    pods = [pod(space, f"netserver-{i}", f"worker-{i + 1}", "netserver") for i in range(3)]
    apply(cluster, service(space, "net", "netserver"), *pods)
    everywhere(cluster, space, "net", {"netserver-0", "netserver-1", "netserver-2"})
    gone(cluster, (space, "netserver-0"))
    everywhere(cluster, space, "net", {"netserver-1", "netserver-2"})


def test_readiness_that_comes_and_goes(cluster: Cluster, space: str) -> None:
    """A pod whose probe fails gets no new requests and can be reached at its own address still."""
    probe = {"exec": {"command": ["test", "-e", "/tmp/fine"]}, "periodSeconds": 1, "failureThreshold": 1}
    flapping = pod(space, "flapping", "worker-2", "web", containers=[container(readinessProbe=probe)])
    cluster.apply([service(space, "web"), pod(space, "steady", "worker-3", "web"), flapping], timeout=0.1)
    for ready in (True, False):
        word = "touch" if ready else "rm -f"
        until(lambda: is_running(cluster, space, "flapping"), 20)
        done = cluster.exec(f"{space}/flapping", ["sh", "-c", f"{word} /tmp/fine"])
        assert done.exit_code == 0, done.stderr
        cluster.wait_for(
            "Pod", "flapping", space, lambda p, ready=ready: p is not None and is_ready(p) is ready, 20
        )
        if ready:
            assert cluster.wait_ready().ready
            everywhere(cluster, space, "web", {"steady", "flapping"})
        else:
            until(lambda: endpoints(cluster, space, "web") == {"steady": [8080, 8081]}, 20)
            load = [
                {"from": f"{space}/client", "to": f"svc/{space}/web", "port": "80/tcp", "http": "/hostname"}
            ]
            report = cluster.stop_load(cluster.start_load(load), 10)
            assert report["outcomes"] == {"connected": report["sent"]}
            assert answers(cluster, f"{space}/client", f"{space}/flapping", "8080/tcp", count=1) == {
                "flapping"
            }


def test_service_endpoints_latency_should_not_be_very_high(cluster: Cluster, space: str) -> None:
    """[sig-network] Service endpoints latency should not be very high [Conformance].

    Upstream's bounds are 20 s for the median and 50 s for the ninetieth of hundred.
    """
    apply(cluster, pod(space, "latency", "worker-2"))
    began: dict[str, float] = {}
    took: list[float] = []
    events = cluster.watch("EndpointSlice", space)
    for number in range(100):
        name = f"latency-svc-{number}"
        began[name] = time.monotonic()
        cluster._client.create(service(space, name, "latency"))
        while name in began:
            found = next(events)["object"]
            owner = found["metadata"]["labels"]["kubernetes.io/service-name"]
            if found["endpoints"] and owner in began:
                took.append(time.monotonic() - began.pop(owner))
    assert cluster.wait_ready().ready
    took.sort()
    p50, p90 = took[50], took[90]
    print(f"endpoints of a Service: p50 {p50 * 1000:.1f} ms, p90 {p90 * 1000:.1f} ms")
    assert p50 < 20
    assert p90 < 50
    assert answers(cluster, f"{space}/client", f"svc/{space}/latency-svc-99", "80/tcp", count=1) == {
        "latency"
    }


def test_rules_that_somebody_deletes_are_put_back(cluster: Cluster, space: str) -> None:
    """[sig-network] Networking should recreate its iptables rules if they are deleted: here, flows."""
    apply(cluster, service(space, "web"), pod(space, "web", "worker-2"))
    bridges = [f"n{node}" for node in (1, 2, 3)]
    before = {bridge: count_flows(cluster, bridge) for bridge in bridges}
    asked = (f"{space}/client", f"svc/{space}/web", "80/tcp")
    for bridge in bridges:
        inside(cluster, "ovs-ofctl", "-O", "OpenFlow13", "del-flows", bridge)
    until(lambda: {bridge: count_flows(cluster, bridge) for bridge in bridges} == before, 20)
    assert answers(cluster, *asked, count=3) == {"web"}
    inside(cluster, "ovs-ofctl", "-O", "OpenFlow13", "del-flows", "n1", "table=24")
    until(lambda: count_flows(cluster, "n1") == before["n1"], 20)
    assert answers(cluster, *asked, count=3) == {"web"}


# -- pods that end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_pods_should_be_able_to_connect_to_and_from_a_terminating_pod(
    cluster: Cluster, space: str, family: int
) -> None:
    """[sig-network] Connectivity Pod Lifecycle should be able to connect to (from) a terminating Pod."""
    lingering = pod(space, "leaving", "worker-2", more=["--delay-shutdown=100"], grace=100)
    apply(cluster, service(space, "leaving"), lingering, pod(space, "server", "worker-3"))
    announce_end(cluster, space, "leaving")
    for port in ("8080/tcp", "8081/udp"):
        to, back = (f"{space}/client", f"{space}/leaving"), (f"{space}/leaving", f"{space}/server")
        for source, target in (to, back):
            assert answers(cluster, source, target, port, count=3, family=family) == {target.split("/")[1]}
    # No ready endpoint is left, so the one that still serves is used.
    asked = (f"{space}/client", f"svc/{space}/leaving", "80/tcp")
    assert answers(cluster, *asked, count=3, family=family) == {"leaving"}
    began = time.monotonic()
    cluster._client.delete("Pod", "leaving", space, grace_seconds=0)
    ready = cluster.wait_ready()
    assert ready.ready, ready.missing
    until(lambda: not netns_exists(cluster, f"{space}/leaving"), 20)
    assert time.monotonic() - began < 60, "nobody waited for the hundred seconds"
    assert cluster.probe(*asked, family=family)["outcome"] == "rejected"


def test_pod_lifecycle_zero_downtime_on_a_blue_green_deployment(cluster: Cluster, space: str) -> None:
    """[sig-network] Connectivity Pod Lifecycle should have zero downtime on a Blue Green deployment using
    Services and Readiness Gates."""
    gate = "k8s.io/blue-green"
    gated = {"readinessGates": [{"conditionType": gate}]}
    apply(
        cluster,
        service(space, "shop"),
        pod(space, "blue", "worker-2", "shop", **gated),
        pod(space, "green", "worker-3", "shop", **gated),
    )

    def open_gate(name: str, value: str) -> None:
        status = cluster.get("Pod", name, space)["status"]
        others = [c for c in status["conditions"] if c["type"] != gate]
        conditions = [*others, {"type": gate, "status": value}]
        cluster.patch("Pod", name, space, {"status": {"conditions": conditions}}, subresource="status")
        cluster.wait_for("Pod", name, space, lambda p: p is not None and is_ready(p) is (value == "True"), 20)
        assert cluster.wait_ready().ready

    client, target = f"{space}/client", f"svc/{space}/shop"
    assert cluster.probe(client, target, "80/tcp")["outcome"] == "rejected", "no gate is open"
    open_gate("blue", "True")
    streams = [
        {"from": client, "to": target, "port": port, "family": family, "rate": 10, **http}
        for family in (4, 6)
        for port, http in (("80/tcp", {"http": "/hostname"}), ("81/udp", {}))
    ]
    load = cluster.start_load(streams)
    assert answers(cluster, client, target, "80/tcp", count=6) == {"blue"}
    open_gate("green", "True")
    open_gate("blue", "False")
    assert answers(cluster, client, target, "80/tcp", count=6) == {"green"}
    report = cluster.stop_load(load, 40)
    assert report["outcomes"] == {"connected": report["sent"]}, report["lost"]
    assert set(report["answers"]) <= {"blue", "green"}


def test_a_rolling_update_under_load_loses_nothing(cluster: Cluster, space: str) -> None:
    """Pods come back under new addresses; the virtual address and the node ports stay and serve."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    wait = {"preStop": {"sleep": {"seconds": 1}}}
    workload = deployment(space, "web", 3, containers=[container(readinessProbe=probe, lifecycle=wait)])
    workload["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    apply(cluster, service(space, "web", type="NodePort"), workload, pod(space, "other", "worker-3"))
    before = pods_of(cluster, space, "web")
    spec = cluster.get("Service", "web", space)["spec"]
    numbers = {port["name"]: port["nodePort"] for port in spec["ports"]}
    http = {"http": "/hostname", "rate": 6}
    streams: list[dict[str, Any]] = []
    for family in (4, 6):
        own = {"family": family}
        for source in (f"{space}/client", f"{space}/other"):
            streams.append({"from": source, "to": f"svc/{space}/web", "port": "80/tcp", **http, **own})
        streams += [
            {"from": f"{space}/client", "to": f"svc/{space}/web", "port": "81/udp", "rate": 6, **own},
            {"from": "ext/client", "to": "node/worker-1", "port": f"{numbers['http']}/tcp", **http, **own},
            {"from": "ext/client", "to": "node/worker-2", "port": f"{numbers['udp']}/udp", "rate": 6, **own},
        ]
    load = cluster.start_load(streams)
    changes.restart(cluster, "Deployment", "web", space)
    changes.wait_rolled_out(cluster, "Deployment", "web", space, 60)
    assert cluster.wait_ready().ready
    report = cluster.stop_load(load, 100)
    assert report["outcomes"] == {"connected": report["sent"]}, report["lost"]
    after = pods_of(cluster, space, "web")
    assert len(after) == 3
    assert not before & after, "names and addresses are new"
    names = {name for name, _ in before | after}
    assert set(report["answers"]) <= names
    assert set(report["answers"]) & {name for name, _ in after}
    assert cluster.get("Service", "web", space)["spec"]["clusterIPs"] == spec["clusterIPs"]

"""[sig-network] Networking and Services: who reaches whom, and what keeps a pod from serving."""

from __future__ import annotations

import pytest

from emulator import Cluster
from emulator.api.client import MERGE_PATCH, Client
from tests.system.conformance.objects import (
    Object,
    address_of,
    outcomes,
    port,
    serve,
    server,
    service,
    spec_of,
)
from tests.system.oracles.addresses import bare, node_address, of_family, pod_gateway

NODES = ("worker-1", "worker-2", "worker-3")
ENOUGH = 60
"""Connections after which one of three endpoints that was never chosen has a probability of 1e-10."""


def servers(where: str) -> list[Object]:
    """One on each node, as the e2e framework's netserver pods."""
    return [server(where, f"netserver-{node[-1]}", node=node, app="netserver") for node in NODES]


def granular(where: str, **spec: object) -> Object:
    """The Service over them, in both families and at every node."""
    ports = (port(80, "http"), port(81, "http-udp", "udp", "UDP"))
    wishes = {"ipFamilyPolicy": "RequireDualStack", "type": "NodePort", **spec}
    return service(where, "node-port-service", *ports, selector={"app": "netserver"}, **wishes)


def node_ports(cluster: Cluster, where: str) -> dict[str, int]:
    """`tcp` and `udp` → the node port."""
    ports = spec_of(cluster, where, "node-port-service")["ports"]
    return {p["protocol"].lower(): p["nodePort"] for p in ports}


def test_granular_checks_for_pods(cluster: Cluster, space: str, family: int) -> None:
    """Networking Granular Checks: Pods should function for intra-pod communication: http, udp [Conformance]

    ... and for node-pod communication: http, udp [Conformance]
    """
    host = server(space, "host-test-container-pod", node="worker-2", ports={"http": 18080})
    host["spec"]["hostNetwork"] = True
    cluster.apply([*servers(space), server(space, "test-container-pod", node="worker-1"), host])
    sources = {
        "test-container-pod": address_of(cluster, space, "test-container-pod", family),
        "host-test-container-pod": pod_gateway(cluster, "worker-2", family),
    }
    for number in (1, 2, 3):
        name = f"netserver-{number}"
        where = address_of(cluster, space, name, family)
        for source, seen in sources.items():
            for wanted in ("8080/tcp", "8081/udp"):
                report = cluster.probe(f"{space}/{source}", f"{space}/{name}", wanted, family=family)
                assert report["endpoints"] == {f"{space}/{name}": 1}
                assert report["sourceSeen"] == [bare(seen)]
            url = f"http://{f'[{where}]' if family == 6 else where}:8080/hostname"
            assert cluster.exec(f"{space}/{source}", ["curl", "-s", url]).stdout == name


def test_granular_checks_for_services(cluster: Cluster, space: str, family: int) -> None:
    """Networking Granular Checks: Services should function for pod-, node- and endpoint-Service: http, udp"""
    cluster.apply([*servers(space), server(space, "test-container-pod"), granular(space)])
    address = of_family(spec_of(cluster, space, "node-port-service")["clusterIPs"], family)
    everyone = {f"{space}/netserver-{n}" for n in (1, 2, 3)}
    for protocol, node_port in node_ports(cluster, space).items():
        cluster_port = {"tcp": "80/tcp", "udp": "81/udp"}[protocol]
        for source in (f"{space}/test-container-pod", "node/worker-1", f"{space}/netserver-1"):
            at_nodes = [(f"node/{node}", f"{node_port}/{protocol}") for node in NODES[:2]]
            for target, number in [(address, cluster_port), *at_nodes]:
                report = cluster.probe(source, target, number, family=family, count=ENOUGH)
                assert report["outcomes"] == {"connected": ENOUGH}, (source, target, number)
                assert set(report["endpoints"]) == everyone, (source, target, number)


def test_node_ports_are_updated(cluster: Cluster, space: str, family: int) -> None:
    """Networking Granular Checks: Services should update nodePort: http, udp"""
    cluster.apply([*servers(space), server(space, "client"), granular(space)])
    numbers = [f"{number}/{protocol}" for protocol, number in node_ports(cluster, space).items()]
    address = node_address(cluster, "worker-2", family)
    assert outcomes(cluster, f"{space}/client", address, *numbers) == {"connected"}
    cluster.delete([granular(space)])
    assert outcomes(cluster, f"{space}/client", address, *numbers) == {"rejected"}


def test_large_requests(cluster: Cluster, space: str, family: int) -> None:
    """Networking Granular Checks: Services should be able to handle large requests: http, udp

    2000 bytes are more than a pod's MTU. A datagram travels in fragments, and is sent to the pod itself: a
    fragmented first datagram has no port by which to find a Service.
    """
    cluster.apply([*servers(space), server(space, "client", node="worker-1"), granular(space)])
    address = of_family(spec_of(cluster, space, "node-port-service")["clusterIPs"], family)
    host = f"[{address}]" if family == 6 else address
    url = f"http://{host}/echo?msg={'42' * 1000}"
    assert cluster.exec(f"{space}/client", ["curl", "-s", url]).stdout == "42" * 1000
    far = f"{space}/netserver-3"
    report = cluster.probe(f"{space}/client", far, "8081/udp", family=family, size=2000)
    assert (report["outcome"], report["endpoints"]) == ("connected", {far: 1})


@pytest.mark.parametrize("way", ["clusterIP", "NodePort"])
def test_session_affinity(cluster: Cluster, client: Client, space: str, way: str) -> None:
    """Services should have session affinity work for service with type clusterIP (NodePort) [Conformance]

    ... should be able to switch session affinity for service with type clusterIP (NodePort) [Conformance]
    """
    cluster.apply([*servers(space), granular(space, sessionAffinity="ClientIP")])
    clients = [server(space, f"client-{n}", node="worker-3") for n in (1, 2)]
    cluster.apply(clients)
    target, number = spec_of(cluster, space, "node-port-service")["clusterIP"], "80/tcp"
    if way == "NodePort":
        target, number = "node/worker-2", f"{node_ports(cluster, space)['tcp']}/tcp"

    def answered(source: str, count: int) -> set[str]:
        report = cluster.probe(f"{space}/{source}", target, number, count=count)
        assert report["outcome"] == "connected"
        return set(report["endpoints"])

    def switch(affinity: str) -> None:
        patch = {"spec": {"sessionAffinity": affinity}}
        client.patch("Service", "node-port-service", patch, space, content_type=MERGE_PATCH)
        assert cluster.wait_ready().ready

    assert len(answered("client-1", 15)) == 1
    switch("None")
    assert len(answered("client-1", ENOUGH)) > 1
    switch("ClientIP")
    kept = answered("client-2", 15)
    assert len(kept) == 1
    assert answered("client-2", 15) == kept


def test_labels_that_keep_the_proxy_away(cluster: Cluster, client: Client, space: str) -> None:
    """Services should implement service.kubernetes.io/service-proxy-name; service.kubernetes.io/headless"""
    cluster.apply([*servers(space), server(space, "client"), granular(space)])
    address = spec_of(cluster, space, "node-port-service")["clusterIP"]
    asked = (cluster, f"{space}/client", address, "80/tcp", "81/udp")
    assert outcomes(*asked) == {"connected"}
    for label in ("service-proxy-name", "headless"):
        for value, outcome in (("foo-bar", "dropped"), (None, "connected")):
            patch = {"metadata": {"labels": {f"service.kubernetes.io/{label}": value}}}
            client.patch("Service", "node-port-service", patch, space, content_type=MERGE_PATCH)
            assert cluster.wait_ready().ready
            assert outcomes(*asked) == {outcome}


def test_evicted_pods_are_no_endpoints(cluster: Cluster, space: str) -> None:
    """Services should be rejected for evicted pods (no endpoints exist)"""
    failing = server(space, "evicted", app="evicted-pods")
    failing["spec"].update(restartPolicy="Never")
    failing["spec"]["containers"][0].update(image="busybox", command=["false"])
    del failing["spec"]["containers"][0]["args"]
    published = service(space, "evicted-pods", publishNotReadyAddresses=True)
    good = server(space, "good", app="evicted-pods")
    cluster.apply([server(space, "client"), published, good])
    # A pod that has failed keeps readiness waiting for ever, so it is awaited by itself.
    client = Client(cluster.sandbox.socket)
    client.create(failing)
    for event in client.watch("Pod", space, fields="metadata.name=evicted"):
        if event["object"].get("status", {}).get("phase") == "Failed":
            break
    serve(cluster, space, "evicted-pods", "good")
    asked = (f"{space}/client", f"svc/{space}/evicted-pods", "80/tcp")
    assert cluster.probe(*asked)["endpoints"] == {f"{space}/good": 1}
    client.delete("Pod", "good", space)
    serve(cluster, space, "evicted-pods")
    assert cluster.probe(*asked)["outcome"] == "rejected"


def test_unready_pods_serve_when_they_are_published(cluster: Cluster, client: Client, space: str) -> None:
    """Services should create endpoints for unready pods

    ... should be able to connect to terminating and unready endpoints if PublishNotReadyAddresses is true
    ... should not be able to connect to terminating and unready endpoints if it is false
    """
    unready = server(space, "slow", node="worker-2", app="tolerate-unready")
    main = unready["spec"]["containers"][0]
    main["args"].append("--delay-shutdown=600")
    main["readinessProbe"] = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    unready["spec"]["terminationGracePeriodSeconds"] = 600
    published = service(space, "tolerate-unready", publishNotReadyAddresses=True, type="NodePort")
    cluster.apply([server(space, "client", node="worker-1"), published])
    client.create(unready)
    for event in client.watch("Pod", space, fields="metadata.name=slow"):
        statuses = event["object"].get("status", {}).get("containerStatuses") or [{}]
        if "running" in statuses[0].get("state", {}):
            break
    number = spec_of(cluster, space, "tolerate-unready")["ports"][0]["nodePort"]

    def everywhere() -> set[str]:
        places = [
            (f"svc/{space}/tolerate-unready", "80/tcp"),
            *((f"node/{node}", f"{number}/tcp") for node in NODES[:2]),
        ]
        return {str(cluster.probe(f"{space}/client", *place)["outcome"]) for place in places}

    def publish(value: bool) -> None:
        patch = {"spec": {"publishNotReadyAddresses": value}}
        client.patch("Service", "tolerate-unready", patch, space, content_type=MERGE_PATCH)

    serve(cluster, space, "tolerate-unready", "slow")
    assert everywhere() == {"connected"}
    publish(value=False)
    serve(cluster, space, "tolerate-unready")
    assert everywhere() == {"rejected"}
    publish(value=True)
    serve(cluster, space, "tolerate-unready", "slow")
    assert everywhere() == {"connected"}
    client.delete("Pod", "slow", space)
    assert client.get("Pod", "slow", space)["metadata"]["deletionTimestamp"]
    assert everywhere() == {"connected"}, "it terminates, is not ready, and is published all the same"
    publish(value=False)
    serve(cluster, space, "tolerate-unready")
    assert everywhere() == {"rejected"}
    client.delete("Pod", "slow", space, grace_seconds=0)


def test_same_port_and_different_protocols_of_a_load_balancer(cluster: Cluster, space: str) -> None:
    """Services should serve endpoints on same port and different protocol for internal traffic on Type
    LoadBalancer"""
    ports = (port(80, "http", "tcp"), port(80, "http-udp", "udp", "UDP"))
    balanced = service(space, "multiprotocol", *ports, selector={"app": "netserver"}, type="LoadBalancer")
    cluster.apply([*servers(space), server(space, "client"), balanced])
    address = spec_of(cluster, space, "multiprotocol")["clusterIP"]
    assert outcomes(cluster, f"{space}/client", address, "80/tcp", "80/udp") == {"connected"}
    cluster.apply(
        [service(space, "multiprotocol", ports[0], selector={"app": "netserver"}, type="LoadBalancer")]
    )
    assert outcomes(cluster, f"{space}/client", address, "80/tcp") == {"connected"}
    assert outcomes(cluster, f"{space}/client", address, "80/udp") == {"dropped"}

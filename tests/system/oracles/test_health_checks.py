"""Oracles 50 to 52: what nodes tell load balancers over HTTP, asked from outside, pods and nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from emulator import Cluster
from emulator.network.names import netns_path
from tests.system.hygiene import inside
from tests.system.oracles.addresses import node_address
from tests.system.oracles.objects import HTTP, Object, namespace, pod

CHECK, NODE_PORT, HEALTHZ = 31099, 31098, 10256
DEADLINE = 30.0
"""Seconds for a change that has to come."""


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: Any


def ask(cluster: Cluster, source: str, address: str, port: int, path: str = "/") -> Answer:
    """Ask over HTTP from a place."""
    host = f"[{address}]" if ":" in address else address
    command = ["curl", "-sgi", "--max-time", "10", f"http://{host}:{port}{path}"]
    said = inside(cluster, "nsenter", f"--net={netns_path(source)}", *command)
    head, _, body = said.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    is_json = headers.get("content-type", "").startswith("application/json")
    return Answer(int(first.split()[1]), headers, json.loads(body) if is_json else body)


def until(cluster: Cluster, node: str, status: int) -> Answer:
    """Ask a node for the Service's health until it says `status`."""
    deadline = time.monotonic() + DEADLINE
    while True:
        answer = ask(cluster, "ext/client", node_address(cluster, node, 4), CHECK)
        if answer.status == status:
            return answer
        assert time.monotonic() < deadline, answer


def balanced(policy: str = "Local", **spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            "ipFamilyPolicy": "RequireDualStack",
            "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": HTTP, "nodePort": NODE_PORT}],
            **spec,
        },
    }


def lingering(name: str, node: str) -> Object:
    """A pod that goes on serving, ready, for long after it was told to end."""
    found = pod(name, node, app="web", terminationGracePeriodSeconds=100)
    found["spec"]["containers"][0]["args"] += ["--delay-shutdown=100"]
    return found


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Cluster:
    objects = [
        namespace("shop"),
        pod("client", "worker-3"),
        lingering("web-1", "worker-1"),
        pod("web-1b", "worker-1", app="web"),
        pod("web-2", "worker-2", app="web"),
        balanced(healthCheckNodePort=CHECK),
    ]
    applied = cluster.apply(objects)
    assert applied.ready.ready, applied.ready.missing
    return cluster


@pytest.mark.parametrize("source", ["ext/client", "shop/client", "node/worker-3", "node/worker-1"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/what/ever?you=like"])
def test_50_every_node_tells_how_many_endpoints_it_has(
    web: Cluster, family: int, source: str, path: str
) -> None:
    for node, count in {"worker-1": 2, "worker-2": 1, "worker-3": 0}.items():
        answer = ask(web, source, node_address(web, node, family), CHECK, path)
        assert answer.status == (200 if count else 503), node
        assert answer.body == {
            "service": {"namespace": "shop", "name": "web"},
            "localEndpoints": count,
            "serviceProxyHealthy": True,
        }
        assert answer.headers["x-load-balancing-endpoint-weight"] == str(count)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_50_it_follows_the_endpoints(web: Cluster) -> None:
    """When a change is in force the nodes tell of it."""
    three: Object = pod("web-3", "worker-3", app="web")
    assert web.apply([three]).ready.ready
    assert ask(web, "ext/client", node_address(web, "worker-3", 4), CHECK).body["localEndpoints"] == 1
    assert web.delete([three]).ready.ready
    assert ask(web, "ext/client", node_address(web, "worker-3", 4), CHECK).status == 503


def test_50_the_port_is_released_with_the_policy_that_needs_it(web: Cluster) -> None:
    address = node_address(web, "worker-1", 4)
    assert web.apply([balanced("Cluster")]).ready.ready
    assert "healthCheckNodePort" not in web.get("Service", "web", "shop")["spec"]
    refused = web.probe("ext/client", "node/worker-1", f"{CHECK}/tcp", family=4)
    assert refused["outcome"] == "rejected"
    assert web.apply([balanced(healthCheckNodePort=CHECK)]).ready.ready
    assert ask(web, "ext/client", address, CHECK).status == 200


def test_50_a_port_that_cannot_be_had_is_told_on_the_service(web: Cluster) -> None:
    """Of node worker-2 alone, where a process of the node has it."""
    taken = CHECK + 1
    busy: Object = pod("busy", "worker-2", hostNetwork=True)
    busy["spec"]["containers"][0]["args"] = ["netexec", f"--http-port={taken}", "--udp-port=-1"]
    busy["spec"]["containers"][0].pop("ports")
    other = balanced(healthCheckNodePort=taken, ports=[{"port": 80, "targetPort": HTTP}])
    other["metadata"]["name"] = "other"
    assert web.apply([busy]).ready.ready
    try:
        assert web.apply([other]).ready.ready
        assert ask(web, "ext/client", node_address(web, "worker-1", 4), taken).status == 200
        (event,) = [e for e in web.get("Event") if e["reason"] == "FailedToStartServiceHealthcheck"]
        assert event["involvedObject"]["name"] == "other"
        assert event["source"] == {"component": "kube-proxy", "host": "worker-2"}
        assert "address already in use" in event["message"]
    finally:
        web.delete([other, busy])


@contextmanager
def node_changed(cluster: Cluster, change: Object, back: Object) -> Iterator[None]:
    cluster.patch("Node", "worker-2", "", change)
    try:
        yield
    finally:
        cluster.patch("Node", "worker-2", "", back)


def test_52_a_node_that_goes_is_unhealthy_and_alive(web: Cluster, family: int) -> None:
    address = node_address(web, "worker-2", family)
    other = node_address(web, "worker-1", family)

    def said(where: str) -> tuple[int, int, object]:
        healthz = ask(web, "ext/client", where, HEALTHZ, "/healthz")
        livez = ask(web, "shop/client", where, HEALTHZ, "/livez")
        return healthz.status, livez.status, healthz.body["nodeEligible"]

    assert said(address) == (200, 200, True)
    taint = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule"}
    with node_changed(web, {"spec": {"taints": [taint]}}, {"spec": {"taints": []}}):
        assert said(address) == (503, 200, False)
        assert said(other) == (200, 200, True)
        assert ask(web, "ext/client", address, CHECK).status == 200
    assert said(address) == (200, 200, True)
    assert ask(web, "ext/client", address, HEALTHZ, "/metrics").status == 404


def test_52_a_node_that_is_being_deleted_is_unhealthy_and_serves(web: Cluster) -> None:
    """A finalizer holds the deletion up; the node's pods leave with it, and no later test has any there."""
    address = node_address(web, "worker-3", 4)

    def said() -> tuple[int, int]:
        paths = ("/healthz", "/livez")
        healthz, livez = (ask(web, "ext/client", address, HEALTHZ, path).status for path in paths)
        return healthz, livez

    node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-3"}}
    web.patch("Node", "worker-3", "", {"metadata": {"finalizers": ["example.com/wait"]}})
    assert said() == (200, 200)
    web.delete([node])
    assert "deletionTimestamp" in web.get("Node", "worker-3")["metadata"]
    assert said() == (503, 200)
    served = web.probe("ext/client", "node/worker-2", f"{NODE_PORT}/tcp", family=4)
    assert served["outcome"] == "connected"
    web.patch("Node", "worker-3", "", {"metadata": {"finalizers": None}})
    assert web.apply([node]).ready.ready
    assert said() == (200, 200)


def test_51_should_fail_health_check_node_port_if_there_are_only_terminating_endpoints(web: Cluster) -> None:
    """[sig-network] Services: 503 when the node's last endpoint terminates, which yet still serves."""
    assert web.delete([pod("web-1b", "worker-1")]).ready.ready
    assert until(web, "worker-1", 200).body["localEndpoints"] == 1
    web.delete([lingering("web-1", "worker-1")], timeout=0.1)
    gone = until(web, "worker-1", 503)
    assert gone.body == {
        "service": {"namespace": "shop", "name": "web"},
        "localEndpoints": 0,
        "serviceProxyHealthy": True,
    }
    for family in (4, 6):
        served = web.probe("ext/client", "node/worker-1", f"{NODE_PORT}/tcp", family=family)
        assert (served["outcome"], served["endpoints"]) == ("connected", {"shop/web-1": 1})
    assert until(web, "worker-2", 200).body["localEndpoints"] == 1

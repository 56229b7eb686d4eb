"""The nodes that a load balancer checks, what it expects, and what it uses."""

from __future__ import annotations

from typing import Any

from emulator.cluster.model import Service
from emulator.cluster.targets import EXCLUDED, Check, expected, targets

from .lab import Lab, pod, service, wiring_of

WEB = ("default", "web")
NODES = ["edge-a", "edge-b", "worker-1", "worker-2", "worker-3", "worker-4"]


def lab(**spec: Any) -> Lab:
    made = Lab(wiring_of("two-zone-vpc"))
    made.run(pod("web", nodeName="worker-2"), service("web", type="LoadBalancer", **spec))
    return made


def record(made: Lab, **nodes: bool) -> None:
    """What the balancer found out."""
    known = {name.replace("_", "-"): {"healthy": healthy} for name, healthy in nodes.items()}
    topology = {"apiVersion": "mininetes.io/v1", "kind": "Topology", "metadata": {"name": "t"}, "spec": {}}
    made.apply(topology)
    status = {"loadBalancer": {"targets": {"default/web": known}}}
    made.store.replace_status({**made.get("Topology", "t", ""), "status": status})


def web(made: Lab) -> Service:
    return next(found for found in made.state().services if found.ref.name == "web")


def test_under_cluster_every_node_is_asked_at_the_node_port() -> None:
    made = lab()
    port = made.get("Service", "web")["spec"]["ports"][0]["nodePort"]
    found = targets(made.snapshot())[WEB]
    assert list(found) == NODES
    assert found["worker-2"] == Check("worker-2", "192.168.53.11", port, "")
    assert str(found["worker-2"]) == f"tcp://192.168.53.11:{port}"
    assert set(expected(made.snapshot()).values()) == {True}


def test_under_local_each_service_has_a_port_of_its_own() -> None:
    made = lab(externalTrafficPolicy="Local", ipFamilies=["IPv6"])
    port = made.get("Service", "web")["spec"]["healthCheckNodePort"]
    found = targets(made.snapshot())[WEB]
    assert found["worker-2"] == Check("worker-2", "fd00:192:168:53::11", port)
    assert {check.node for check, well in expected(made.snapshot()).items() if well} == {"worker-2"}


def test_healthy_nodes_are_used() -> None:
    made = lab()
    assert web(made).targets == ()
    record(made, worker_1=True, worker_2=True, edge_a=False, gone=True)
    assert web(made).targets == ("worker-1", "worker-2")


def test_excluded_and_deleted_nodes_are_left_out_at_once() -> None:
    made = lab()
    record(made, worker_1=True, worker_2=True, worker_3=True)
    made.change("Node", "worker-1", lambda obj: obj["metadata"]["labels"].update({EXCLUDED: ""}), "")
    assert web(made).targets == ("worker-2", "worker-3")
    assert "worker-1" not in targets(made.snapshot())[WEB]


def test_a_service_without_an_address_is_not_checked() -> None:
    made = lab(loadBalancerClass="example.com/other")
    assert targets(made.snapshot()) == {}

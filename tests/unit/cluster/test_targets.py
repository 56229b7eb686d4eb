"""The nodes that a load balancer checks, what it expects, and what it uses."""

from __future__ import annotations

from typing import Any

from emulator.cluster.model import Service
from emulator.cluster.plan import wire
from emulator.cluster.targets import EXCLUDED, Check, expected, targets
from emulator.cluster.topology import parse_topology

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


def test_under_cluster_every_nodes_proxy_is_asked() -> None:
    made = lab()
    found = targets(made.snapshot())[WEB]
    assert list(found) == NODES
    assert found["worker-2"] == Check("worker-2", "192.168.53.11", 10256)
    assert str(found["worker-2"]) == "http://192.168.53.11:10256/healthz"
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


def test_the_control_plane_takes_no_part() -> None:
    spec = {
        "nodes": [{"name": "head", "role": "control-plane"}, {"name": "worker-1"}],
        "routers": [{"name": "lb", "kind": "lb", "pool": ["203.0.113.64/26"]}],
    }
    topology = {"kind": "Topology", "metadata": {"name": "t"}, "spec": spec}
    made = Lab(wire(parse_topology(topology)))
    made.apply(service("web", type="LoadBalancer"))
    assert list(targets(made.snapshot())[WEB]) == ["worker-1"]
    alone = Lab(wire(parse_topology({**topology, "spec": {**spec, "nodes": spec["nodes"][:1]}})))
    alone.apply(service("web", type="LoadBalancer"))
    assert list(targets(alone.snapshot())[WEB]) == ["head"]

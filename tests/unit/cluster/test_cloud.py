"""Addresses for Services of type LoadBalancer: given out, kept, refused, taken back."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.objects import JsonObject
from emulator.cluster.cloud import CLASS, CLEANUP, MODE, pending
from emulator.cluster.plan import wire
from emulator.cluster.topology import FAMILIES, parse_topology

from .lab import Lab, service, shipped, wiring_of


def cloud(*pool: str, families: tuple[str, ...] = ("IPv4", "IPv6")) -> Lab:
    """A cluster behind a load balancer with that pool."""
    spec = {
        "families": list(families),
        "nodes": [{"name": "worker-1"}],
        "routers": [{"name": "lb", "kind": "lb", "pool": list(pool)}],
    }
    return Lab(wire(parse_topology({"kind": "Topology", "metadata": {"name": "t"}, "spec": spec})))


def vpc() -> Lab:
    return Lab(wiring_of("two-zone-vpc"))


def balanced(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> JsonObject:
    made = service(name, type="LoadBalancer", **spec)
    if annotations:
        made["metadata"]["annotations"] = annotations
    return made


def ingress(lab: Lab, name: str) -> list[JsonObject]:
    found: list[JsonObject] = lab.get("Service", name)["status"]["loadBalancer"].get("ingress", [])
    return found


def addresses(lab: Lab, name: str) -> list[str]:
    return [entry["ip"] for entry in ingress(lab, name)]


def told(lab: Lab, name: str) -> list[tuple[str, str]]:
    return [
        (event["reason"], event["message"])
        for event in lab.store.list("Event")
        if event["involvedObject"]["name"] == name
    ]


def test_a_service_gets_the_lowest_free_address() -> None:
    lab = vpc()
    lab.apply(balanced("web"), balanced("shop", ports=[{"port": 53, "protocol": "UDP"}]))
    ports = [{"port": 80, "protocol": "TCP"}]
    assert ingress(lab, "web") == [{"ip": "203.0.113.65", "ipMode": "VIP", "ports": ports}]
    assert ingress(lab, "shop")[0]["ports"] == [{"port": 53, "protocol": "UDP"}]
    assert addresses(lab, "shop") == ["203.0.113.66"]
    assert told(lab, "web") == [("EnsuredLoadBalancer", "Ensured load balancer: 203.0.113.65")]


def test_one_address_for_each_of_its_families() -> None:
    lab = vpc()
    lab.apply(balanced("web", ipFamilyPolicy="RequireDualStack"), balanced("six", ipFamilies=["IPv6"]))
    assert addresses(lab, "web") == ["203.0.113.65", "2001:db8:203:0:113:64:0:1"]
    assert addresses(lab, "six") == ["2001:db8:203:0:113:64:0:2"]


def test_a_family_that_the_pool_has_not_is_said() -> None:
    lab = cloud("203.0.113.64/26")
    lab.apply(balanced("both", ipFamilyPolicy="RequireDualStack"), balanced("six", ipFamilies=["IPv6"]))
    assert addresses(lab, "both") == ["203.0.113.65"]
    assert "No IPv6 address" in told(lab, "both")[-1][1] + told(lab, "both")[0][1]
    assert addresses(lab, "six") == []
    assert "the pool of load balancer lb has no IPv6 range" in told(lab, "six")[0][1]


def test_addresses_stay_and_return() -> None:
    lab = vpc()
    lab.apply(balanced("a"), balanced("b"), balanced("c"))
    lab.delete("Service", "b")
    lab.change("Service", "c", lambda obj: obj["metadata"].update(labels={"x": "y"}))
    assert addresses(lab, "c") == ["203.0.113.67"]
    lab.apply(balanced("d"))
    assert addresses(lab, "d") == ["203.0.113.66"]


def test_the_address_asked_for_is_given_if_it_is_free() -> None:
    lab = vpc()
    lab.apply(
        balanced("web", loadBalancerIP="203.0.113.100"), balanced("late", loadBalancerIP="203.0.113.100")
    )
    assert addresses(lab, "web") == ["203.0.113.100"]
    assert addresses(lab, "late") == []
    assert "203.0.113.100 is the address of default/web already" in told(lab, "late")[0][1]
    lab.delete("Service", "web")
    assert addresses(lab, "late") == ["203.0.113.100"]


def test_an_address_from_elsewhere_is_refused() -> None:
    lab = vpc()
    lab.apply(balanced("web", loadBalancerIP="198.51.100.9"))
    assert addresses(lab, "web") == []
    assert "not in the pool (203.0.113.64/26)" in told(lab, "web")[0][1]


def test_an_exhausted_pool_is_said_once_and_served_later() -> None:
    lab = cloud("203.0.113.64/30")
    lab.apply(balanced("a"), balanced("b"), balanced("c"))
    assert (addresses(lab, "a"), addresses(lab, "b")) == (["203.0.113.65"], ["203.0.113.66"])
    assert addresses(lab, "c") == []
    lab.settle()
    assert [reason for reason, _ in told(lab, "c")] == ["SyncLoadBalancerFailed"]
    assert "the pool 203.0.113.64/30 is exhausted" in told(lab, "c")[0][1]
    lab.delete("Service", "a")
    assert addresses(lab, "c") == ["203.0.113.65"]


def test_without_a_load_balancer_it_stays_pending_and_says_why() -> None:
    lab = Lab()
    lab.apply(balanced("web"))
    assert ingress(lab, "web") == []
    ((reason, message),) = told(lab, "web")
    assert reason == "SyncLoadBalancerFailed"
    assert "topology three-node has no load balancer" in message
    assert "finalizers" not in lab.get("Service", "web")["metadata"]


def test_who_applies_is_told_what_stays_without_an_address() -> None:
    lab = Lab()
    lab.apply(balanced("web"), balanced("other", loadBalancerClass="example.com/internal-vip"))
    web, other = pending(lab.snapshot())
    assert web.startswith("Service default/web has no external address: topology three-node has no load bal")
    assert other.endswith(
        "/other has no external address: nobody here serves loadBalancerClass example.com/internal-vip"
    )
    cloudy = vpc()
    cloudy.apply(balanced("web"), balanced("late", loadBalancerIP="203.0.113.65"))
    (late,) = pending(cloudy.snapshot())
    assert "203.0.113.65 is the address of default/web already" in late


def test_another_class_is_left_alone() -> None:
    """As the conformance test "Services should complete a service status lifecycle" expects."""
    lab = vpc()
    lab.apply(balanced("web", loadBalancerClass="example.com/internal-vip"))
    assert ingress(lab, "web") == []
    assert told(lab, "web") == []
    found = lab.get("Service", "web")
    lab.store.replace_status({**found, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.65"}]}}})
    lab.settle()
    assert addresses(lab, "web") == ["203.0.113.65"]
    lab.apply(balanced("own", loadBalancerClass=CLASS))
    assert addresses(lab, "own") == ["203.0.113.66"]


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort"])
def test_another_type_gives_the_address_back(kind: str) -> None:
    lab = vpc()
    lab.apply(balanced("web"))
    assert lab.get("Service", "web")["metadata"]["finalizers"] == [CLEANUP]
    lab.change("Service", "web", lambda obj: obj["spec"].update(type=kind))
    assert lab.get("Service", "web")["status"] == {"loadBalancer": {}}
    assert not lab.get("Service", "web")["metadata"].get("finalizers")
    assert ("DeletedLoadBalancer", "Deleted load balancer: 203.0.113.65") in told(lab, "web")
    lab.apply(balanced("next"))
    assert addresses(lab, "next") == ["203.0.113.65"]
    lab.change("Service", "web", lambda obj: obj["spec"].update(type="LoadBalancer"))
    assert addresses(lab, "web") == ["203.0.113.66"]


def test_a_deleted_service_and_a_deleted_namespace_are_gone() -> None:
    lab = vpc()
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    made = balanced("web")
    made["metadata"]["namespace"] = "shop"
    lab.apply(balanced("web"), made)
    lab.delete("Service", "web")
    lab.delete("Namespace", "shop", "")
    assert [found["metadata"]["name"] for found in lab.store.list("Service")] == ["kubernetes"]


def test_the_mode_may_be_chosen_by_a_service() -> None:
    lab = vpc()
    lab.apply(balanced("web", annotations={MODE: "proxy"}), balanced("odd", annotations={MODE: "magic"}))
    assert ingress(lab, "web")[0]["ipMode"] == "Proxy"
    assert "'magic'; it may be vip or proxy" in told(lab, "odd")[0][1]


def test_without_node_ports_only_packets_can_be_passed_on() -> None:
    lab = vpc()
    lab.apply(
        balanced("vip", allocateLoadBalancerNodePorts=False),
        balanced("proxy", annotations={MODE: "proxy"}, allocateLoadBalancerNodePorts=False),
    )
    assert addresses(lab, "vip") == ["203.0.113.65"]
    assert addresses(lab, "proxy") == []
    assert "mode proxy reaches nodes at node ports, and port 80 has none" in told(lab, "proxy")[0][1]


def test_a_proxy_does_not_speak_sctp() -> None:
    lab = vpc()
    ports = [{"port": 5060, "protocol": "SCTP"}]
    lab.apply(balanced("vip", ports=ports), balanced("proxy", annotations={MODE: "proxy"}, ports=ports))
    assert addresses(lab, "vip") == ["203.0.113.65"]
    assert "carries TCP and UDP, and port 5060 is SCTP" in told(lab, "proxy")[0][1]


@pytest.mark.parametrize(
    ("family", "address"), [("IPv4", "203.0.113.65"), ("IPv6", "2001:db8:203:0:113:64:0:1")]
)
def test_a_cluster_of_one_family_gives_addresses_of_it(family: str, address: str) -> None:
    given = shipped("two-zone-vpc")
    given["metadata"]["annotations"] = {FAMILIES: family}
    lab = Lab(wire(parse_topology(given)))
    lab.apply(balanced("web"))
    assert addresses(lab, "web") == [address]

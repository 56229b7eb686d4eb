"""ServiceCIDRs and IPAddresses (KEP-1880): where cluster IPs come from, and who has which."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject, Key
from emulator.cluster.service_ranges import FINALIZER

from .lab import Lab, service
from .test_admission import refusal, spec_of
from .test_families import single_stack


def cidr(name: str, *cidrs: str) -> JsonObject:
    metadata = {"name": name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": metadata,
        "spec": {"cidrs": list(cidrs)},
    }


def taken(address: str, name: str = "balancer") -> JsonObject:
    parent = {"group": "example.com", "resource": "balancers", "name": name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": address},
        "spec": {"parentRef": parent},
    }


def ready(lab: Lab, name: str) -> JsonObject:
    (condition,) = lab.get("ServiceCIDR", name, "")["status"]["conditions"]
    found: JsonObject = condition
    return found


def test_the_topologys_ranges_are_the_default_service_cidr() -> None:
    lab = Lab()
    obj = lab.get("ServiceCIDR", "kubernetes", "")
    assert obj["spec"]["cidrs"] == ["10.96.0.0/16", "fd00:10:96::/112"]
    assert obj["metadata"]["finalizers"] == [FINALIZER]
    assert (ready(lab, "kubernetes")["status"], ready(lab, "kubernetes")["type"]) == ("True", "Ready")


def test_every_cluster_ip_has_an_ip_address() -> None:
    lab = Lab()
    lab.apply(service("web", ipFamilyPolicy="PreferDualStack"), service("none", clusterIP="None"))
    for text in spec_of(lab, "web")["clusterIPs"]:
        obj = lab.get("IPAddress", text, "")
        assert obj["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "web"}
        assert obj["metadata"]["labels"] == {
            "ipaddress.kubernetes.io/ip-family": f"IPv{ip_address(text).version}",
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }
    both = set(spec_of(lab, "web")["clusterIPs"])
    lab.change("Service", "web", lambda s: s["spec"].update(ipFamilyPolicy="SingleStack"))
    assert both - set(spec_of(lab, "web")["clusterIPs"]) == {
        text for text in both if lab.store.find(Key("IPAddress", "", text)) is None
    }
    lab.delete("Service", "web")
    assert [obj["metadata"]["name"] for obj in lab.store.list("IPAddress")] == ["10.96.0.1"]


def test_an_ip_address_that_goes_comes_back_as_long_as_its_service_has_it() -> None:
    lab = Lab()
    lab.apply(service("web"))
    address = spec_of(lab, "web")["clusterIP"]
    lab.delete("IPAddress", address, "")
    assert lab.get("IPAddress", address, "")["spec"]["parentRef"]["name"] == "web"


def test_an_address_that_somebody_else_has_is_not_given_out() -> None:
    lab = Lab()
    lab.apply(taken("10.96.0.77"))
    assert "10.96.0.77: provided IP is already allocated" in refusal(
        lab, service("a", clusterIP="10.96.0.77")
    )
    lab.delete("IPAddress", "10.96.0.77", "")
    lab.apply(service("a", clusterIP="10.96.0.77"))


def test_a_second_range_can_be_asked_for_and_fills_up_the_first() -> None:
    lab = Lab()
    why = "The range of valid IPs is 10.96.0.0/16"
    assert why in refusal(lab, service("far", clusterIP="10.97.0.10"))
    lab.apply(cidr("more", "10.97.0.0/24"))
    assert ready(lab, "more")["status"] == "True"
    lab.apply(service("far", clusterIP="10.97.0.10"), service("near"))
    assert ip_address(spec_of(lab, "near")["clusterIP"]) in ip_network("10.96.0.0/16")


def test_a_full_range_is_an_internal_error_until_another_one_is_there() -> None:
    from emulator.cluster.plan import wire
    from emulator.cluster.topology import parse_topology

    spec = {"families": ["IPv4"], "serviceCIDRs": ["10.96.0.0/29"], "nodes": [{"name": "worker-1"}]}
    lab = Lab(wire(parse_topology({"metadata": {"name": "small"}, "spec": spec})))
    lab.apply(*(service(f"s{number}") for number in range(5)))
    with pytest.raises(ApiError, match="failed to allocate a serviceIP: range is full") as caught:
        lab.apply(service("late"))
    assert (caught.value.code, caught.value.reason) == (500, "InternalError")
    lab.apply(cidr("more", "10.97.0.0/24"), service("late"))
    assert ip_address(spec_of(lab, "late")["clusterIP"]) in ip_network("10.97.0.0/24")


def test_a_service_cidr_in_use_stays_until_its_addresses_are_gone() -> None:
    lab = Lab()
    lab.apply(cidr("more", "10.97.0.0/24"), service("far", clusterIP="10.97.0.10"))
    lab.delete("ServiceCIDR", "more", "")
    assert (ready(lab, "more")["status"], ready(lab, "more")["reason"]) == ("False", "Terminating")
    assert "not in the valid range" in refusal(lab, service("next", clusterIP="10.97.0.11"))
    lab.delete("Service", "far")
    assert lab.store.find(Key("ServiceCIDR", "", "more")) is None


def test_a_service_cidr_may_go_when_another_one_holds_its_addresses() -> None:
    lab = Lab()
    lab.apply(cidr("more", "10.97.0.0/24"), service("far", clusterIP="10.97.0.10"))
    lab.apply(cidr("most", "10.97.0.0/16"))
    lab.delete("ServiceCIDR", "more", "")
    assert lab.store.find(Key("ServiceCIDR", "", "more")) is None


def test_ranges_do_not_change() -> None:
    lab = Lab()
    lab.apply(cidr("more", "10.97.0.0/24"))
    with pytest.raises(ApiError, match=r"spec\.cidrs: Invalid value: .*field is immutable"):
        lab.change("ServiceCIDR", "more", lambda o: o["spec"].update(cidrs=["10.98.0.0/24"]), "")


@pytest.mark.parametrize(
    ("range_", "words"),
    [
        (
            "10.244.7.0/24",
            'spec.cidrs[0]: Invalid value: "10.244.7.0/24": overlaps the pod range 10.244.0.0/16',
        ),
        ("192.168.0.0/16", "overlaps the node range 192.168.50.0/24"),
    ],
)
def test_ranges_of_pods_and_nodes_are_refused(range_: str, words: str) -> None:
    assert words in refusal(Lab(), cidr("more", range_))


def test_a_family_that_the_cluster_lacks_is_refused() -> None:
    assert "IPv6 is not configured on this cluster" in refusal(single_stack(), cidr("more", "fd00:9::/112"))

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.bands import NODE_PORTS, address_band
from emulator.cluster.state import recorded_ids

from .lab import Lab, service

NODE_PORTS_ALL = range(30000, 32768)
V4, V6 = ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112")


def spec_of(lab: Lab, name: str) -> JsonObject:
    found: JsonObject = lab.get("Service", name)["spec"]
    return found


def refusal(lab: Lab, obj: JsonObject) -> str:
    with pytest.raises(ApiError) as caught:
        lab.apply(obj)
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    return caught.value.message


# -- cluster IPs


def test_the_kubernetes_service_has_the_first_address() -> None:
    assert spec_of(Lab(), "kubernetes")["clusterIP"] == "10.96.0.1"


def test_addresses_come_from_the_upper_band_and_differ() -> None:
    lab = Lab()
    lab.apply(*(service(f"s{i}") for i in range(30)))
    ips = [ip_address(spec_of(lab, f"s{i}")["clusterIP"]) for i in range(30)]
    assert len(set(ips)) == 30
    assert all(ip in V4 and int(ip) - int(V4.network_address) > 256 for ip in ips)
    spec = spec_of(lab, "s0")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


def test_the_seed_decides() -> None:
    def choices(seed: int) -> list[str]:
        lab = Lab(seed=seed)
        lab.apply(service("a"), service("b", type="NodePort"))
        return [spec_of(lab, "a")["clusterIP"], str(spec_of(lab, "b")["ports"][0]["nodePort"])]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)


def test_a_service_made_again_has_another_address() -> None:
    lab = Lab()
    lab.apply(service("web"))
    before = spec_of(lab, "web")["clusterIP"]
    lab.delete("Service", "web")
    lab.apply(service("web"))
    assert spec_of(lab, "web")["clusterIP"] != before


@pytest.mark.parametrize(
    ("size", "static"),
    [("10.96.0.0/24", 16), ("10.96.0.0/16", 256), ("10.96.0.0/12", 256), ("10.96.0.0/28", 0)],
)
def test_bands(size: str, static: int) -> None:
    band = address_band(ip_network(size))
    assert band.dynamic - band.first == static


def test_the_lower_band_is_used_when_the_upper_is_full() -> None:
    band = address_band(ip_network("10.96.0.0/24"))
    upper = set(range(band.dynamic, band.last + 1))
    assert band.choose(upper, 0) in range(band.first, band.dynamic)
    assert band.choose(upper | set(range(band.first, band.dynamic)), 0) is None
    assert (NODE_PORTS.first, NODE_PORTS.dynamic, NODE_PORTS.last) == (30000, 30086, 32767)


def test_an_explicit_address_is_kept_if_it_can_be() -> None:
    lab = Lab()
    lab.apply(service("dns", clusterIP="10.96.0.10"))
    assert spec_of(lab, "dns")["clusterIPs"] == ["10.96.0.10"]
    assert "failed to allocate IP 10.96.0.10: provided IP is already allocated" in refusal(
        lab, service("other", clusterIP="10.96.0.10")
    )
    assert "not in the valid range. The range of valid IPs is 10.96.0.0/16" in refusal(
        lab, service("far", clusterIP="10.97.0.10")
    )
    lab.delete("Service", "dns")
    lab.apply(service("other", clusterIP="10.96.0.10"))


def test_an_update_keeps_what_was_allocated() -> None:
    lab = Lab()
    lab.apply(service("web", type="NodePort"))
    before = spec_of(lab, "web")
    lab.store.replace({**service("web", [{"port": 80, "targetPort": 8080}], type="NodePort")})
    after = spec_of(lab, "web")
    assert after["clusterIP"] == before["clusterIP"]
    assert after["ports"][0]["nodePort"] == before["ports"][0]["nodePort"]
    assert after["ports"][0]["targetPort"] == 8080


def test_applying_the_same_again_changes_nothing() -> None:
    lab = Lab()
    obj = service("web", [{"name": "a", "port": 80}, {"name": "b", "port": 81}], type="NodePort")
    lab.apply(obj)
    version = lab.store.resource_version
    lab.store.replace(obj)
    assert lab.store.resource_version == version


# -- types and node ports


def test_types_change_as_upstream_tests_do() -> None:
    lab = Lab()
    lab.apply(service("web", type="ExternalName", externalName="example.org"))
    assert not {"clusterIP", "clusterIPs", "ipFamilies"} & set(spec_of(lab, "web"))

    def become(kind: str) -> Any:
        def edit(obj: JsonObject) -> None:
            obj["spec"]["type"] = kind
            obj["spec"].pop("externalName", None)

        return edit

    lab.change("Service", "web", become("NodePort"))
    spec = spec_of(lab, "web")
    assert ip_address(spec["clusterIP"]) in V4
    assert spec["ports"][0]["nodePort"] in NODE_PORTS
    lab.change("Service", "web", become("ClusterIP"))
    assert "nodePort" not in spec_of(lab, "web")["ports"][0]
    assert "externalTrafficPolicy" not in spec_of(lab, "web")
    assert spec_of(lab, "web")["clusterIP"] == spec["clusterIP"]


def test_node_ports_are_taken_for_all_protocols_and_freed() -> None:
    lab = Lab()
    lab.apply(service("web", [{"port": 80, "nodePort": 30080}], type="NodePort"))
    udp = service("dns", [{"port": 53, "protocol": "UDP", "nodePort": 30080}], type="NodePort")
    assert "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated" in refusal(
        lab, udp
    )
    assert "provided port is not in the valid range. The range of valid ports is 30000-32767" in refusal(
        lab, service("far", [{"port": 80, "nodePort": 80}], type="NodePort")
    )
    lab.delete("Service", "web")
    lab.apply(udp)


def test_two_protocols_of_one_port_share_a_node_port() -> None:
    lab = Lab()
    ports = [
        {"name": "t", "port": 53},
        {"name": "u", "port": 53, "protocol": "UDP"},
        {"name": "m", "port": 9153},
    ]
    lab.apply(service("dns", ports, type="NodePort"))
    t, u, m = (port["nodePort"] for port in spec_of(lab, "dns")["ports"])
    assert t == u != m
    assert min(t, m) >= 30086


def test_ports_that_a_change_brings_get_numbers_of_their_own() -> None:
    """As upstream: only the ports of a new Service share a number."""
    lab = Lab()
    lab.apply(service("dns", [{"name": "t", "port": 53}]))
    both = [{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]
    lab.change("Service", "dns", lambda s: s["spec"].update(type="NodePort", ports=both))
    t, u = (port["nodePort"] for port in spec_of(lab, "dns")["ports"])
    assert {t, u} <= set(range(30086, 32768))
    assert t != u


def test_a_port_keeps_its_node_port_by_its_name() -> None:
    lab = Lab()
    lab.apply(service("web", [{"name": "a", "port": 80}, {"name": "b", "port": 81}], type="NodePort"))
    a, b = (port["nodePort"] for port in spec_of(lab, "web")["ports"])
    changed = [
        {"name": "b", "port": 8081},
        {"name": "c", "port": 80},
        {"name": "a", "port": 8080, "nodePort": b},
    ]
    lab.store.replace(service("web", changed, type="NodePort"))
    numbers = {port["name"]: port["nodePort"] for port in spec_of(lab, "web")["ports"]}
    assert numbers["a"] == b, "asked for"
    assert numbers["b"] not in (a, b), "somebody else has it now"
    lab.store.replace(service("web", [{"name": "b", "port": 9999}], type="NodePort"))
    assert spec_of(lab, "web")["ports"][0]["nodePort"] == numbers["b"]


def test_node_ports_run_out() -> None:
    lab = Lab()
    ports = [{"name": f"p{n}", "port": n, "nodePort": n} for n in NODE_PORTS_ALL]
    lab.apply(service("all", ports, type="NodePort"))
    with pytest.raises(ApiError, match="failed to allocate a nodePort: range is full") as caught:
        lab.apply(service("web", type="NodePort"))
    assert caught.value.code == 500


def test_a_cluster_ip_service_may_not_name_a_node_port() -> None:
    assert "may not be used when `type` is 'ClusterIP'" in refusal(
        Lab(), service("web", [{"port": 80, "nodePort": 30080}])
    )


def test_health_check_node_ports() -> None:
    lab = Lab()
    lab.apply(service("web", type="LoadBalancer", externalTrafficPolicy="Local"))
    spec = spec_of(lab, "web")
    assert spec["healthCheckNodePort"] in NODE_PORTS
    assert spec["healthCheckNodePort"] != spec["ports"][0]["nodePort"]
    assert lab.state().services[1].health_check_node_port == spec["healthCheckNodePort"]
    lab.change("Service", "web", lambda s: s["spec"].update(externalTrafficPolicy="Cluster"))
    assert "healthCheckNodePort" not in spec_of(lab, "web")


def test_a_load_balancer_may_do_without_node_ports() -> None:
    lab = Lab()
    lab.apply(service("web", type="LoadBalancer", allocateLoadBalancerNodePorts=False))
    assert "nodePort" not in spec_of(lab, "web")["ports"][0]


# -- ids of ports


def test_port_ids_stay_and_are_not_reused_at_once() -> None:
    lab = Lab()
    lab.apply(service("web", [{"name": "a", "port": 80}, {"name": "b", "port": 81}]))
    before = recorded_ids(lab.get("Service", "web"))
    lab.change("Service", "web", lambda s: s["spec"]["ports"].append({"name": "c", "port": 82}))
    after = recorded_ids(lab.get("Service", "web"))
    assert {key: after[key] for key in before} == before
    lab.delete("Service", "web")
    lab.apply(service("next"))
    assert not set(recorded_ids(lab.get("Service", "next")).values()) & set(after.values())
    assert [port.id for s in lab.state().services for port in s.ports] == [1, 5]


def test_taking_the_annotation_away_does_not_change_ids() -> None:
    lab = Lab()
    lab.apply(service("web"))
    before = recorded_ids(lab.get("Service", "web"))
    lab.change("Service", "web", lambda s: s["metadata"].pop("annotations"))
    assert recorded_ids(lab.get("Service", "web")) == before


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["create", "delete", "grow"]),
            st.integers(0, 6),
            st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
        ),
        max_size=25,
    )
)
@settings(max_examples=40, deadline=None)
def test_nothing_is_held_by_two_services(steps: list[tuple[str, int, str]]) -> None:
    lab = Lab()
    for action, number, kind in steps:
        name = f"s{number}"
        exists = any(s["metadata"]["name"] == name for s in lab.store.list("Service"))
        if action == "create" and not exists:
            lab.apply(
                service(name, [{"name": "p0", "port": 80}], type=kind, ipFamilyPolicy="PreferDualStack")
            )
        elif action == "delete" and exists:
            lab.delete("Service", name)
        elif action == "grow" and exists:
            count = len(spec_of(lab, name)["ports"])
            port = {"name": f"p{count}", "port": 80 + count}
            lab.change("Service", name, lambda s, port=port: s["spec"]["ports"].append(port))
    stored = lab.store.list("Service")
    for held in (
        [ip for s in stored for ip in s["spec"]["clusterIPs"]],
        [p["nodePort"] for s in stored for p in s["spec"]["ports"] if p.get("nodePort")],
        [number for s in stored for number in recorded_ids(s).values()],
    ):
        assert len(set(held)) == len(held)
    state = lab.state()
    assert len({p.id for s in state.services for p in s.ports}) == sum(
        len(s["spec"]["ports"]) for s in stored
    )

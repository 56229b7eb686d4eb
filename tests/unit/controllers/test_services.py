"""Which endpoints serve and who is masqueraded: kube-proxy's table, read off the flows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from controllers.pipeline.actions import Controller, Ct, Learn, Load, Multipath, Resubmit, Set
from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.endpoints import endpoint_sets
from controllers.pipeline.fields import SCTP_DST, SCTP_SRC
from controllers.pipeline.flow import Flow
from controllers.pipeline.registers import LOCAL_SET, MASQUERADE, PUNT, REMEMBERED, SERVICE
from controllers.pipeline.tables import (
    AFFINITY,
    CONNTRACK_STATE,
    ENDPOINT_DNAT,
    SERVICE_ENDPOINT,
    SERVICE_FRONTEND,
    SERVICE_LB,
    Stage,
)
from emulator.cluster.model import ClusterState, Endpoint, Protocol, Service, TrafficPolicy

from .cluster import endpoints, pod, service, wiring

PLAN = wiring("three-node")
ONE, TWO, THREE = PLAN.nodes
HERE, THERE = pod(PLAN, "here", ONE.name, 5), pod(PLAN, "there", TWO.name, 5)
LOCAL = TrafficPolicy.LOCAL
OFFICE = "198.51.100.0/24"


def flows(stage: Stage, *services: Service, bridge: str = "n1") -> list[Flow]:
    program = compile_cluster(ClusterState(PLAN, pods=(HERE, THERE), services=services))[bridge]
    return [flow for flow in program if flow.stage is stage and flow.owner.kind == "Service"]


def named(found: list[Flow], name: str) -> list[Flow]:
    return [flow for flow in found if flow.name == name]


def masquerades(flow: Flow) -> bool:
    return Load(1, MASQUERADE) in flow.actions


def is_local(flow: Flow) -> bool:
    return Load(1, LOCAL_SET) in flow.actions


# -- endpoint sets ---------------------------------------------------------------------------------


def sets(*found: Endpoint) -> tuple[list[str], list[str]]:
    port = service("web", 20, found).ports[0]
    chosen = endpoint_sets(port, ONE, 4)
    return [str(e.address) for e in chosen.cluster], [str(e.address) for e in chosen.local]


def an_endpoint(last: int, node: str | None = ONE.name, **conditions: object) -> Endpoint:
    plain = Endpoint(ip_address(f"10.244.9.{last}"), 80, node, True, True, False, None)
    return replace(plain, **conditions)  # type: ignore[arg-type]


DRAINING = {"ready": False, "serving": True, "terminating": True}
GONE = {"ready": False, "serving": False, "terminating": True}


def test_ready_endpoints_serve() -> None:
    assert sets(an_endpoint(1), an_endpoint(2, TWO.name), an_endpoint(3, ready=False, serving=False)) == (
        ["10.244.9.1", "10.244.9.2"],
        ["10.244.9.1"],
    )


def test_draining_endpoints_serve_where_none_is_ready() -> None:
    assert sets(an_endpoint(1, **DRAINING), an_endpoint(2, TWO.name)) == (["10.244.9.2"], ["10.244.9.1"])
    assert sets(an_endpoint(1, **DRAINING), an_endpoint(2, TWO.name, **DRAINING)) == (
        ["10.244.9.1", "10.244.9.2"],
        ["10.244.9.1"],
    )


def test_endpoints_that_do_not_serve_are_never_used() -> None:
    assert sets(an_endpoint(1, **GONE)) == ([], [])


def test_hints_count_only_when_every_ready_endpoint_has_them() -> None:
    hinted = an_endpoint(1, for_zones=(ONE.zone,)), an_endpoint(2, TWO.name, for_zones=(TWO.zone,))
    assert sets(*hinted)[0] == ["10.244.9.1"]
    assert sets(*hinted, an_endpoint(3, TWO.name))[0] == ["10.244.9.1", "10.244.9.2", "10.244.9.3"]
    elsewhere = an_endpoint(2, TWO.name, for_zones=(TWO.zone,)), an_endpoint(3, for_zones=(THREE.zone,))
    assert sets(*elsewhere)[0] == ["10.244.9.2", "10.244.9.3"]


def test_same_node_hints_beat_zones_and_leave_the_local_set_alone() -> None:
    near = an_endpoint(1, for_nodes=(ONE.name,), for_zones=(TWO.zone,))
    far = an_endpoint(2, for_nodes=(TWO.name,), for_zones=(ONE.zone,))
    assert sets(near, far) == (["10.244.9.1"], ["10.244.9.1", "10.244.9.2"])


def test_an_endpoint_named_twice_counts_once() -> None:
    assert sets(an_endpoint(1), an_endpoint(1))[0] == ["10.244.9.1"]


# -- frontends -------------------------------------------------------------------------------------


def test_cluster_ip_masquerades_all_but_pods() -> None:
    found = flows(SERVICE_FRONTEND, service("web", 20, endpoints([HERE, THERE])))
    assert len(found) == 4  # two families, from pods and from elsewhere
    for flow in found:
        assert masquerades(flow) == (flow.name == "cluster-ip")
        assert not is_local(flow)


def test_internal_policy_local_asks_for_local_endpoints() -> None:
    found = flows(SERVICE_FRONTEND, service("web", 20, endpoints([HERE]), internal=LOCAL))
    assert all(is_local(flow) for flow in found)


def test_node_port_masquerades_under_cluster() -> None:
    found = named(
        flows(SERVICE_FRONTEND, service("web", 20, endpoints([HERE]), node_port=30080)), "node-port"
    )
    assert len(found) == 2
    assert all(masquerades(flow) and not is_local(flow) for flow in found)


@pytest.mark.parametrize(
    ("name", "masqueraded", "local"),
    [
        ("node-port-from-pod", False, False),
        ("node-port-from-the-stack", True, False),
        ("node-port-local", False, True),
    ],
)
def test_node_port_under_local(name: str, masqueraded: bool, local: bool) -> None:
    web = service("web", 20, endpoints([HERE]), node_port=30080, external=LOCAL)
    found = named(flows(SERVICE_FRONTEND, web), name)
    assert len(found) == 2
    assert all(masquerades(flow) == masqueraded and is_local(flow) == local for flow in found)


def test_the_cluster_ip_keeps_all_endpoints_under_external_policy_local() -> None:
    web = service("web", 20, endpoints([HERE]), node_port=30080, external=LOCAL)
    assert not any(
        is_local(flow) for flow in flows(SERVICE_FRONTEND, web) if flow.name.startswith("cluster-ip")
    )


# -- outward addresses -----------------------------------------------------------------------------

VIP = "203.0.113.10"


def outward(web: Service, name: str = "load-balancer") -> list[Flow]:
    return [flow for flow in flows(SERVICE_FRONTEND, web) if flow.name.startswith(name)]


def test_outward_addresses_behave_as_node_ports() -> None:
    web = service("web", 20, endpoints([HERE]), external_ips=[VIP])
    (cluster,) = outward(web, "external-ip")
    assert masquerades(cluster)
    web = service("web", 20, endpoints([HERE]), balanced=[VIP], external=LOCAL)
    assert {flow.name: (masquerades(flow), is_local(flow)) for flow in outward(web)} == {
        "load-balancer-from-pod": (False, False),
        "load-balancer-from-the-stack": (True, False),
        "load-balancer-local": (False, True),
    }


def test_nodes_do_not_know_the_address_of_a_balancer_that_proxies() -> None:
    assert not outward(service("web", 20, endpoints([HERE]), proxied=[VIP]))


def test_ranges_guard_the_balancers_address_alone() -> None:
    web = service(
        "web", 20, endpoints([HERE]), balanced=[VIP], external_ips=["203.0.113.11"], ranges=[OFFICE]
    )
    assert len(outward(web)) == 1
    assert len(named(flows(SERVICE_FRONTEND, web), "not-in-source-ranges")) == 1
    assert "nw_src" not in str(outward(web, "external-ip")[0].match)


def test_the_balancer_itself_is_let_in_where_the_node_is() -> None:
    node = str(ONE.addresses[0].ip)
    web = service("web", 20, endpoints([HERE]), balanced=[VIP], ranges=[OFFICE, f"{node}/32"])
    sources = [str(flow.match).partition("nw_src=")[2].partition(",")[0] for flow in outward(web)]
    assert sources == [OFFICE, node, VIP]


def test_ranges_of_the_other_family_guard_nothing() -> None:
    web = service("web", 20, endpoints([HERE]), balanced=[VIP], ranges=["2001:db8::/32"])
    assert len(outward(web)) == 1
    assert not named(flows(SERVICE_FRONTEND, web), "not-in-source-ranges")


def test_an_address_and_port_belong_to_the_first_that_asks() -> None:
    first = service("first", 20, endpoints([HERE]), external_ips=[VIP, "10.96.0.21"])
    second = service("second", 21, endpoints([HERE]), balanced=[VIP])
    other_port = service("third", 22, endpoints([HERE]), port=81, balanced=[VIP])
    found = flows(SERVICE_FRONTEND, first, second, other_port)
    owners = [str(flow.owner) for flow in found if flow.name in ("external-ip", "load-balancer")]
    assert owners == ["Service/shop/first", "Service/shop/third"]


def test_an_address_given_twice_is_one_frontend() -> None:
    web = service("web", 20, endpoints([HERE]), external_ips=[VIP, VIP], balanced=[VIP, VIP])
    assert [flow.name for flow in flows(SERVICE_FRONTEND, web) if "cluster-ip" not in flow.name] == [
        "external-ip"
    ]


# -- choice and translation ------------------------------------------------------------------------


def test_endpoints_are_chosen_evenly_and_each_is_reached() -> None:
    web = service("web", 20, endpoints([HERE, THERE]))
    choices = flows(SERVICE_LB, web)
    assert [action.ways for flow in choices for action in flow.actions if isinstance(action, Multipath)] == [
        2,
        2,
    ]
    assert len(flows(SERVICE_ENDPOINT, web)) == 4


def test_no_endpoints_anywhere_is_refused() -> None:
    for flow in flows(SERVICE_LB, service("web", 20, (), node_port=30080, external=LOCAL)):
        assert Controller() in flow.actions
        assert Load(2, PUNT) in flow.actions


def test_no_local_endpoint_while_others_exist_is_silence() -> None:
    web = service("web", 20, endpoints([THERE]), node_port=30080, external=LOCAL)
    silent = named(flows(SERVICE_LB, web), "no-local-endpoint")
    assert len(silent) == 2
    assert all(not flow.actions for flow in silent)
    assert len(named(flows(SERVICE_LB, web, bridge="n2"), "no-local-endpoint")) == 0


# -- sessionAffinity -------------------------------------------------------------------------------


def learned(flow: Flow) -> list[Learn]:
    return [action for action in flow.actions if isinstance(action, Learn)]


def test_nobody_is_remembered_without_affinity() -> None:
    web = service("web", 20, endpoints([HERE, THERE]))
    assert not any(learned(flow) for flow in flows(ENDPOINT_DNAT, web))
    assert not any(Resubmit(AFFINITY) in flow.actions for flow in flows(SERVICE_FRONTEND, web))
    assert not named(flows(SERVICE_LB, web), "remembered-endpoint")


def test_every_translation_is_remembered_with_affinity() -> None:
    web = service("web", 20, endpoints([HERE, THERE]), node_port=30080, external=LOCAL, affinity=60)
    assert all(Resubmit(AFFINITY) in flow.actions for flow in flows(SERVICE_FRONTEND, web))
    for flow in flows(ENDPOINT_DNAT, web):
        (memory,) = learned(flow)
        assert memory.idle_timeout == 60
        assert Load(1, REMEMBERED) in memory.loads


def test_a_memory_counts_only_in_the_sets_that_its_endpoint_belongs_to() -> None:
    """Of both endpoints under the policy Cluster, of the local one under Local: two families each."""
    web = service("web", 20, endpoints([HERE, THERE]), node_port=30080, external=LOCAL, affinity=60)
    found = named(flows(SERVICE_LB, web), "remembered-endpoint")
    local = [flow for flow in found if LOCAL_SET(1).value & _reg2(flow)]
    assert (len(found), len(local)) == (6, 2)


def test_each_endpoint_has_a_cookie_of_its_own_and_keeps_it() -> None:
    web = service("web", 20, endpoints([HERE, THERE]), affinity=60)
    cookies = {memory.cookie for flow in flows(ENDPOINT_DNAT, web) for memory in learned(flow)}
    assert len(cookies) == 4
    less = service("web", 20, endpoints([THERE]), affinity=60)
    assert {m.cookie for flow in flows(ENDPOINT_DNAT, less) for m in learned(flow)} < cookies


def test_another_time_is_another_memory() -> None:
    """A learned flow keeps the idle timeout that it began with."""
    short, long = (service("web", 20, endpoints([HERE]), affinity=seconds) for seconds in (60, 61))
    cookies = [{m.cookie for f in flows(ENDPOINT_DNAT, web) for m in learned(f)} for web in (short, long)]
    assert not cookies[0] & cookies[1]


def test_a_switch_counts_to_65535_seconds() -> None:
    web = service("web", 20, endpoints([HERE]), affinity=86_400)
    assert {m.idle_timeout for flow in flows(ENDPOINT_DNAT, web) for m in learned(flow)} == {65_535}


def _reg2(flow: Flow) -> int:
    return next(term.value for term in flow.match if term.field is SERVICE.field)


# -- SCTP ------------------------------------------------------------------------------------------


def test_ports_of_sctp_are_written_in_every_packet() -> None:
    """Connection tracking translates addresses only."""
    signals = service("signals", 20, endpoints([HERE]), port=5060, protocol=Protocol.SCTP, node_port=30080)
    assert all(Set(SCTP_DST, 8080) in flow.actions for flow in flows(ENDPOINT_DNAT, signals))
    found = flows(CONNTRACK_STATE, signals)
    questions = [flow for flow in found if Set(SCTP_DST, 8080) in flow.actions]
    assert len(questions) == 8  # two families, port and NodePort, new and known
    assert {
        a.value for flow in found for a in flow.actions if isinstance(a, Set) and a.field is SCTP_SRC
    } == {
        5060,
        30080,
    }


def test_nothing_is_written_where_the_target_port_is_the_services() -> None:
    signals = service("signals", 20, endpoints([HERE], 5060), port=5060, protocol=Protocol.SCTP)
    assert not any(Set(SCTP_DST, 5060) in flow.actions for flow in flows(CONNTRACK_STATE, signals))


# -- hairpins and strangers ------------------------------------------------------------------------


def test_hairpins_are_masqueraded_where_the_endpoint_lives() -> None:
    web = service("web", 20, endpoints([HERE, THERE]))
    for bridge, found in (("n1", HERE), ("n2", THERE), ("n3", None)):
        hairpins = named(flows(ENDPOINT_DNAT, web, bridge=bridge), "hairpin")
        assert len(hairpins) == (2 if found else 0)
        assert all(masquerades(flow) for flow in hairpins)


def test_endpoints_outside_the_cluster_are_reached_as_the_node() -> None:
    outside = Endpoint(ip_address("198.51.100.80"), 9000, None, True, True, False, None)
    inside = endpoints([THERE])[0]
    translations = {
        _target(flow): flow for flow in flows(ENDPOINT_DNAT, service("web", 20, (outside, inside)))
    }
    assert masquerades(translations["198.51.100.80"])
    assert not masquerades(translations[str(inside.address)])


def _target(flow: Flow) -> str:
    def targets() -> Iterator[str]:
        for action in flow.actions:
            if isinstance(action, Ct) and action.nat is not None:
                yield str(action.nat.address)

    return next(targets())

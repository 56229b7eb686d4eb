"""BGP: what topologies may ask for, who advertises what, and what BIRD is told."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from emulator.api.objects import JsonObject
from emulator.cluster.advertisement import EXCLUDE, advertised, expected_routes, peerings
from emulator.cluster.bird import node_config, router_config
from emulator.cluster.plan import wire
from emulator.cluster.specs import TopologyError
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Wiring

from .lab import Lab, pod, service, shipped, wiring_of

RANGES = ["10.96.0.0/16", "192.0.2.0/26", "192.0.2.128/26"]


def topology(**spec: Any) -> JsonObject:
    given: JsonObject = {
        "nodes": [{"name": "worker-1"}, {"name": "worker-2"}],
        "routers": [{"name": "tor", "kind": "bgp"}],
        **spec,
    }
    return {"metadata": {"name": "test"}, "spec": given}


def planned(**spec: Any) -> Wiring:
    return wire(parse_topology(topology(**spec)))


def lab() -> Lab:
    return Lab(wiring_of("on-prem-bgp"))


def prefixes(lab: Lab, node: str, version: int = 4) -> list[str]:
    return [str(prefix) for prefix in advertised(lab.state())[node] if prefix.version == version]


# -- the topology


def test_a_router_is_enough() -> None:
    wiring = planned()
    (router,) = wiring.routers
    assert (router.place, router.asn, [i.name for i in router.interfaces]) == (
        "router/tor",
        64513,
        ["worker-1", "worker-2", "nat"],
    )
    assert wiring.advertising is not None
    assert (wiring.advertising.asn, wiring.advertising.hold_time) == (64512, 3)
    assert wiring.advertising.ranges == wiring.service_cidrs
    assert not any(bridge.place == "router/tor" for bridge in wiring.bridges)


def test_each_node_is_a_subnet_of_its_own() -> None:
    wiring = planned()
    assert [str(node.addresses[0]) for node in wiring.nodes] == ["192.168.50.11/24", "192.168.51.11/24"]
    (router,) = wiring.routers
    assert [str(i.addresses[0]) for i in router.interfaces if i.addresses] == [
        "192.168.50.1/24",
        "192.168.51.1/24",
    ]


def test_the_way_out_is_known_without_bgp() -> None:
    (router,) = planned().routers
    assert {str(r.destination): (r.interface, str(r.gateway)) for r in router.routes} == {
        "203.0.113.1/32": ("nat", "172.31.255.2"),
        "0.0.0.0/0": ("nat", "172.31.255.2"),
        "2001:db8:203:0:113::1/128": ("nat", "fd00:172:31:255::2"),
        "::/0": ("nat", "fd00:172:31:255::2"),
    }


def test_other_routers_lead_to_advertised_ranges_by_way_of_the_router() -> None:
    wiring = planned(bgp={"advertise": {"clusterIPs": False, "loadBalancerIPs": ["192.0.2.0/24"]}})
    for name in ("nat", "internet"):
        known = {str(route.destination) for route in wiring.bridge(name).routes}
        assert "192.0.2.0/24" in known
        assert "10.96.0.0/16" not in known


def test_long_names_of_neighbours_become_short_interfaces() -> None:
    (router,) = planned(nodes=[{"name": "a-node-with-a-long-name"}, {"name": "lo"}]).routers
    assert [i.name for i in router.interfaces] == ["port1", "port2", "nat"]


def test_nobody_speaks_bgp_elsewhere() -> None:
    wiring = wiring_of("three-node")
    assert (wiring.routers, wiring.advertising, peerings(wiring)) == ((), None, ())
    assert advertised(Lab(wiring).state()) == {}


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({"bgp": {}, "routers": []}, "spec.bgp", "no router of kind bgp"),
        ({"bgp": {"asn": 23456}}, "spec.bgp.asn", "23456 is no number of an autonomous system"),
        ({"bgp": {"asn": True}}, "spec.bgp.asn", "True is no number"),
        ({"bgp": {"holdTime": "2s"}}, "spec.bgp.holdTime", "is no hold time"),
        ({"bgp": {"holdTime": "3500ms"}}, "spec.bgp.holdTime", "is no hold time"),
        ({"bgp": {"holdTime": "soon"}}, "spec.bgp.holdTime", "is no holdTime"),
        ({"bgp": {"peers": []}}, "spec.bgp.peers", "unknown field"),
        ({"bgp": {"advertise": {"podIPs": True}}}, "spec.bgp.advertise.podIPs", "unknown field"),
        ({"bgp": {"advertise": {"clusterIPs": "yes"}}}, "clusterIPs", "neither true nor false"),
        (
            {"bgp": {"advertise": {"externalIPs": ["192.0.2.1/24"]}}},
            "spec.bgp.advertise.externalIPs[0]",
            "no address range",
        ),
        (
            {"families": ["IPv4"], "bgp": {"advertise": {"loadBalancerIPs": ["2001:db8::/64"]}}},
            "spec.bgp.advertise.loadBalancerIPs[0]",
            "of a family that spec.families does not name",
        ),
        (
            {"bgp": {"advertise": {"externalIPs": ["192.0.2.0/25"], "loadBalancerIPs": ["192.0.2.64/26"]}}},
            "spec.bgp.advertise.loadBalancerIPs[0]",
            "overlaps the range for external IPs 192.0.2.0/25",
        ),
        (
            {"bgp": {"advertise": {"externalIPs": ["10.96.1.0/24"]}}},
            "spec.bgp.advertise.externalIPs[0]",
            "overlaps the service range",
        ),
        ({"routers": [{"name": "fabric", "asn": 64513}]}, "spec.routers[0].asn", "speaks no BGP"),
        (
            {"nodes": [{"name": "a", "subnet": "rack"}, {"name": "b", "subnet": "rack"}]},
            "spec.nodes[1].subnet",
            "subnet rack has a node already",
        ),
        (
            {"links": [{"ends": ["client", "tor"]}]},
            "spec.links[0].ends",
            "tor is of kind bgp and cannot be linked to client",
        ),
        (
            {
                "routers": [{"name": "tor", "kind": "bgp"}, {"name": "two", "kind": "bgp"}],
                "links": [{"ends": ["tor", "two"]}],
            },
            "spec.links[0].ends",
            "a router of kind bgp",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(spec: JsonObject, path: str, message: str) -> None:
    with pytest.raises(TopologyError) as caught:
        planned(**spec)
    assert path in str(caught.value)
    assert message in str(caught.value)


# -- who advertises what


def test_every_node_advertises_the_ranges() -> None:
    there = lab()
    assert {node: prefixes(there, node) for node in advertised(there.state())} == {
        f"worker-{n}": RANGES for n in (1, 2, 3)
    }
    assert prefixes(there, "worker-1", 6) == [
        "fd00:10:96::/112",
        "2001:db8:192:0:2::/120",
        "2001:db8:192:0:2::8000/120",
    ]


def test_a_service_of_policy_cluster_adds_nothing() -> None:
    there = lab()
    there.run(pod("web", nodeName="worker-2"), service("web", type="NodePort", externalIPs=["192.0.2.9"]))
    assert prefixes(there, "worker-2") == RANGES


def local(**spec: Any) -> JsonObject:
    return service("web", type="NodePort", externalTrafficPolicy="Local", **spec)


def test_a_local_service_is_a_host_route_where_it_has_a_ready_endpoint() -> None:
    there = lab()
    there.run(pod("web", nodeName="worker-2"), local(externalIPs=["192.0.2.9", "198.18.0.9"]))
    address = there.get("Service", "web")["spec"]["clusterIP"]
    assert prefixes(there, "worker-1") == prefixes(there, "worker-3") == RANGES
    assert prefixes(there, "worker-2") == [*RANGES, f"{address}/32", "192.0.2.9/32"]
    there.set_ready(there.get("Pod", "web"), ready=False)
    there.settle()
    assert prefixes(there, "worker-2") == RANGES


def test_host_routes_are_of_the_services_families() -> None:
    there = lab()
    there.run(pod("web", nodeName="worker-3"), local(ipFamilies=["IPv6"]))
    address = there.get("Service", "web")["spec"]["clusterIP"]
    assert prefixes(there, "worker-3") == RANGES
    assert f"{ip_address(address)}/128" in prefixes(there, "worker-3", 6)


def test_a_node_may_stay_out_of_it() -> None:
    there = lab()
    there.run(pod("web", nodeName="worker-2"), local())
    there.change("Node", "worker-2", lambda node: node["metadata"]["labels"].update({EXCLUDE: "false"}), "")
    assert RANGES[0] in prefixes(there, "worker-2")
    there.change("Node", "worker-2", lambda node: node["metadata"]["labels"].update({EXCLUDE: "true"}), "")
    assert prefixes(there, "worker-2") == []
    assert prefixes(there, "worker-1") == RANGES


def test_pod_ranges_are_advertised_where_they_are_routed() -> None:
    given = shipped("on-prem-bgp")
    given["spec"]["mode"] = "routed"
    there = Lab(wire(parse_topology(given)))
    assert prefixes(there, "worker-2") == ["10.96.0.0/16", "10.244.2.0/24", "192.0.2.0/26", "192.0.2.128/26"]


def test_routers_have_to_know_all_but_silent_nodes() -> None:
    there = lab()
    (router,) = there.wiring.routers
    said = {"worker-1": (ip_network("10.96.0.0/16"),), "worker-2": (ip_network("10.96.0.0/16"),)}
    routes = expected_routes(there.wiring, router, said, ())
    hops = {ip_address("192.168.50.11"), ip_address("192.168.51.11")}
    assert routes == {ip_network("10.96.0.0/16"): hops}
    alone = expected_routes(there.wiring, router, said, {("worker-1", 4), ("worker-2", 6)})
    assert alone == {ip_network("10.96.0.0/16"): {ip_address("192.168.51.11")}}


# -- BIRD


def test_a_node_tells_its_router_and_nobody_else() -> None:
    wiring = planned()
    text = node_config(wiring, peerings(wiring)[1], (ip_network("10.96.0.0/16"), ip_network("fd00::9/128")))
    assert "  route 10.96.0.0/16 blackhole;" in text
    assert "  route fd00::9/128 blackhole;" in text
    assert "  local 192.168.51.11 as 64512;\n  neighbor 192.168.51.1 as 64513;" in text
    assert "protocol kernel" not in text
    assert "graceful restart off;" in text


def test_a_router_merges_paths_and_tells_nothing() -> None:
    wiring = planned(bgp={"holdTime": "9s"})
    text = router_config(wiring, wiring.routers[0])
    assert text.count("merge paths on limit 255;") == 2
    assert text.count("export none;") == 4
    assert "  route 10.96.0.0/16 unreachable;" in text
    assert "10.244.0.0/16" not in text
    assert "  route 10.244.0.0/16 unreachable;" in router_config(planned(mode="routed"), wiring.routers[0])
    assert "hold time 9;" in text
    assert "keepalive time 3;" in text


@pytest.mark.skipif(shutil.which("bird", path="/usr/sbin:/usr/bin") is None, reason="BIRD is not installed")
@pytest.mark.parametrize("families", [["IPv4"], ["IPv6"], ["IPv6", "IPv4"]])
def test_bird_reads_every_configuration(families: list[str], tmp_path: Path) -> None:
    nodes = [{"name": name} for name in ("worker-1", "9", "bgp", "a-very-long-name-of-a-node")]
    wiring = planned(families=families, nodes=nodes)
    texts = [router_config(wiring, wiring.routers[0])]
    texts += [node_config(wiring, peering, wiring.service_cidrs) for peering in peerings(wiring)]
    for text in texts:
        (tmp_path / "bird.conf").write_text(text)
        command = [
            shutil.which("bird", path="/usr/sbin:/usr/bin") or "",
            "-p",
            "-c",
            str(tmp_path / "bird.conf"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + text


# -- addresses for Services of type LoadBalancer


def ingress(there: Lab, name: str) -> list[str]:
    found = there.get("Service", name)["status"]["loadBalancer"].get("ingress", [])
    return [entry["ip"] for entry in found]


def test_load_balancer_addresses_come_from_the_advertised_range() -> None:
    there = lab()
    there.run(
        service("first", type="LoadBalancer", ipFamilyPolicy="RequireDualStack"),
        service("second", type="LoadBalancer"),
        service("third", type="LoadBalancer", loadBalancerIP="192.0.2.150"),
    )
    assert ingress(there, "first") == ["192.0.2.129", "2001:db8:192:0:2::8001"]
    assert ingress(there, "second") == ["192.0.2.130"]
    assert ingress(there, "third") == ["192.0.2.150"]


def test_a_range_that_is_used_up_leaves_room_in_the_next() -> None:
    ranges = ["192.0.2.128/31", "192.0.2.0/31"]
    there = Lab(planned(families=["IPv4"], bgp={"advertise": {"loadBalancerIPs": ranges}}))
    there.run(*(service(name, type="LoadBalancer") for name in ("a", "b", "c")))
    assert [ingress(there, name) for name in ("a", "b", "c")] == [
        ["192.0.2.128"],
        ["192.0.2.129"],
        ["192.0.2.0"],
    ]


def test_without_such_a_range_a_service_stays_without_an_address() -> None:
    there = Lab(planned())
    there.run(service("web", type="LoadBalancer"))
    assert ingress(there, "web") == []


def test_nobody_proxies_on_the_way() -> None:
    there = lab()
    web = service("web", type="LoadBalancer")
    web["metadata"]["annotations"] = {"mininetes.io/load-balancer-mode": "proxy"}
    there.run(web)
    assert ingress(there, "web") == []
    (event,) = (e for e in there.store.list("Event") if e["reason"] == "SyncLoadBalancerFailed")
    assert "lead straight to nodes" in event["message"]


def test_two_sources_of_addresses_are_refused() -> None:
    routers = [{"name": "tor", "kind": "bgp"}, {"name": "lb", "kind": "lb", "pool": ["203.0.113.64/26"]}]
    with pytest.raises(TopologyError, match="already get their addresses from lb"):
        planned(routers=routers, bgp={"advertise": {"loadBalancerIPs": ["192.0.2.0/24"]}})

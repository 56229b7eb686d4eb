from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from emulator.api.objects import JsonObject
from emulator.cluster.plan import wire
from emulator.cluster.specs import ALWAYS_THERE, TopologyError
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Mode

from .lab import TOPOLOGIES, shipped

SHIPPED = sorted(path.stem for path in TOPOLOGIES.glob("*.yaml"))


def topology(**spec: Any) -> JsonObject:
    return {"kind": "Topology", "metadata": {"name": "t"}, "spec": {"nodes": [{"name": "worker-1"}], **spec}}


def test_nearly_everything_is_implied() -> None:
    parsed = parse_topology(topology())
    assert parsed.mode is Mode.OVERLAY
    assert parsed.families == (4, 6)
    assert [str(c) for c in parsed.pod_cidrs] == ["10.244.0.0/16", "fd00:10:244::/56"]
    assert [r.kind for r in parsed.routers] == list(ALWAYS_THERE)
    assert [(e.name, [str(a) for a in e.addresses]) for e in parsed.external] == [
        ("client", ["198.51.100.7", "2001:db8:198:51:100::7"]),
        ("server", ["198.51.100.80", "2001:db8:198:51:100::80"]),
        ("dns", ["198.51.100.53", "2001:db8:198:51:100::53"]),
    ]


def test_one_family_is_enough() -> None:
    parsed = parse_topology(topology(families=["IPv6"]))
    assert [str(c) for c in parsed.pod_cidrs] == ["fd00:10:244::/56"]
    assert wire(parsed).pod_mtu == 1430


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1gbit", 10**9),
        ("100mbit", 10**8),
        ("1.5kbit", 1500),
        ("10bit", 10),
        ("1kbps", 8000),
        ("1GBit", 10**9),
    ],
)
def test_rates(text: str, value: int) -> None:
    links = [{"ends": ["worker-1", "fabric"], "rate": text}]
    assert parse_topology(topology(links=links)).links[0].impairment.rate == value


@pytest.mark.parametrize(("text", "value"), [("2ms", 2000), ("10us", 10), ("1s", 10**6), ("0.5ms", 500)])
def test_delays(text: str, value: int) -> None:
    links = [{"ends": ["worker-1", "fabric"], "delay": text}]
    assert parse_topology(topology(links=links)).links[0].impairment.delay == value


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"nodes": []}, "spec.nodes", "at least one node"),
        (
            {"nodes": [{"name": "a"}, {"name": "a"}]},
            "spec.nodes[1].name",
            "already the name at spec.nodes[0].name",
        ),
        ({"nodes": [{}]}, "spec.nodes[0].name", "is missing"),
        ({"nodes": [{"name": "A_b"}]}, "spec.nodes[0].name", "is no name"),
        ({"nodes": [{"name": "a", "zones": "b"}]}, "spec.nodes[0].zones", "unknown field"),
        ({"mode": "bridge"}, "spec.mode", "overlay, routed"),
        ({"families": ["IPv5"]}, "spec.families[0]", "IPv4 or IPv6"),
        ({"families": ["IPv4"], "podCIDRs": ["fd00::/56"]}, "spec.families", "fd00::/56"),
        ({"podCIDRs": ["10.244.0.1/16"]}, "spec.podCIDRs[0]", "host bits set"),
        ({"podCIDRs": ["10.1.0.0/16", "10.2.0.0/16"]}, "spec.podCIDRs", "one range a family"),
        ({"podCIDRs": "10.1.0.0/16"}, "spec.podCIDRs", "expected a list"),
        ({"routers": [{"name": "x"}]}, "spec.routers[0].kind", "fabric, nat, internet"),
        (
            {"routers": [{"name": "fabric", "routes": [{"to": "0.0.0.0/0", "via": "igw"}]}]},
            "spec.routers[0].routes[0].via",
            "'igw' is not in this topology",
        ),
        (
            {"external": [{"name": "c", "addresses": ["1.2.3"]}]},
            "spec.external[0].addresses[0]",
            "no IP address",
        ),
        ({"external": [{"name": "c", "addresses": []}]}, "spec.external[0].addresses", "one address"),
        ({"links": [{"ends": ["worker-1"]}]}, "spec.links[0].ends", "two ends"),
        ({"links": [{"ends": ["worker-1", "x"]}]}, "spec.links[0].ends[1]", "'x' is not in this topology"),
        ({"links": [{"ends": ["worker-1", "fabric"], "rate": "fast"}]}, "spec.links[0].rate", "100mbit"),
        ({"links": [{"ends": ["worker-1", "fabric"], "loss": "200%"}]}, "spec.links[0].loss", "0.1%"),
        ({"links": [{"ends": ["worker-1", "fabric"], "jitter": "1ms"}]}, "spec.links[0].jitter", "add delay"),
        ({"links": [{"ends": ["worker-1", "fabric"], "mtu": 9000}]}, "spec.links[0].mtu", "68 to 1500"),
        ({"links": [{"ends": ["worker-1", "fabric"], "seed": "x"}]}, "spec.links[0].seed", "42"),
        ({"links": [{"ends": ["worker-1", "client"]}]}, "spec.links[0].ends", "link to routers only"),
        (
            {"links": [{"ends": ["worker-1", "fabric"]}, {"ends": ["worker-1", "nat"]}]},
            "spec.links[1].ends",
            "already has a link to fabric",
        ),
        (
            {"links": [{"ends": ["nat", "fabric"]}, {"ends": ["fabric", "nat"]}]},
            "spec.links[1].ends",
            "second link",
        ),
        ({"routers": [{"name": "lb"}]}, "spec.routers[0]", "needs a pool of addresses"),
        ({"routers": [{"name": "lb", "pool": []}]}, "spec.routers[0].pool", "needs a pool of addresses"),
        ({"routers": [{"name": "lb", "pool": ["x"]}]}, "spec.routers[0].pool[0]", "no address range"),
        (
            {"families": ["IPv4"], "routers": [{"name": "lb", "pool": ["2001:db8:9::/112"]}]},
            "spec.routers[0].pool[0]",
            "of a family that spec.families does not name",
        ),
        (
            {"routers": [{"name": "nat", "pool": ["192.0.2.0/24"]}]},
            "spec.routers[0].pool",
            "a router of kind nat has no pool (kind: lb has)",
        ),
        (
            {"routers": [{"name": "lb", "pool": ["192.0.2.0/24"], "mode": "dsr"}]},
            "spec.routers[0].mode",
            "one of vip, proxy",
        ),
        (
            {"routers": [{"name": "lb", "pool": ["192.0.2.0/24"], "health": {"period": "1s"}}]},
            "spec.routers[0].health.period",
            "known: interval, timeout, healthy, unhealthy",
        ),
        (
            {"routers": [{"name": "lb", "pool": ["192.0.2.0/24"], "health": {"interval": 5}}]},
            "spec.routers[0].health.interval",
            "a number and us, ms or s",
        ),
        (
            {"routers": [{"name": "lb", "pool": ["192.0.2.0/24"], "health": {"timeout": "2s"}}]},
            "spec.routers[0].health.timeout",
            "longer than the interval",
        ),
        (
            {"routers": [{"name": "lb", "pool": ["192.0.2.0/24"], "health": {"healthy": 0}}]},
            "spec.routers[0].health.healthy",
            "1 to 10",
        ),
        (
            {"routers": [{"name": n, "kind": "lb", "pool": ["192.0.2.0/24"]} for n in ("a", "b")]},
            "spec.routers[1]",
            "a second load balancer",
        ),
        (
            {
                "routers": [{"name": "lb", "pool": ["192.0.2.0/24"]}],
                "links": [{"ends": ["worker-1", "lb"]}],
            },
            "spec.routers[0]",
            "worker-1 hangs on the load balancer lb",
        ),
    ],
)
def test_mistakes_name_their_place(spec: JsonObject, path: str, words: str) -> None:
    with pytest.raises(TopologyError) as caught:
        wire(parse_topology(topology(**spec)))
    assert str(caught.value).startswith(path + ":")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "first", "second"),
    [
        ({"podCIDRs": ["192.168.0.0/16"]}, "the pod range 192.168.0.0/16", "the node range 192.168.50.0/24"),
        ({"podCIDRs": ["10.0.0.0/8"]}, "the pod range 10.0.0.0/8", "the service range 10.96.0.0/16"),
        ({"serviceCIDRs": ["192.168.50.0/24"]}, "the service range 192.168.50.0/24", "the node range"),
        ({"serviceCIDRs": ["fd00:10:244::/112"]}, "the pod range fd00:10:244::/56", "the service range"),
        (
            {"external": [{"name": "c", "addresses": ["10.244.9.9"]}]},
            "the subnet of external host c 10.244.9.0/24",
            "the pod range 10.244.0.0/16",
        ),
        ({"podCIDRs": ["203.0.113.0/24"]}, "the pod range 203.0.113.0/24", "the public address of nat"),
        ({"podCIDRs": ["127.0.0.0/16"]}, "the pod range 127.0.0.0/16", "the loopback range 127.0.0.0/8"),
        ({"podCIDRs": ["172.16.0.0/12"]}, "the pod range 172.16.0.0/12", "the routers' range"),
        (
            {"routers": [{"name": "lb", "pool": ["203.0.113.0/24"]}]},
            "the pool of load balancer lb 203.0.113.0/24",
            "the public address of nat 203.0.113.1/32",
        ),
        (
            {"routers": [{"name": "lb", "pool": ["10.96.7.0/24"]}]},
            "the pool of load balancer lb 10.96.7.0/24",
            "the service range 10.96.0.0/16",
        ),
    ],
)
def test_ranges_that_overlap_are_refused_by_both_names(spec: JsonObject, first: str, second: str) -> None:
    with pytest.raises(TopologyError) as caught:
        wire(parse_topology(topology(**spec)))
    assert first in str(caught.value)
    assert second in str(caught.value)


def test_the_public_range_makes_room_for_external_hosts() -> None:
    wiring = wire(parse_topology(topology(external=[{"name": "c", "addresses": ["203.0.113.1"]}])))
    assert [str(a) for a in wiring.bridge("nat").public_addresses] == ["192.0.2.1", "2001:db8:192:0:2::1"]


@pytest.mark.parametrize(
    ("cidr", "nodes", "first"),
    [
        ("10.244.0.0/16", 3, "10.244.1.0/24"),
        ("10.244.0.0/16", 200, "10.244.1.0/24"),
        ("10.244.0.0/16", 300, "10.244.0.128/25"),
        ("10.9.0.0/24", 3, "10.9.0.64/26"),
        ("10.9.0.0/26", 3, "10.9.0.16/28"),
    ],
)
def test_pod_ranges_are_cut_to_the_number_of_nodes(cidr: str, nodes: int, first: str) -> None:
    spec = {
        "podCIDRs": [cidr],
        "families": ["IPv4"],
        "nodes": [{"name": f"n-{i}", "subnet": f"s{i % 3}"} for i in range(nodes)],
    }
    wiring = wire(parse_topology(topology(**spec)))
    assert str(wiring.nodes[0].pod_cidrs[0]) == first


def test_an_exhausted_pod_range_is_refused() -> None:
    spec = {
        "podCIDRs": ["10.9.0.0/28"],
        "families": ["IPv4"],
        "nodes": [{"name": f"n-{i}"} for i in range(5)],
    }
    with pytest.raises(
        TopologyError, match=r"pod range 10\.9\.0\.0/28 is exhausted: it is too small for 5 nodes"
    ):
        wire(parse_topology(topology(**spec)))


def test_an_exhausted_subnet_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"192\.168\.50\.0/24, is exhausted"):
        wire(parse_topology(topology(), nodes=250))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_topologies_can_be_built_in_any_size(name: str) -> None:
    given = shipped(name)
    before = deepcopy(given)
    full = parse_topology(given)
    assert full.name == name
    for nodes in (len(full.nodes), len(full.nodes) + 5, 20):
        parsed = parse_topology(given, nodes=nodes)
        assert len(wire(parsed).nodes) == nodes
        assert {e.name for e in parsed.external} == {"client", "server", "dns"}
    assert given == before


def test_growing_fills_zones_evenly() -> None:
    parsed = parse_topology(shipped("two-zone-vpc"), nodes=10)
    workers = [n for n in parsed.nodes if n.role == "worker"]
    assert [n.name for n in parsed.nodes][-4:] == ["worker-5", "worker-6", "worker-7", "worker-8"]
    assert [n.subnet for n in workers] == ["private-a", "private-b"] * 4
    assert len({n.name for n in parsed.nodes}) == 10


def test_shrinking_drops_workers_and_their_links() -> None:
    parsed = parse_topology(shipped("two-zone-vpc"), nodes=3)
    assert [n.name for n in parsed.nodes] == ["edge-a", "edge-b", "worker-1"]
    assert not any("worker-2" in link.ends for link in parsed.links)
    with pytest.raises(TopologyError, match="needs 3 nodes or more"):
        parse_topology(shipped("two-zone-vpc"), nodes=2)


def test_the_size_may_be_written_on_the_object() -> None:
    given = topology()
    given["metadata"]["annotations"] = {"mininetes.io/nodes": "4"}
    assert len(parse_topology(given).nodes) == 4
    assert len(parse_topology(given, nodes=2).nodes) == 2


def test_a_load_balancer_stands_between_internet_and_fabric() -> None:
    pool = ["192.0.2.0/24", "2001:db8:9::/112"]
    wiring = wire(parse_topology(topology(routers=[{"name": "lb", "pool": pool}])))
    bridge = wiring.bridge("lb")
    assert [port.peer for port in bridge.ports] == ["router/fabric", "router/internet", "router/lb.checker"]
    assert wiring.balancer is not None
    assert [str(a) for a in wiring.balancer.addresses] == ["172.31.255.1", "fd00:172:31:255::1"]
    for name in ("fabric", "internet"):
        routes = {str(route.destination): route.next_hops for route in wiring.bridge(name).routes}
        to_balancer = wiring.bridge(name).port("router/lb").ofport
        assert {hop.ofport for text in pool for hop in routes[text]} == {to_balancer}
        assert ("172.31.255.1/32" in routes) == (name == "fabric")


def test_nothing_passes_through_a_load_balancer_that_is_not_for_it() -> None:
    wiring = wire(parse_topology(shipped("two-zone-vpc")))
    for bridge in wiring.bridges:
        if not any(port.peer == "router/lb" for port in bridge.ports):
            continue
        to_balancer = bridge.port("router/lb").ofport
        taken = {str(r.destination) for r in bridge.routes if to_balancer in {h.ofport for h in r.next_hops}}
        assert taken - {"172.31.255.9/32", "fd00:172:31:255::9/128"} == {
            "203.0.113.64/26",
            "2001:db8:203:0:113:64::/112",
        }


def test_outside_hosts_may_have_names_of_their_own() -> None:
    host = {"name": "db", "addresses": ["198.51.100.9"], "names": ["my.database.example.org"]}
    assert wire(parse_topology(topology(external=[host]))).external[0].names == ("my.database.example.org",)
    with pytest.raises(TopologyError, match=r"external\[0\].names\[0\]: 'My_DB' is no DNS name"):
        parse_topology(topology(external=[{**host, "names": ["My_DB"]}]))

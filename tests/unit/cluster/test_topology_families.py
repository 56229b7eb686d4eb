"""Which families a topology has, and which of them are translated on the way out."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.objects import JsonObject
from emulator.cluster.plan import wire
from emulator.cluster.specs import RouterKind, TopologyError
from emulator.cluster.topology import FAMILIES, parse_topology
from emulator.cluster.wiring import Bridge, BridgeRole, Wiring

from .lab import shipped
from .test_topology import topology

DUAL = ["three-node", "three-node-routed", "single-node", "two-zone-vpc", "leaf-spine"]


def restricted(obj: JsonObject, families: str) -> JsonObject:
    return {**obj, "metadata": {**obj["metadata"], "annotations": {FAMILIES: families}}}


def bridge(plan: Wiring, role: BridgeRole) -> Bridge:
    return next(one for one in plan.bridges if one.role is role)


def gateway(**fields: Any) -> list[JsonObject]:
    return [{"name": "nat", "kind": "nat", **fields}]


@pytest.mark.parametrize("name", DUAL)
@pytest.mark.parametrize(("families", "versions"), [("IPv4", [4]), ("IPv6", [6]), ("IPv6,IPv4", [6, 4])])
def test_shipped_topologies_in_fewer_families(name: str, families: str, versions: list[int]) -> None:
    parsed = parse_topology(restricted(shipped(name), families))
    assert list(parsed.families) == versions
    for ranges in (parsed.pod_cidrs, parsed.service_cidrs, *(host.addresses for host in parsed.external)):
        assert [one.version for one in ranges] == versions
    plan = wire(parsed)
    for node in plan.nodes:
        assert [address.version for address in node.addresses] == versions
        assert [address.version for address in node.pod_gateways] == versions
    assert {route.destination.version for one in plan.bridges for route in one.routes} == set(versions)
    nat = bridge(plan, BridgeRole.NAT)
    assert [address.version for address in nat.public_addresses] == versions


@pytest.mark.parametrize(
    ("families", "words"),
    [
        ("IPv5", "names no IP families"),
        ("IPv4,IPv4", "names no IP families"),
        ("", "names no IP families"),
        ("IPv4", "three-node-ipv6 has no IPv4, only IPv6"),
    ],
)
def test_families_that_cannot_be(families: str, words: str) -> None:
    with pytest.raises(TopologyError, match=words):
        parse_topology(restricted(shipped("three-node-ipv6"), families))


def test_a_host_without_an_address_of_the_family_is_named() -> None:
    hosts = [{"name": "old", "addresses": ["198.51.100.9"]}, {"name": "new", "addresses": ["2001:db8::9"]}]
    with pytest.raises(TopologyError, match=r"spec\.external\[1\]\.addresses: new has no IPv4 address"):
        parse_topology(restricted(topology(external=hosts), "IPv4"))


def test_gateways_translate_every_family_unless_told() -> None:
    for routers in ([], gateway(), gateway(translates=["IPv6", "IPv4"])):
        parsed = parse_topology(topology(routers=routers))
        (nat,) = (router for router in parsed.routers if router.kind is RouterKind.NAT)
        assert set(nat.translates) == {4, 6}
        assert parsed.routed_families == ()


@pytest.mark.parametrize("mode", ["overlay", "routed"])
def test_a_family_that_nobody_translates_is_routed(mode: str) -> None:
    routers = [*gateway(translates=["IPv4"]), {"name": "internet", "kind": "internet"}]
    plan = wire(parse_topology(topology(mode=mode, routers=routers)))
    nat, internet = bridge(plan, BridgeRole.NAT), bridge(plan, BridgeRole.INTERNET)
    assert [address.version for address in nat.public_addresses] == [4]
    assert {address.version for address in nat.addresses} == {4, 6}
    known = {str(route.destination) for route in internet.routes}
    assert "fd00:192:168:50::/64" in known
    assert ("fd00:10:244:1::/64" in known) == (mode == "routed")
    assert not {"192.168.50.0/24", "10.244.1.0/24"} & known
    assert plan.keeps_pod_addresses == ((6,) if mode == "routed" else ())


@pytest.mark.parametrize(
    ("routers", "words"),
    [
        (gateway(translates=["IPv5"]), r"routers\[0\]\.translates\[0\]: unknown IP family 'IPv5'"),
        (gateway(translates=["IPv6"]), r"translates\[0\]: IPv6 is not named by spec.families"),
        (gateway(translates=["IPv4", "IPv4"]), r"translates\[1\]: IPv4 is named twice"),
        (
            [{"name": "fabric", "kind": "fabric", "translates": ["IPv4"]}],
            r"routers\[0\]\.translates: a router of kind fabric translates nothing \(kind: nat does\)",
        ),
    ],
)
def test_translations_that_cannot_be(routers: list[JsonObject], words: str) -> None:
    with pytest.raises(TopologyError, match=words):
        parse_topology(topology(families=["IPv4"], routers=routers))

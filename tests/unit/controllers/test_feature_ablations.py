"""Every feature file is needed: without its flows, a packet fares otherwise than the objects say.

The oracle, which shares no code with the compiler, says what is right. The software switch of the property
test runs the flows, whole and without one file's. What the oracle is not asked (neighbour discovery, an
affinity that is known already, a node's loopback address) has its outcome written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

import pytest

from controllers.pipeline import compile as compiler
from controllers.pipeline import features
from controllers.pipeline import fields as f
from controllers.pipeline.registers import ENDPOINT_IPV4, ENDPOINT_PORT, REMEMBERED, SERVICE
from controllers.pipeline.tables import SERVICE_LB, STAGES
from emulator.cluster.model import ClusterState, Protocol
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import parse_place
from emulator.oracle.ask import Oracle
from emulator.oracle.packet import Question
from tests.property.software_switch import NEW, Network, mac, write
from tests.property.test_spec_and_flows import assert_same, own_address
from tests.unit.controllers.cluster import state

TESTS = Path(__file__).parents[2]
TUPLES = ("NODE_FEATURES", "POD_FEATURES", "SERVICE_FEATURES", "BALANCER_FEATURES")

Check = Callable[[ClusterState, Network], bool]
"""Whether a packet fares as it should."""


@dataclass(frozen=True)
class Ablation:
    """What shows that a feature is needed."""

    feature: str
    proof: str
    """The test that proves the feature with real packets."""
    topology: str
    check: Check
    policies: str = "none"
    """`none`, `all` that the state has, or its `cluster` policies."""
    only: tuple[str, ...] = ()
    """Of the file's functions, those that are taken away; none named: all."""


def says(source: str, target: str, port: str | None, outcome: Outcome = Outcome.CONNECTED) -> Check:
    """Whether the flows do what the oracle says, which is `outcome`."""

    def check(cluster: ClusterState, network: Network) -> bool:
        number, _, protocol = (port or "").partition("/")
        destination = ip_address(target)
        kind = Protocol(protocol.upper()) if port else None
        question = Question(parse_place(source), destination, kind, int(number) if port else None)
        answer = Oracle(cluster).ask(question)
        if answer.outcomes != {outcome}:
            raise ValueError(f"the oracle says {answer.outcomes}")
        own = own_address(cluster, source, question)
        fates = network.send(source, own, destination, question.protocol, question.port)
        try:
            assert_same(answer, fates)
        except AssertionError:
            return False
        return {fate.source for fate in fates if fate.source} >= answer.sources

    return check


def the_gateway_answers(family: int) -> Check:
    """Whether a pod that asks for its gateway's MAC address is answered (oracles 8 and 9)."""

    def check(cluster: ClusterState, network: Network) -> bool:
        port = next(pod.port for pod in cluster.pods if pod.ref.name == "client")
        assert port is not None
        own = next(int(a.ip) for a in port.addresses if a.version == family)
        node = cluster.wiring.nodes[0]
        gateway = next(int(a) for a in node.pod_gateways if a.version == family)
        if family == 4:
            asked = {
                f.ETH_DST: mac("ff:ff:ff:ff:ff:ff"), f.ETH_TYPE: 0x0806, f.ARP_OP: 1,
                f.ARP_SHA: mac(port.mac), f.ARP_SPA: own, f.ARP_THA: 0, f.ARP_TPA: gateway,
            }  # fmt: skip
        else:
            asked = {
                f.ETH_DST: mac("33:33:ff:00:00:01"), f.ETH_TYPE: 0x86DD, f.IPV6_SRC: own, f.IPV6_DST: gateway,
                f.IP_PROTO: 58, f.ICMPV6_TYPE: 135, f.ICMPV6_CODE: 0, f.ND_TARGET: gateway,
            }  # fmt: skip
        asked[f.ETH_SRC] = mac(port.mac)
        fates = network.resume(cluster.wiring.bridge(node.bridge), STAGES[0], port.ofport, asked)
        return {(fate.outcome, fate.place) for fate in fates} == {(Outcome.CONNECTED, f"node/{node.name}")}

    return check


def a_remembered_endpoint_is_kept(cluster: ClusterState, network: Network) -> bool:
    """Whether a client that is known gets the endpoint that it had, of three (oracle 62)."""
    sticky = next(one for one in cluster.services if one.ref.name == "sticky")
    client, kept = (next(p for p in cluster.pods if p.ref.name == name) for name in ("client", "web-1"))
    assert client.port is not None
    known = {
        f.ETH_SRC: mac(client.port.mac), f.ETH_DST: mac(client.port.gateway_mac), f.ETH_TYPE: 0x0800,
        f.NW_TTL: 64, f.IP_PROTO: 6, f.TCP_DST: 80, f.TCP_FLAGS: 2, f.CT_STATE: NEW,
        f.IPV4_SRC: int(client.addresses[0]), f.IPV4_DST: int(sticky.cluster_ips[0]),
    }  # fmt: skip
    write(known, SERVICE, sticky.ports[0].id)
    write(known, REMEMBERED, 1)
    write(known, ENDPOINT_IPV4, int(kept.addresses[0]))
    write(known, ENDPOINT_PORT, 8080)
    bridge = cluster.wiring.bridge(cluster.wiring.nodes[0].bridge)
    fates = network.resume(bridge, SERVICE_LB, client.port.ofport, known)
    return {fate.place for fate in fates} == {"shop/web-1"}


def a_node_reaches_its_node_port_at_loopback(_cluster: ClusterState, network: Network) -> bool:
    """Whether a node's own 127.0.0.1 is an address of its NodePorts (oracle 48)."""
    own = ip_address("127.0.0.1")
    fates = network.send("node/worker-1", own, own, Protocol.TCP, 30080)
    return {fate.place for fate in fates} == {"shop/web-0", "shop/web-1", "shop/web-2"}


ORACLES = "system/oracles"
NEAR = says("shop/client", "10.244.1.2", "8080/tcp")
OUT = says("shop/client", "198.51.100.80", "80/tcp")
DENIED = Outcome.DROPPED
ROWS = (
    Ablation(
        "classifier",
        f"{ORACLES}/test_underlay.py::test_4_packets_cross_the_fabric_in_vxlan_between_nodes",
        "three-node",
        NEAR,
    ),
    Ablation(
        "spoof_guard",
        f"{ORACLES}/test_spoofing.py::test_7_packets_in_anothers_name_go_nowhere",
        "three-node",
        NEAR,
    ),
    Ablation(
        "neighbours",
        f"{ORACLES}/test_routing.py::test_8_the_gateway_answers_arp_and_nobody_else_hears_it",
        "three-node",
        the_gateway_answers(4),
    ),
    Ablation(
        "neighbours",
        f"{ORACLES}/test_routing.py::test_9_the_gateway_advertises_itself",
        "three-node",
        the_gateway_answers(6),
    ),
    Ablation(
        "ttl",
        f"{ORACLES}/test_routing.py::test_2_3_every_node_on_the_way_takes_one_off_the_ttl",
        "three-node",
        NEAR,
    ),
    Ablation(
        "conntrack",
        f"{ORACLES}/test_cluster_ip.py::test_14_a_connection_stays_with_its_endpoint",
        "three-node",
        NEAR,
    ),
    Ablation(
        "services",
        f"{ORACLES}/test_cluster_ip.py::test_12_the_endpoint_sees_the_client_and_its_own_port",
        "three-node",
        says("shop/client", "10.96.0.20", "80/tcp"),
        only=("service_flows",),
    ),
    Ablation(
        "services",
        f"{ORACLES}/test_cluster_ip.py::test_20_21_no_endpoints_refuse_at_once",
        "three-node",
        says("shop/client", "10.96.0.23", "53/udp", Outcome.REJECTED),
    ),
    Ablation(
        "affinity",
        f"{ORACLES}/test_affinity.py::test_62_a_client_keeps_its_endpoint",
        "three-node",
        a_remembered_endpoint_is_kept,
    ),
    Ablation(
        "node_ports",
        f"{ORACLES}/test_node_port.py::test_31_32_every_node_answers_and_masquerades",
        "three-node",
        says("ext/client", "192.168.50.12", "30080/tcp"),
        only=("service_flows",),
    ),
    Ablation(
        "node_ports",
        f"{ORACLES}/test_node_port.py::test_36_local_drops_where_no_endpoint_is",
        "three-node",
        NEAR,
    ),
    Ablation(
        "loopback",
        f"{ORACLES}/test_host_ports.py::test_48_node_ports_answer_at_the_loopback_address",
        "three-node",
        a_node_reaches_its_node_port_at_loopback,
    ),
    Ablation(
        "cluster_network_policy",
        "system/policies/test_cluster_network_policy.py::test_tiers_priorities_pass_and_changes",
        "three-node",
        says("shop/client", "10.244.1.2", "53/udp", DENIED),
        "cluster",
        ("policy_flows",),
    ),
    Ablation(
        "cluster_network_policy",
        "system/policies/test_cluster_network_policy.py::test_each_drop_counts_for_its_rule",
        "three-node",
        NEAR,
    ),
    Ablation(
        "network_policy",
        f"{ORACLES}/test_network_policy.py::test_86_what_is_denied_is_met_with_silence",
        "three-node",
        says("shop/client", "10.244.1.2", "9000/tcp", DENIED),
        "all",
        ("policy_flows",),
    ),
    Ablation(
        "network_policy",
        f"{ORACLES}/test_network_policy.py::test_73_74_a_pod_that_is_not_selected_is_free",
        "three-node",
        NEAR,
    ),
    Ablation(
        "associations",
        f"{ORACLES}/test_sctp.py::test_13_its_answer_comes_from_the_cluster_ip_and_port",
        "three-node",
        NEAR,
    ),
    Ablation(
        "forwarding",
        f"{ORACLES}/test_routing.py::test_1_pods_see_each_other_untranslated",
        "three-node",
        NEAR,
    ),
    Ablation(
        "host_ports",
        f"{ORACLES}/test_host_ports.py::test_everyone_reaches_it_and_keeps_the_address_that_comes_to_the_node",
        "three-node",
        says("ext/client", "192.168.50.11", "80/tcp"),
    ),
    Ablation("masquerade", f"{ORACLES}/test_egress.py::test_68_a_pod_leaves_as_its_node", "three-node", OUT),
    Ablation(
        "output",
        f"{ORACLES}/test_cluster_ip.py::test_16_hairpin_shows_the_node_not_the_pod_itself",
        "three-node",
        NEAR,
    ),
    Ablation(
        "outward",
        f"{ORACLES}/test_outward.py::test_38_a_pod_goes_anywhere_under_local",
        "three-node",
        says("shop/client", "203.0.113.9", "80/tcp"),
    ),
    Ablation(
        "sctp",
        f"{ORACLES}/test_sctp.py::test_12_an_init_reaches_the_endpoint_at_its_target_port",
        "three-node",
        says("shop/client", "10.96.0.24", "5060/sctp"),
    ),
    Ablation(
        "router",
        f"{ORACLES}/test_routing.py::test_10_every_node_on_the_way_answers_a_traceroute",
        "three-node",
        OUT,
    ),
    Ablation(
        "routing",
        f"{ORACLES}/test_egress.py::test_71_routers_on_the_way_out_tell_when_time_is_exceeded",
        "three-node",
        OUT,
    ),
    Ablation(
        "nat_gateway",
        f"{ORACLES}/test_egress.py::test_69_the_server_sees_the_public_address",
        "three-node",
        OUT,
    ),
    Ablation(
        "load_balancer",
        f"{ORACLES}/test_load_balancer.py::test_under_cluster_every_node_may_take_it_and_hides_the_client",
        "two-zone-vpc",
        says("ext/client", "203.0.113.65", "80/tcp"),
    ),
    Ablation(
        "balanced_frames",
        f"{ORACLES}/test_load_balancer.py::test_without_node_ports_packets_can_still_be_passed_on",
        "two-zone-vpc",
        says("ext/client", "203.0.113.65", "80/tcp"),
    ),
)


def nothing(*_arguments: object) -> Iterator[object]:
    """No flows; no actions."""
    return iter(())


def without(monkeypatch: pytest.MonkeyPatch, feature: str, only: tuple[str, ...]) -> None:
    """Take away what a feature file gives to the programs, or some of its functions."""
    module = import_module(f"{features.__name__}.{feature}")
    own = {
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    }
    gone = set(only) or own & GIVING
    assert gone, feature
    taken = {getattr(module, name) for name in gone}
    for name in TUPLES:
        monkeypatch.setattr(compiler, name, tuple(one for one in getattr(compiler, name) if one not in taken))
    kept = {
        role: tuple(one for one in some if one not in taken)
        for role, some in compiler.ROUTER_FEATURES.items()
    }
    monkeypatch.setattr(compiler, "ROUTER_FEATURES", MappingProxyType(kept))
    for name in gone:
        monkeypatch.setattr(module, name, nothing)


GIVING = {
    "flows", "node_flows", "router_flows", "pod_flows", "service_flows", "policy_flows",
    "asked", "remembered", "learning", "to_endpoint",
}  # fmt: skip
"""The functions by which feature files give flows, or actions to the flows of others."""


def of(row: Ablation) -> ClusterState:
    """The cluster that a row is about."""
    found = state(row.topology)
    if row.policies == "none":
        return replace(found, policies=(), cluster_policies=())
    return found if row.policies == "all" else replace(found, policies=())


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.feature}-{number}" for number, row in enumerate(ROWS)])
def test_without_its_flows_a_packet_fares_otherwise(row: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = of(row)
    assert row.check(cluster, Network(cluster, compiler.compile_cluster(cluster)))
    without(monkeypatch, row.feature, row.only)
    assert not row.check(cluster, Network(cluster, compiler.compile_cluster(cluster)))


def test_every_feature_file_has_an_ablation() -> None:
    (directory,) = features.__path__
    files = {path.stem for path in Path(directory).glob("*.py")} - {"__init__"}
    assert {row.feature for row in ROWS} == files


@pytest.mark.parametrize("row", ROWS, ids=[row.proof.partition("::")[2] for row in ROWS])
def test_its_proof_with_real_packets_exists(row: Ablation) -> None:
    path, _, name = row.proof.partition("::")
    assert f"\ndef {name}(" in (TESTS / path).read_text(encoding="utf-8"), row.proof

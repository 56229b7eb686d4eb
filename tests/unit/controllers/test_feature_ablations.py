"""Every feature file is needed: without its flows, a packet fares otherwise than the objects say.

The software switch of the property test runs the flows, whole and without one file's. First all of a file's
flows go; then those that show what it is for, and what has nothing to do with it fares as before.
`tests/system/test_ablations.py` does the same with real packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import pytest

from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.flow import FlowProgram
from emulator.cluster.model import ClusterState
from emulator.cluster.outcome import Outcome
from tests import ablation
from tests.ablation import Ablation, files, without
from tests.property.software_switch import LearningNetwork
from tests.unit.controllers.cluster import state
from tests.unit.controllers.packets_without import (
    Check,
    a_forged_source_goes_nowhere,
    a_last_hop_is_told,
    a_node_reaches_its_node_port_at_loopback,
    a_remembered_endpoint_is_kept,
    a_router_answers_pings,
    an_answer_of_sctp_passes,
    an_answer_passes,
    says,
    the_gateway_answers,
)


@dataclass(frozen=True)
class Row:
    """What shows that a feature is needed."""

    ablation: Ablation
    check: Check
    spared: Check | None = None
    """What fares well without the feature, too; None: nothing does, where all of its flows go."""
    topology: str = "three-node"
    policies: str = "none"
    """`none`, `all` that the state has, or its `cluster` policies."""


NEAR = says("shop/client", "10.244.1.2", "8080/tcp")
FAR = says("shop/client", "10.244.2.2", "8080/tcp")
OUT = says("shop/client", "198.51.100.80", "80/tcp")
AS_ITS_NODE = says("shop/client", "192.168.50.12", None)
SERVED = says("shop/client", "10.96.0.20", "80/tcp")
HAIRPIN = says("shop/web-2", "10.96.0.21", "80/tcp")
NODE_PORT = says("ext/client", "192.168.50.12", "30080/tcp")
DENIED, REFUSED = Outcome.DROPPED, Outcome.REJECTED
BALANCED = says("ext/client", "203.0.113.65", "80/tcp")
NODE_TO_NODE = says("node/worker-1", "192.168.50.12", None)

WHOLE = (
    *(
        Row(Ablation(feature), NEAR)
        for feature in (
            "classifier",
            "spoof_guard",
            "ttl",
            "conntrack",
            "node_ports",
            "cluster_network_policy",
            "network_policy",
            "associations",
            "forwarding",
            "output",
        )
    ),
    *(Row(Ablation(feature), OUT) for feature in ("masquerade", "router", "routing", "nat_gateway")),
    Row(Ablation("services"), says("shop/client", "10.96.0.23", "53/udp", REFUSED)),
)
"""Stages that every packet passes, gone."""

OWN = (
    Row(ablation.UNCLASSIFIED, AS_ITS_NODE, NEAR),
    Row(ablation.UNGUARDED, a_forged_source_goes_nowhere, NEAR),
    Row(Ablation("neighbours"), the_gateway_answers(4), OUT),
    Row(Ablation("neighbours"), the_gateway_answers(6), OUT),
    Row(ablation.UNCOUNTED, a_last_hop_is_told, OUT),
    Row(ablation.UNTRACKED, an_answer_passes, NEAR, policies="all"),
    Row(Ablation("services", ("service_flows",)), SERVED, NEAR),
    Row(Ablation("affinity"), a_remembered_endpoint_is_kept, SERVED),
    Row(Ablation("node_ports", ("service_flows",)), NODE_PORT, SERVED),
    Row(Ablation("loopback"), a_node_reaches_its_node_port_at_loopback, NODE_PORT),
    Row(
        Ablation("cluster_network_policy", ("policy_flows",)),
        says("shop/client", "10.244.1.2", "53/udp", DENIED),
        NEAR,
        policies="cluster",
    ),
    Row(
        Ablation("network_policy", ("policy_flows",)),
        says("shop/client", "10.244.1.2", "9000/tcp", DENIED),
        NEAR,
        policies="all",
    ),
    Row(ablation.UNASSOCIATED, an_answer_of_sctp_passes, an_answer_passes, policies="all"),
    Row(ablation.PODS_UNROUTED, NEAR, OUT),
    Row(ablation.PEERS_UNROUTED, FAR, NEAR),
    Row(ablation.WORLD_UNROUTED, OUT, FAR),
    Row(ablation.NOWHERE_OPEN, says("shop/client", "10.96.9.9", "80/tcp", DENIED), SERVED),
    Row(Ablation("host_ports"), says("ext/client", "192.168.50.11", "80/tcp"), NODE_PORT),
    Row(ablation.UNMASQUERADED, AS_ITS_NODE, FAR),
    Row(ablation.UNMASQUERADED, NODE_PORT, SERVED),
    Row(ablation.NO_HAIRPIN, HAIRPIN, SERVED),
    Row(Ablation("outward"), says("shop/client", "203.0.113.9", "80/tcp"), SERVED),
    Row(Ablation("sctp"), says("shop/client", "10.96.0.24", "5060/sctp"), SERVED),
    Row(ablation.UNSWITCHED, NODE_TO_NODE, OUT),
    Row(ablation.UNANSWERED, a_router_answers_pings, OUT),
    Row(ablation.PREFIXES_UNROUTED, OUT, NODE_TO_NODE),
    Row(ablation.ONE_NEXT_HOP, says("shop/client", "10.244.3.2", "8080/tcp"), NEAR, "leaf-spine"),
    Row(ablation.UNTRANSLATED, OUT, NODE_TO_NODE),
    Row(Ablation("load_balancer"), BALANCED, OUT, "two-zone-vpc"),
    Row(Ablation("balanced_frames"), BALANCED, OUT, "two-zone-vpc"),
)
"""What each feature is for."""


@cache
def of(topology: str, policies: str) -> ClusterState:
    """The cluster that rows are about."""
    found = state(topology)
    if policies == "none":
        return replace(found, policies=(), cluster_policies=())
    return found if policies == "all" else replace(found, policies=())


@cache
def whole(topology: str, policies: str) -> Mapping[str, FlowProgram]:
    return compile_cluster(of(topology, policies))


def name(row: Row) -> str:
    return "-".join((row.ablation.feature, *row.ablation.only))


@pytest.mark.parametrize("row", [*WHOLE, *OWN], ids=name)
def test_without_its_flows_a_packet_fares_otherwise(row: Row) -> None:
    cluster = of(row.topology, row.policies)
    with without(row.ablation):
        ablated = compile_cluster(cluster)
    assert row.check(cluster, LearningNetwork(cluster, whole(row.topology, row.policies)))
    assert not row.check(cluster, LearningNetwork(cluster, ablated))
    assert row.spared is None or row.spared(cluster, LearningNetwork(cluster, ablated))


def test_what_was_left_out_comes_back() -> None:
    cluster, before = of("three-node", "all"), whole("three-node", "all")
    with without(ablation.UNTRACKED):
        assert compile_cluster(cluster) != before
    assert compile_cluster(cluster) == before


@pytest.mark.parametrize("rows", [OWN, (*WHOLE, *OWN)], ids=["own", "all"])
def test_every_feature_file_has_an_ablation(rows: tuple[Row, ...]) -> None:
    assert {row.ablation.feature for row in rows} == files()


def test_what_each_is_for_is_told_from_what_it_is_not_for() -> None:
    assert [row.ablation for row in OWN if row.spared is None] == []

"""Trace against wire, and drift behind the controller's back, on one cluster.

Trace and packet begin with the same addresses and ports, so the same hash must choose the same endpoint.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from controllers.pipeline.tables import ENDPOINT_DNAT, SERVICE_FRONTEND, SERVICE_LB
from emulator import Cluster
from emulator.cluster.places import parse_place
from tests.system.hygiene import assert_clean, assert_nothing_was_lost
from tests.system.living import until
from tests.system.oracles.addresses import cluster_ip
from tests.system.oracles.conftest import objects
from tests.system.oracles.objects import Object
from tests.system.processes import PATIENCE
from tests.system.tampering import Log, alter, await_whole, computed, delete, flow_of, named, ofctl

PORTS = count(41000)
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
SEED, DELETED = 20, 12
SOLO = (ENDPOINT_DNAT.name, "Service/shop/solo-v4", "translate")

CASES = [
    ("shop/client", "shop/neighbour", "8080/tcp", "connected"),
    ("shop/client", "shop/remote", "8080/tcp", "connected"),
    ("shop/client", "shop/remote", "8081/udp", "connected"),
    ("shop/client", "shop/remote", None, "connected"),
    ("shop/client", "svc/shop/web-v{f}", "80/tcp", "connected"),
    ("shop/client", "svc/shop/web-v{f}", "81/udp", "connected"),
    ("shop/solo", "svc/shop/solo-v{f}", "80/tcp", "connected"),
    ("shop/client", "svc/shop/web-v{f}", "99/tcp", "dropped"),
    ("shop/client", "svc/shop/nobody-v{f}", "80/tcp", "rejected"),
    ("shop/client", "svc/shop/nobody-v{f}", "81/udp", "rejected"),
    ("node/worker-1", "svc/shop/far-v{f}", "80/tcp", "connected"),
    ("node/worker-2", "shop/client", "8080/tcp", "connected"),
    ("node/worker-1", "node/worker-3", None, "connected"),
    ("shop/client", "node/worker-2", "30{f}00/tcp", "connected"),
    ("ext/client", "node/worker-2", "30{f}00/tcp", "connected"),
    ("ext/client", "node/worker-2", "30{f}01/udp", "connected"),
    ("ext/client", "node/worker-1", "30{f}04/tcp", "connected"),
    ("ext/client", "node/worker-2", "30{f}04/tcp", "dropped"),
    ("shop/client", "ext/server", "80/tcp", "connected"),
    ("shop/client", "ext/server", None, "connected"),
    ("ext/client", "shop/client", "8080/tcp", "rejected"),
    ("ext/client", "ext/server", None, "connected"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.up("three-node", objects(), name=f"trace-{os.getpid()}") as running:
        assert running.wait_ready().ready
        yield running
        assert running.status()["errors"] == []
        assert_nothing_was_lost(running)


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("source", "target", "port", "outcome"), CASES, ids=[f"{s}-{t}-{p}" for s, t, p, _ in CASES]
)
def test_trace_and_wire_agree(
    cluster: Cluster, family: int, source: str, target: str, port: str | None, outcome: str
) -> None:
    target, port = target.format(f=family), port.format(f=family) if port else None
    number = next(PORTS) if port else None
    traced = cluster.trace(source, target, port, family=family, source_port=number, live=True)
    live = traced["live"]
    assert (traced["outcome"], live["outcome"]) == (outcome, outcome), traced
    wrong = [hop for hop in live["hops"] if hop["found"]]
    assert (live["agrees"], wrong, live["unpredicted"]) == (True, [], []), traced
    assert all(hop["packets"] for hop in live["hops"])
    if outcome == "connected":
        assert [traced["endpoint"]] == live["endpoints"], traced
        assert {traced["sourceSeen"]} == {seen["source"] for seen in live["seen"]}, traced
    else:
        last = traced["hops"][-1]
        assert last["stage"], traced
        assert last["weight"] == "change"


def test_a_packet_that_goes_another_way_than_traced_is_shown(cluster: Cluster) -> None:
    """The flow tables know nothing of what the kernel's tunnel does with a packet."""
    with vxlan_blind(cluster):
        traced = cluster.trace("shop/client", "shop/remote", "8080/tcp", live=True)
    live = traced["live"]
    assert (traced["outcome"], live["outcome"], live["agrees"]) == ("connected", "dropped", False)
    first = next(hop for hop in live["hops"] if not hop["agrees"])
    assert (first["side"], first["found"]) == ("in", "nothing came"), live
    assert first["interface"].endswith("-host"), live
    assert [hop["packets"] > 0 for hop in live["hops"][:2]] == [True, True]
    assert cluster.trace("shop/client", "shop/remote", "8080/tcp", live=True)["live"]["agrees"]


def test_sctp_is_traced_where_no_socket_speaks_it(cluster: Cluster) -> None:
    assert cluster.trace("shop/client", "shop/remote", "8080/sctp")["outcome"] == "connected"
    assert cluster.trace("shop/client", "svc/shop/nobody-v4", "80/sctp")["outcome"] == "dropped"


def test_names_are_looked_up(cluster: Cluster) -> None:
    traced = cluster.trace("shop/client", str(parse_place("solo-v4.shop.svc.cluster.local")), "80/tcp")
    assert (traced["outcome"], traced["endpoint"]) == ("connected", "shop/solo")
    assert any(lookup["answers"] for lookup in traced["lookups"])


def test_a_trace_names_stage_translation_and_owner(cluster: Cluster) -> None:
    traced = cluster.trace("shop/client", "svc/shop/far-v4", "80/tcp")
    (there,) = [hop for hop in traced["hops"] if hop["stage"] == ENDPOINT_DNAT.name]
    assert (there["node"], there["owner"]) == ("worker-1", "Service/shop/far-v4")
    address = cluster.get("Pod", "far", "shop")["status"]["podIP"]
    assert there["action"].endswith(f":80 ⇒ {address}:8080")
    (back,) = [hop for hop in traced["hops"] if hop.get("derived")]
    assert (back["node"], back["direction"], back["owner"]) == ("worker-1", "reply", "Service/shop/far-v4")
    hops = [hop for hop in traced["hops"] if hop["direction"] == "forward"]
    nodes = list(dict.fromkeys(hop["node"] for hop in hops if hop["weight"] != "pass"))
    assert nodes == ["worker-1", "vxlan", "worker-3", "shop/far"]
    assert "router/fabric" in {hop["node"] for hop in hops}
    assert any("derived" in note for note in traced["notes"])


@FAMILIES
def test_altered_and_foreign_flows_are_put_right(cluster: Cluster, family: int) -> None:
    """Nobody asks for it: neither `diff --heal` nor an object that changes."""
    owner, log = f"Service/shop/web-v{family}", Log(cluster)
    for transport, port in (("tcp", "80/tcp"), ("udp", "81/udp")):
        mine = flow_of(cluster, "worker-1", SERVICE_FRONTEND.name, owner, "cluster-ip", transport)
        alter(cluster, "n1", mine)
        address = cluster_ip(cluster, "web", family)
        kind, to = (transport, "nw_dst") if family == 4 else (f"{transport}6", "ipv6_dst")
        place = f"table={SERVICE_FRONTEND.number}"
        ofctl(cluster, "add-flow", "n1", f"{place},priority=9999,{kind},{to}={address} actions=drop")
        ofctl(cluster, "add-flow", "n2", f"{named(mine)} actions=drop")
        await_whole(cluster)
        assert cluster.probe("shop/client", f"svc/shop/web-v{family}", port)["outcome"] == "connected"
    whose = f"{owner} (cluster-ip)"
    log.await_repairs(
        [
            f"modified in ServiceFrontend: {whose}",
            "added in ServiceFrontend: nobody's",
            f"added in ServiceFrontend: {whose}",
        ]
    )


def test_random_deletions_are_repaired_and_told_by_owner(cluster: Cluster) -> None:
    chosen = random.Random(SEED).sample(computed(cluster, "worker-1"), DELETED)
    log = Log(cluster)
    delete(cluster, "n1", *chosen)
    await_whole(cluster)
    log.await_repairs(f"deleted in {flow['stage']}: {flow['owner']}" for flow in chosen)
    words = ("stage", "owner", "name")
    wanted = {("worker-1", "deleted", *(flow[word] for word in words)) for flow in chosen}

    def told() -> set[tuple[str, ...]]:
        return {tuple(one[word] for word in ("node", "did", *words)) for one in cluster.drift()["repaired"]}

    until(lambda: told() >= wanted, PATIENCE)


def test_learned_flows_are_neither_drift_nor_put_right(cluster: Cluster) -> None:
    sticky = {**_service(), "metadata": {"name": "sticky", "namespace": "shop"}}
    assert cluster.apply([sticky]).ready.ready
    log = Log(cluster)
    assert cluster.probe("shop/client", "svc/shop/sticky", "80/tcp", count=5)["outcomes"] == {"connected": 5}
    # What is told later was done later: had anything been put right before, it would be told by then.
    delete(cluster, "n1", flow_of(cluster, "worker-1", *SOLO))
    log.await_repairs([f"deleted in {SOLO[0]}: {SOLO[1]}"])
    assert [flow["owner"] for flow in cluster.flows("worker-1") if flow["learned"]] == ["Service/shop/sticky"]
    assert log.text.count("put right") == 1
    assert cluster.drift()["items"] == []


def test_what_a_fault_alters_stays_whatever_the_audit_mends(cluster: Cluster) -> None:
    everything = len(cluster.flows("worker-3"))
    fault = cluster.inject("flows-altered", node="worker-3", count=everything // 2, seed=SEED)
    altered = cluster.drift()["items"]
    assert {(one["node"], one["fault"]) for one in altered} == {("worker-3", "altered")}
    assert all(one["owner"] and one["name"] for one in altered)
    keys = {(one["table"], one["priority"], one["match"]) for one in altered}
    others = [f for f in computed(cluster, "worker-3") if (f["table"], f["priority"], f["match"]) not in keys]
    delete(cluster, "n3", *others[:3])
    until(lambda: len(cluster.drift("worker-3")["repaired"]) == 3, PATIENCE)
    assert cluster.drift()["items"] == altered
    cluster.clear(fault["name"])
    assert cluster.drift()["items"] == []


def test_nothing_differs_and_every_flow_has_its_author(cluster: Cluster) -> None:
    told = cluster.drift()
    assert (told["kind"], told["items"], told["healed"], told["cleared"]) == ("Drift", [], [], [])
    found = cluster.flows()
    assert {flow["node"] for flow in found} >= {"worker-1", "worker-3", "router/fabric"}
    assert [flow for flow in found if not flow["learned"] and not (flow["owner"] and flow["name"])] == []
    # Before meters, and controllers, come and go: whoever finds meters that he wants to make is told so.
    assert_clean(cluster)


def test_meters_come_back_with_the_flows_that_went_with_them(cluster: Cluster) -> None:
    """Open vSwitch takes a meter's flows away with it, and refuses flows whose meter is not there."""
    log, meters = Log(cluster), ofctl(cluster, "dump-meters", "n1").count("meter=")
    ofctl(cluster, "del-meters", "n1")
    log.await_repairs(["deleted in TTLGuard: Pipeline/base (time-exceeded)"])
    await_whole(cluster)
    assert ofctl(cluster, "dump-meters", "n1").count("meter=") == meters > 0
    assert cluster.status()["errors"] == []


def test_drift_is_seen_with_its_owner_and_the_trace_follows_it(cluster: Cluster) -> None:
    """Flows that go behind the controller's back take the trace along with the packets, and come back."""
    asked = ("shop/client", "svc/shop/solo-v4", "80/tcp")
    owned = flow_of(cluster, "worker-1", *SOLO)
    chosen = random.Random(SEED).sample(computed(cluster, "worker-1"), DELETED)
    chosen = [flow for flow in chosen if named(flow) != named(owned)]
    gone = flow_of(cluster, "worker-2", SERVICE_LB.name, "Service/shop/web-v4", "choose-endpoint")
    changed = flow_of(cluster, "worker-2", SERVICE_FRONTEND.name, "Service/shop/web-v6", "cluster-ip")
    cluster.sandbox.hold("controller")
    try:
        delete(cluster, "n1", owned)
        traced = cluster.trace(*asked)
        assert traced["outcome"] == "dropped"
        assert traced["hops"][-1]["stage"] == ENDPOINT_DNAT.name
        assert cluster.probe(*asked)["outcome"] == "dropped"
        delete(cluster, "n1", *chosen)
        found = cluster.drift("worker-1")["items"]
        assert sorted((one["fault"], one["owner"], one["stage"], one["name"]) for one in found) == sorted(
            ("missing", flow["owner"], flow["stage"], flow["name"]) for flow in (owned, *chosen)
        )
        delete(cluster, "n2", gone)
        alter(cluster, "n2", changed)
        ofctl(cluster, "add-flow", "n2", "table=70,priority=999,tcp,nw_dst=203.0.113.77 actions=drop")
        found = cluster.drift("worker-2")["items"]
        told = {(one["fault"], one["stage"], one["owner"], one["name"]) for one in found}
        assert told == {
            ("missing", SERVICE_LB.name, "Service/shop/web-v4", "choose-endpoint"),
            ("altered", SERVICE_FRONTEND.name, "Service/shop/web-v6", "cluster-ip"),
            ("extra", "Output", "", ""),
        }
        assert cluster.drift("worker-3")["items"] == []
    finally:
        cluster.sandbox.release("controller")
    assert cluster.wait_ready(60).ready
    assert cluster.drift()["items"] == []
    assert cluster.trace(*asked)["outcome"] == "connected"
    assert cluster.probe(*asked)["outcome"] == "connected"


@contextmanager
def vxlan_blind(cluster: Cluster) -> Iterator[None]:
    """The tunnel of the client's node does not know any more where worker-2 is."""
    fault = cluster.inject("wrong-vtep", node="worker-1", peer="worker-2")
    try:
        yield
    finally:
        cluster.clear(fault["name"])


def _service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {
            "selector": {"app": "web"},
            "sessionAffinity": "ClientIP",
            "ports": [{"port": 80, "targetPort": 8080}],
        },
    }

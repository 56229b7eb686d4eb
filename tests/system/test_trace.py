"""Trace against wire, and drift behind the controller's back, on one cluster.

Trace and packet begin with the same addresses and ports, so the same hash must choose the same endpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from controllers.pipeline.tables import ENDPOINT_DNAT, SERVICE_FRONTEND, SERVICE_LB
from emulator import Cluster
from emulator.cluster.places import parse_place
from tests.system.hygiene import assert_clean, assert_nothing_was_lost, inside
from tests.system.oracles.conftest import objects
from tests.system.oracles.objects import Object, pod

PORTS = count(41000)
OFCTL = ("ovs-ofctl", "-O", "OpenFlow13", "--no-names")

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


def test_nothing_differs_and_every_flow_has_its_author(cluster: Cluster) -> None:
    assert cluster.drift() == {"apiVersion": "mininetes.io/v1", "kind": "Drift", "items": [], "healed": []}
    found = cluster.flows()
    assert {flow["node"] for flow in found} >= {"worker-1", "worker-3", "router/fabric"}
    assert [flow for flow in found if not flow["learned"] and not (flow["owner"] and flow["name"])] == []
    # Before controllers come and go: each finds the meters of the one before it, and is told so.
    assert_clean(cluster)


def test_the_trace_follows_the_tables_and_not_the_objects(cluster: Cluster) -> None:
    """A flow that goes behind the controller's back takes the trace along with the packets."""
    cluster.sandbox.hold("controller")
    try:
        owned = _flow(cluster, "worker-1", ENDPOINT_DNAT.name, "Service/shop/solo-v4", "translate")
        inside(cluster, *OFCTL, "--strict", "del-flows", "n1", _named(owned))
        traced = cluster.trace("shop/client", "svc/shop/solo-v4", "80/tcp")
        assert traced["outcome"] == "dropped"
        assert traced["hops"][-1]["stage"] == ENDPOINT_DNAT.name
        assert cluster.probe("shop/client", "svc/shop/solo-v4", "80/tcp")["outcome"] == "dropped"
    finally:
        cluster.sandbox.release("controller")
    assert cluster.wait_ready(60).ready
    assert cluster.trace("shop/client", "svc/shop/solo-v4", "80/tcp")["outcome"] == "connected"
    assert cluster.probe("shop/client", "svc/shop/solo-v4", "80/tcp")["outcome"] == "connected"


def test_drift_is_seen_with_its_owner_and_healed(cluster: Cluster) -> None:
    cluster.sandbox.hold("controller")
    try:
        gone = _flow(cluster, "worker-2", SERVICE_LB.name, "Service/shop/web-v4", "choose-endpoint")
        changed = _flow(cluster, "worker-2", SERVICE_FRONTEND.name, "Service/shop/web-v6", "cluster-ip")
        inside(cluster, *OFCTL, "--strict", "del-flows", "n2", _named(gone))
        inside(cluster, *OFCTL, "--strict", "mod-flows", "n2", f"{_named(changed)} actions=drop")
        inside(
            cluster, *OFCTL, "add-flow", "n2", "table=70,priority=999,tcp,nw_dst=203.0.113.77 actions=drop"
        )
        found = cluster.drift("worker-2")["items"]
        told = {(one["fault"], one["stage"], one["owner"], one["name"]) for one in found}
        assert told == {
            ("missing", SERVICE_LB.name, "Service/shop/web-v4", "choose-endpoint"),
            ("altered", SERVICE_FRONTEND.name, "Service/shop/web-v6", "cluster-ip"),
            ("extra", "Output", "", ""),
        }
        assert cluster.drift("worker-1")["items"] == []
    finally:
        cluster.sandbox.release("controller")
    assert cluster.wait_ready(60).ready
    assert cluster.drift()["items"] == []


def test_what_the_audit_does_not_notice_is_healed_on_demand(cluster: Cluster) -> None:
    """The controller counts flows; one that was altered still counts."""
    changed = _flow(cluster, "worker-3", SERVICE_FRONTEND.name, "Service/shop/solo-v4", "cluster-ip-from-pod")
    assert cluster.apply([_client()]).ready.ready
    assert cluster.probe("shop/late", "svc/shop/solo-v4", "80/tcp")["outcome"] == "connected"
    inside(cluster, *OFCTL, "--strict", "mod-flows", "n3", f"{_named(changed)} actions=drop")
    assert [one["fault"] for one in cluster.drift()["items"]] == ["altered"]
    assert cluster.probe("shop/late", "svc/shop/solo-v4", "80/tcp")["outcome"] == "dropped"
    done = cluster.drift(heal=True)
    assert done["items"] == []
    assert [(one["fault"], one["owner"]) for one in done["healed"]] == [("altered", "Service/shop/solo-v4")]
    assert cluster.probe("shop/late", "svc/shop/solo-v4", "80/tcp")["outcome"] == "connected"


def test_learned_flows_are_no_drift(cluster: Cluster) -> None:
    sticky = {**_service(), "metadata": {"name": "sticky", "namespace": "shop"}}
    assert cluster.apply([sticky]).ready.ready
    assert cluster.probe("shop/client", "svc/shop/sticky", "80/tcp")["outcome"] == "connected"
    learned = [flow for flow in cluster.flows("worker-1") if flow["learned"]]
    assert [flow["owner"] for flow in learned] == ["Service/shop/sticky"]
    assert cluster.drift()["items"] == []


@contextmanager
def vxlan_blind(cluster: Cluster) -> Iterator[None]:
    """The tunnel of the client's node does not know any more where worker-2 is."""
    fault = cluster.inject("wrong-vtep", node="worker-1", peer="worker-2")
    try:
        yield
    finally:
        cluster.clear(fault["name"])


def _client() -> Object:
    return pod("late", "worker-3")


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


def _flow(cluster: Cluster, node: str, stage: str, owner: str, name: str) -> Object:
    """The first such flow."""
    return next(
        flow
        for flow in cluster.flows(node)
        if (flow["stage"], flow["owner"], flow["name"]) == (stage, owner, name)
    )


def _named(flow: Object) -> str:
    """As ovs-ofctl takes a flow that is to be found."""
    return f"table={flow['table']},priority={flow['priority']},{flow['match']}"

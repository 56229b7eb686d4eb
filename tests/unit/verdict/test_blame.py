"""Which fault made a difference, by what faults have noted."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.cluster.faults.fault import Fault
from emulator.verdict.blame import blamed

ENDS = {"ends": [["node/worker-1", "n1-up", "n1"], ["router/fabric", "fabric-1", "fabric"]], "mtu": 1500}
FLOWS = {"bridge": "n1", "keys": [[26, 200, "tcp,reg4=0x3/0xff,nw_dst=10.96.0.10"]]}


def fault(kind: str, memo: dict[str, Any] | None = None, **arguments: str) -> Fault:
    return Fault(f"{kind}-1", kind, arguments, "2026-11-29T07:00:00Z", (), memo or {})


def kernel(kind: str, interface: str = "n1-up", installed: str = "down", thing: str = "") -> dict[str, Any]:
    return {"node": "worker-1", "kind": kind, "fault": "altered", "interface": interface, "object": thing} | {
        "installed": installed
    }


def flow(match: str = "nw_dst=10.96.0.10,tcp,reg4=0x3/0xff", node: str = "worker-1") -> dict[str, Any]:
    bridge = {"worker-1": "n1", "worker-2": "n2", "router/fabric": "fabric"}[node]
    return {"node": node, "bridge": bridge, "kind": "flow", "table": 26, "priority": 200, "match": match}


TUNNEL = {"device": "n1-tun", "mac": "02:04:00:00:00:02"}
MADE = [
    (fault("link-down", ENDS), kernel("link"), kernel("link", "n2-up")),
    (fault("link-down", ENDS), kernel("bgp-route", ""), kernel("link", installed="")),
    (fault("link-mtu", ENDS), kernel("mtu", "fabric-1", "1300"), kernel("mtu", "n2-up", "1300")),
    (fault("node-down", {"interfaces": ["n1-up"]}), kernel("link"), kernel("mtu")),
    (fault("node-down", {"interfaces": []}), kernel("bgp-route", ""), kernel("link")),
    (fault("nat-gateway-down", {"interfaces": ["nat-1"]}), kernel("link", "nat-1"), kernel("bgp-route")),
    (fault("internet-gateway-down", {"interfaces": ["x"]}), kernel("link", "x"), kernel("link")),
    (
        fault("wrong-vtep", TUNNEL),
        kernel("tunnel", thing="n1-tun 02:04:00:00:00:02"),
        kernel("tunnel", thing="n1-tun 02:04:00:00:00:03"),
    ),
    (fault("flows-deleted", FLOWS), flow(), flow("tcp")),
    (fault("flows-deleted", FLOWS), flow(), flow(node="worker-2")),
    (fault("controller-down"), flow(), kernel("link")),
    (fault("bird-down"), kernel("bgp-route"), kernel("route")),
]
COMPUTED = [
    (fault("flows-altered", FLOWS), flow(), flow("udp")),
    (fault("kube-proxy-stopped", node="worker-1"), flow("udp"), flow(node="worker-2")),
    (fault("vpc-route-removed", {"router": "router/fabric"}), flow(node="router/fabric"), flow()),
]


@pytest.mark.parametrize(("one", "its", "others"), MADE, ids=lambda one: getattr(one, "kind", ""))
def test_what_a_fault_made_is_told_from_what_others_did(one: Fault, its: Any, others: Any) -> None:
    assert blamed(its, [one], as_faults_say=False) == [one.name]
    assert blamed(others, [one], as_faults_say=False) == []


@pytest.mark.parametrize(("one", "its", "others"), COMPUTED, ids=lambda one: getattr(one, "kind", ""))
def test_what_is_computed_so_while_a_fault_is_active(one: Fault, its: Any, others: Any) -> None:
    assert blamed(its, [one], as_faults_say=True) == [one.name]
    assert blamed(others, [one], as_faults_say=True) == []
    assert blamed(its, [one], as_faults_say=False) == [], "somebody else is at it as well"


def test_all_who_did_it_are_named_in_order() -> None:
    faults = [fault("controller-down"), fault("dns-down"), fault("flows-deleted", FLOWS)]
    assert blamed(flow(), faults, as_faults_say=False) == ["controller-down-1", "flows-deleted-1"]
    assert blamed(flow(), [], as_faults_say=False) == []


def test_faults_that_make_no_difference_are_never_blamed() -> None:
    faults = [fault(kind) for kind in ("conntrack-full", "link-impaired", "dns-down", "container-crash")]
    for item in (flow(), kernel("link"), kernel("bgp-route")):
        for as_faults_say in (True, False):
            assert blamed(item, faults, as_faults_say=as_faults_say) == []

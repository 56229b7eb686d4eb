"""`diagnose`: what people and programs read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Invoke
from tests.unit.fake_cluster import FakeCluster

WHY = "shop/db isolated for ingress by NetworkPolicy/shop/deny-all; no rule allows blog/web, 5432/tcp"


def answer(outcome: str, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "reasons": [], "endpoints": [], **more}


def diagnosed(**more: Any) -> dict[str, Any]:
    hop = {"node": "worker-1", "stage": "IngressDefaultRule", "action": "dropped: isolated", "owner": ""}
    found = {
        "kind": "Diagnosis",
        "from": "blog/web",
        "to": "svc/shop/db",
        "port": "5432/tcp",
        "address": "10.96.0.20",
        "spec": answer("dropped", explanation=WHY),
        "trace": {"outcome": "dropped", "hops": [hop]},
        "wire": answer("dropped", outcomes={"dropped": 1}, seen=[]),
        "drift": [],
        "cause": {
            "code": "policy-isolates-destination",
            "object": "NetworkPolicy/shop/deny-all",
            "sentence": WHY,
            "see": "mininetes describe networkpolicy/deny-all -n shop",
        },
        "fix": "ingress:\n- from: []",
        "outcome": "dropped",
        "agrees": True,
        "difference": "",
        "change": "",
    }
    whole = found | more
    cause = whole["cause"]
    return {"causes": [cause | {"fix": whole["fix"]}] if cause else []} | whole


def test_causes_stand_in_the_order_in_which_they_are_met(invoke: Invoke, cluster: FakeCluster) -> None:
    first = diagnosed()["causes"][0]
    second = {"code": "wrong-target-port", "object": "Service/shop/db", "sentence": "no", "fix": "spec:"}
    cluster.diagnosed = diagnosed(causes=[first, second])
    lines = invoke("diagnose", "blog/web", "svc/shop/db:5432/tcp").stdout.splitlines()
    assert lines[-3:] == [
        "and then    wrong-target-port   Service/shop/db",
        "            no",
        "fix         spec:",
    ]


def test_answers_stand_side_by_side(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.diagnosed = diagnosed()
    told = invoke("diagnose", "web", "svc/shop/db", "5432/tcp", "-n", "blog", "--family", "4")
    assert told.exit_code == 0
    assert cluster.calls == [("diagnose", "blog/web", "svc/shop/db", "5432/tcp", None, 4, None)]
    lines = told.stdout.splitlines()
    assert lines[0] == "blog/web → svc/shop/db:5432/tcp (10.96.0.20)"
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["spec", "dropped"], ["trace", "dropped"], ["wire", "dropped"], ["drift", "none"],
    ]  # fmt: skip
    assert "As the manifests say: dropped" in lines
    assert "cause       policy-isolates-destination   NetworkPolicy/shop/deny-all" in lines
    assert "fix         ingress:" in lines
    assert "            - from: []" in lines


def test_the_first_difference_is_marked(invoke: Invoke, cluster: FakeCluster) -> None:
    drift = {"node": "worker-1", "fault": "missing", "stage": "IngressDefaultRule", "name": "isolated"}
    wire = answer("connected", outcomes={"connected": 1}, endpoints={"shop/db": 1}, seen=[])
    trace = {"outcome": "connected", "hops": [], "endpoint": "shop/db", "sourceSeen": "10.244.0.4"}
    cluster.diagnosed = diagnosed(
        trace=trace, wire=wire, drift=[drift], outcome="connected", agrees=False, difference="trace"
    )
    told = invoke("diagnose", "blog/web", "svc/shop/db:5432/tcp")
    assert told.exit_code == 1
    marked = [line for line in told.stdout.splitlines() if "first difference" in line]
    assert [line.split()[0] for line in marked] == ["trace"]
    assert "missing     worker-1 IngressDefaultRule isolated" in told.stdout
    assert "As the manifests say" not in told.stdout


@pytest.mark.parametrize(("expected", "code"), [((), 0), (("--expect", "connected"), 1)])
def test_what_is_expected_can_be_said(
    invoke: Invoke, cluster: FakeCluster, expected: tuple[str, ...], code: int
) -> None:
    cluster.diagnosed = diagnosed()
    assert invoke("diagnose", "blog/web", "svc/shop/db:5432/tcp", *expected).exit_code == code


def test_what_nobody_knows_is_not_as_expected(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.diagnosed = diagnosed(
        spec=None, trace=None, wire=None, outcome="error", agrees=False, refusal="no running pod shop/db"
    )
    told = invoke("diagnose", "blog/web", "svc/shop/db:5432/tcp")
    assert told.exit_code == 1
    assert "spec        -           no running pod shop/db" in told.stdout


def test_without_a_cause_the_change_is_named(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.diagnosed = diagnosed(cause=None, fix="", change="a NetworkPolicy that isolates shop/db")
    told = invoke("diagnose", "blog/web", "svc/shop/db:5432/tcp").stdout
    assert "change      a NetworkPolicy that isolates shop/db" in told
    assert "cause" not in told


def test_a_port_is_given_once(invoke: Invoke) -> None:
    assert invoke("diagnose", "shop/web", "svc/shop/db:80", "80").exit_code == 2
    assert invoke("diagnose", "shop/web", "svc/shop/db", "80", "--port", "80").exit_code == 2
    assert invoke("diagnose", "shop/web:80", "svc/shop/db").exit_code == 2


def test_for_programs(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.diagnosed = diagnosed()
    assert json.loads(invoke("diagnose", "blog/web", "svc/shop/db", "-o", "json").stdout) == diagnosed()


def test_commands_are_for_the_cluster_that_was_asked_about(invoke: Invoke, cluster: FakeCluster) -> None:
    """Pasted as they are; what follows a double dash is another program's."""
    cause = {
        "code": "bgp-session-down",
        "object": "Router/tor",
        "sentence": "down",
        "see": "mininetes diff",
        "command": "mininetes exec router/tor -- birdc enable worker_1_4",
        "fix": "enable it\nmininetes exec router/tor -- birdc enable worker_1_4",
    }
    cluster.diagnosed = diagnosed(causes=[cause])
    asked = ("diagnose", "blog/web", "svc/shop/db:5432/tcp")
    assert invoke(*asked).stdout.splitlines()[-3:] == [
        "see         mininetes diff",
        "fix         enable it",
        "            mininetes exec router/tor -- birdc enable worker_1_4",
    ]
    assert invoke(*asked, "--name", "lab").stdout.splitlines()[-3:] == [
        "see         mininetes diff --name lab",
        "fix         enable it",
        "            mininetes exec router/tor --name lab -- birdc enable worker_1_4",
    ]

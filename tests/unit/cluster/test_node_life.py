"""Nodes that are lost, not ready, tainted or deleted, and what becomes of their pods."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.objects import JsonObject, copy_json
from emulator.cluster.manager import next_wake
from emulator.cluster.node_life import (
    DEFAULT_TOLERATION_SECONDS,
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    with_default_tolerations,
)
from emulator.cluster.pods import is_active, is_ready, is_terminating, node_name
from tests.unit.cluster.lab import Lab, pod, pod_spec, service, workload


def set_ready(lab: Lab, name: str, value: str) -> None:
    node = copy_json(lab.get("Node", name, namespace=""))
    node["status"]["conditions"][0]["status"] = value
    lab.store.replace_status(node)
    lab.settle()


def taints(lab: Lab, name: str) -> set[tuple[str, str]]:
    node = lab.get("Node", name, namespace="")
    return {(taint["key"], taint["effect"]) for taint in node["spec"].get("taints") or ()}


def on(lab: Lab, node: str) -> list[JsonObject]:
    return [p for p in lab.store.list("Pod") if node_name(p) == node]


def busy_lab(**spec: Any) -> Lab:
    lab = Lab()
    lab.run(service("web"), workload("Deployment", "web", pod_spec(**spec), replicas=3))
    assert [len(on(lab, f"worker-{i}")) for i in (1, 2, 3)] == [1, 1, 1]
    return lab


@pytest.mark.parametrize(("value", "key"), [("Unknown", UNREACHABLE), ("False", NOT_READY)])
def test_the_state_of_a_node_is_a_taint(value: str, key: str) -> None:
    lab = Lab()
    set_ready(lab, "worker-2", value)
    assert taints(lab, "worker-2") == {(key, "NoSchedule"), (key, "NoExecute")}
    set_ready(lab, "worker-2", "True")
    assert taints(lab, "worker-2") == set()


def test_cordoning_is_a_taint_and_other_taints_stay() -> None:
    lab = Lab()
    own = {"key": "gpu", "value": "a", "effect": "NoSchedule"}
    lab.change("Node", "worker-1", lambda n: n["spec"].update(unschedulable=True, taints=[own]), "")
    assert taints(lab, "worker-1") == {("gpu", "NoSchedule"), (UNSCHEDULABLE, "NoSchedule")}
    lab.change("Node", "worker-1", lambda n: n["spec"].pop("unschedulable"), "")
    assert lab.get("Node", "worker-1", "")["spec"]["taints"] == [own]


@pytest.mark.parametrize("value", ["Unknown", "False"])
def test_pods_of_a_lost_node_leave_their_service_at_once(value: str) -> None:
    lab = busy_lab()
    lost = on(lab, "worker-2")[0]["status"]["podIP"]
    set_ready(lab, "worker-2", value)
    (piece,) = [s for s in lab.store.list("EndpointSlice") if s["metadata"]["name"].startswith("web")]
    ready = {e["addresses"][0]: e["conditions"]["ready"] for e in piece["endpoints"]}
    assert ready.pop(lost) is False
    assert list(ready.values()) == [True, True]
    assert all(is_active(p) for p in lab.pods(app="web")), "nobody is evicted yet"


def test_pods_of_a_lost_node_are_replaced_elsewhere_when_their_patience_ends() -> None:
    lab = busy_lab()
    (old,) = on(lab, "worker-2")
    set_ready(lab, "worker-2", "Unknown")
    wake = next_wake(lab.snapshot(), lab.now)
    assert wake is not None
    assert (wake - lab.now).total_seconds() == DEFAULT_TOLERATION_SECONDS
    lab.advance(DEFAULT_TOLERATION_SECONDS - 1)
    lab.settle()
    assert not is_terminating(lab.get_pod(old))
    lab.advance(1)
    lab.settle()
    assert is_terminating(lab.get_pod(old)), "only its kubelet can confirm that it has ended"
    active = [p for p in lab.pods(app="web") if is_active(p)]
    assert len(active) == 3
    assert {node_name(p) for p in active} == {"worker-1", "worker-3"}


def test_a_node_that_is_back_in_time_keeps_its_pods() -> None:
    lab = busy_lab()
    (own,) = on(lab, "worker-2")
    set_ready(lab, "worker-2", "Unknown")
    assert not is_ready(lab.get_pod(own))
    lab.advance(DEFAULT_TOLERATION_SECONDS - 1)
    set_ready(lab, "worker-2", "True")
    lab.advance(60)
    lab.settle()
    assert is_active(lab.get_pod(own))


@pytest.mark.parametrize("seconds", [0, 3, 60, None])
def test_pods_stay_for_as_long_as_they_say(seconds: int | None) -> None:
    own: JsonObject = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}
    if seconds is not None:
        own["tolerationSeconds"] = seconds
    lab = busy_lab(tolerations=[own])
    (old,) = on(lab, "worker-2")
    set_ready(lab, "worker-2", "Unknown")
    if seconds:
        lab.advance(seconds - 1)
        lab.settle()
        assert is_active(lab.get_pod(old))
    lab.advance(1 if seconds is not None else 100_000)
    lab.settle()
    assert is_terminating(lab.get_pod(old)) is (seconds is not None)


def test_daemons_stay_where_they_are_and_are_not_placed_on_a_lost_node() -> None:
    lab = Lab()
    lab.run(workload("DaemonSet", "agent"))
    (own,) = on(lab, "worker-2")
    set_ready(lab, "worker-2", "Unknown")
    lab.advance(1000)
    lab.settle()
    assert is_active(lab.get_pod(own))
    lab.run(workload("DaemonSet", "late"))
    assert sorted(lab.nodes_of(app="late")) == ["worker-1", "worker-3"]


def test_a_no_execute_taint_that_somebody_sets_drives_pods_away() -> None:
    lab = busy_lab()
    (old,) = on(lab, "worker-2")
    taint = {"key": "maintenance", "effect": "NoExecute"}
    lab.change("Node", "worker-2", lambda n: n["spec"].update(taints=[taint]), "")
    assert is_terminating(lab.get_pod(old))
    lab.obey()
    assert on(lab, "worker-2") == []


def test_a_deleted_node_stays_away_and_its_pods_go_without_grace() -> None:
    lab = busy_lab()
    lab.delete("Node", "worker-2", namespace="")
    assert on(lab, "worker-2") == []
    assert {n["metadata"]["name"] for n in lab.store.list("Node")} == {"worker-1", "worker-3"}
    lab.obey()
    assert len(lab.pods(app="web")) == 3
    lab.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-2"}})
    node = lab.get("Node", "worker-2", namespace="")
    assert node["spec"]["podCIDR"] == "10.244.2.0/24"
    assert node["status"]["addresses"]
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "worker-2"
    lab.scale("Deployment", "web", 6)
    assert len(on(lab, "worker-2")) == 2


def test_tolerations_of_the_pods_own_are_kept() -> None:
    plain = with_default_tolerations(pod("a"))["spec"]["tolerations"]
    assert [(t["key"], t["tolerationSeconds"]) for t in plain] == [(NOT_READY, 5), (UNREACHABLE, 5)]
    everything = pod("b", tolerations=[{"operator": "Exists"}])
    assert with_default_tolerations(everything) is everything
    one = pod("c", tolerations=[{"key": NOT_READY, "operator": "Exists", "effect": "NoExecute"}])
    assert [t["key"] for t in with_default_tolerations(one)["spec"]["tolerations"]] == [
        NOT_READY,
        UNREACHABLE,
    ]

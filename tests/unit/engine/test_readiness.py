from __future__ import annotations

from typing import Any

import pytest

from emulator.engine.readiness import Readiness, failing_pods, unready_workloads, unsettled_pods


def pod(**status: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"nodeName": "worker-1"},
        "status": status,
    }


def waiting(reason: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "main", "ready": False, "state": {"waiting": {"reason": reason, **more}}}]


def ended(name: str, code: int) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
    return {"name": name, "ready": False, "state": state}


def beside_a_server(other: dict[str, Any], policy: str) -> dict[str, Any]:
    """A pod of a ready container and `other`."""
    found = pod(phase="Running", containerStatuses=[{"name": "main", "ready": True}, other])
    found["spec"]["restartPolicy"] = policy
    return found


READY = pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}])
BLOCKED = pod(phase="Pending", containerStatuses=waiting("ContainerCreating", message="no secret"))
GATED = pod(
    phase="Running",
    conditions=[{"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": "lb"}],
)
CRASHING = pod(phase="Running", containerStatuses=waiting("CrashLoopBackOff"))
UNSCHEDULABLE = {
    **pod(
        phase="Pending",
        conditions=[
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        ],
    ),
    "spec": {},
}


@pytest.mark.parametrize(
    "settled",
    [
        READY,
        CRASHING,
        UNSCHEDULABLE,
        BLOCKED,
        GATED,
        pod(phase="Succeeded"),
        pod(phase="Failed"),
        beside_a_server(ended("helper", 0), "Never"),
        beside_a_server(ended("helper", 0), "OnFailure"),
        beside_a_server(ended("helper", 3), "Never"),
    ],
    ids=[
        "ready",
        "crashing",
        "unschedulable",
        "blocked",
        "gated",
        "succeeded",
        "failed",
        "did",
        "did-at-last",
        "helper-failed",
    ],
)
def test_nobody_waits_for_a_settled_pod(settled: dict[str, Any]) -> None:
    assert list(unsettled_pods([settled])) == []


@pytest.mark.parametrize(
    ("unsettled", "why"),
    [
        (pod(phase="Pending", containerStatuses=waiting("ContainerCreating")), "ContainerCreating (main)"),
        (pod(phase="Running", containerStatuses=[{"name": "main", "ready": False}]), "not ready (main)"),
        (beside_a_server(ended("helper", 0), "Always"), "not ready (helper)"),
        (beside_a_server(ended("helper", 1), "OnFailure"), "not ready (helper)"),
        ({**pod(phase="Pending"), "spec": {}}, "waits for a node"),
        ({**READY, "metadata": {**READY["metadata"], "deletionTimestamp": "now"}}, "Terminating"),
    ],
)
def test_an_unsettled_pod_says_what_it_waits_for(unsettled: dict[str, Any], why: str) -> None:
    assert list(unsettled_pods([unsettled])) == [f"pod shop/web: {why}"]


def test_a_failing_pod_names_its_reason() -> None:
    assert list(failing_pods([READY, CRASHING])) == ["pod shop/web: CrashLoopBackOff (main)"]
    helpless = beside_a_server(ended("helper", 3), "Never")
    assert list(failing_pods([helpless])) == ["pod shop/web: Error (helper)"]
    assert list(failing_pods([BLOCKED])) == ["pod shop/web: ContainerCreating (main: no secret)"]
    assert list(failing_pods([GATED])) == ["pod shop/web: ReadinessGatesNotReady (lb)"]
    assert list(failing_pods([UNSCHEDULABLE])) == ["pod shop/web: Unschedulable (0/3 nodes)"]


def test_a_workload_whose_loop_has_not_looked_is_missing() -> None:
    metadata = {"namespace": "shop", "name": "web", "generation": 2}
    behind = {"kind": "Deployment", "metadata": metadata, "status": {"observedGeneration": 1}}
    abreast = {**behind, "status": {"observedGeneration": 2}}
    assert list(unready_workloads([behind, abreast])) == ["deployment shop/web: not yet observed"]


def test_a_workload_whose_pods_must_prove_themselves_is_missing() -> None:
    metadata = {"namespace": "shop", "name": "web"}
    young = {"kind": "StatefulSet", "metadata": metadata, "status": {"readyReplicas": 1}}
    daemons = {"kind": "DaemonSet", "metadata": metadata, "status": {"numberReady": 3, "numberAvailable": 2}}
    proven = {**young, "status": {"readyReplicas": 1, "availableReplicas": 1}}
    assert list(unready_workloads([young, daemons, proven])) == [
        "statefulset shop/web: waits for minReadySeconds",
        "daemonset shop/web: waits for minReadySeconds",
    ]


def test_readiness_survives_the_wire() -> None:
    readiness = Readiness(ready=False, missing=("a",), failing=("b",), seconds=1.5, impossible="no netem")
    assert Readiness.from_json(readiness.as_json()) == readiness

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from emulator.api.objects import JsonObject
from emulator.workloads.records import Record, Running, State, Terminated, Waiting, restart_policy
from emulator.workloads.status import final_status, pod_status
from tests.unit.workloads.manifests import container, pod

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
THEN = datetime(2030, 1, 2, 3, 0, 0, tzinfo=UTC)
CREATING = Waiting("ContainerCreating")
CRASHING = Waiting("CrashLoopBackOff")
RUNNING = Running(THEN)
DONE = Terminated(0, "Completed", THEN, NOW)
FAILED = Terminated(1, "Error", THEN, NOW)


def record(
    state: State, name: str = "main", *, ready: bool = False, last: Terminated | None = None
) -> Record:
    return Record(name, "nginx", state, last=last, ready=ready, started=isinstance(state, Running))


def status(*main: Record, init: tuple[Record, ...] = (), **spec: object) -> JsonObject:
    wanted = pod(*(container(r.name) for r in main), initContainers=[container(r.name) for r in init], **spec)
    return pod_status(wanted, init, main, started=THEN, now=NOW)


def conditions(found: JsonObject) -> dict[str, tuple[str, str | None]]:
    return {c["type"]: (c["status"], c.get("reason")) for c in found["conditions"]}


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [CREATING], "Pending"),
        ("Always", [RUNNING], "Running"),
        ("Always", [RUNNING, CREATING], "Pending"),
        ("Always", [DONE], "Running"),
        ("Always", [FAILED], "Running"),
        ("OnFailure", [DONE], "Succeeded"),
        ("OnFailure", [DONE, FAILED], "Running"),
        ("OnFailure", [DONE, RUNNING], "Running"),
        ("Never", [DONE], "Succeeded"),
        ("Never", [DONE, FAILED], "Failed"),
        ("Never", [RUNNING, FAILED], "Running"),
    ],
)
def test_phase(policy: str, states: list[State], phase: str) -> None:
    records = [record(state, f"c{number}") for number, state in enumerate(states)]
    assert status(*records, restartPolicy=policy)["phase"] == phase


def test_a_crashing_container_does_not_make_its_pod_pending() -> None:
    found = status(record(CRASHING, last=FAILED))
    assert found["phase"] == "Running"
    entry = found["containerStatuses"][0]
    assert entry["state"] == {"waiting": {"reason": "CrashLoopBackOff"}}
    assert entry["lastState"]["terminated"]["exitCode"] == 1
    assert conditions(found)["Ready"] == ("False", "ContainersNotReady")


@pytest.mark.parametrize(
    ("policy", "state", "phase"),
    [
        ("Always", RUNNING, "Pending"),
        ("Always", FAILED, "Pending"),
        ("Never", FAILED, "Failed"),
        ("Always", DONE, "Running"),
    ],
)
def test_init_containers_come_first(policy: str, state: State, phase: str) -> None:
    main = record(RUNNING if state is DONE else Waiting("PodInitializing"), ready=state is DONE)
    found = status(main, init=(record(state, "first"),), restartPolicy=policy)
    assert found["phase"] == phase
    assert conditions(found)["Initialized"][0] == ("True" if state is DONE else "False")


@pytest.mark.parametrize(
    ("main", "phase"),
    [(record(RUNNING, ready=True), "Running"), (record(DONE), "Succeeded")],
    ids=["running", "done"],
)
def test_a_sidecar_that_ends_does_not_take_its_pod_back_to_the_start(main: Record, phase: str) -> None:
    sidecar = {**container("side"), "restartPolicy": "Always"}
    wanted = pod(container("main"), initContainers=[sidecar], restartPolicy="Never")
    found = pod_status(wanted, (record(FAILED, "side"),), (main,), started=THEN, now=NOW)
    assert found["phase"] == phase
    assert conditions(found)["Initialized"][0] == "True"


def test_a_ready_pod() -> None:
    found = status(record(RUNNING, ready=True))
    assert conditions(found) == {
        "PodScheduled": ("True", None),
        "Initialized": ("True", None),
        "ContainersReady": ("True", None),
        "Ready": ("True", None),
    }
    assert found["startTime"] == "2030-01-02T03:00:00Z"
    assert found["containerStatuses"][0]["state"] == {"running": {"startedAt": "2030-01-02T03:00:00Z"}}


def test_readiness_gates_keep_a_pod_unready_until_somebody_opens_them() -> None:
    wanted = pod(readinessGates=[{"conditionType": "corp/lb"}])
    main = [record(RUNNING, ready=True)]
    found = pod_status(wanted, [], main, started=THEN, now=NOW)
    assert conditions(found)["Ready"] == ("False", "ReadinessGatesNotReady")
    assert conditions(found)["ContainersReady"] == ("True", None)
    wanted["status"]["conditions"] = [{"type": "corp/lb", "status": "True"}]
    found = pod_status(wanted, [], main, started=THEN, now=NOW)
    assert conditions(found)["Ready"] == ("True", None)
    assert "corp/lb" in conditions(found)


def test_a_condition_keeps_its_time_until_it_turns() -> None:
    before = pod_status(pod(), [], [record(RUNNING)], started=THEN, now=THEN)["conditions"]
    after = pod_status(pod(), [], [record(RUNNING, ready=True)], started=THEN, before=before, now=NOW)
    times = {c["type"]: c["lastTransitionTime"] for c in after["conditions"]}
    assert times["Initialized"] == "2030-01-02T03:00:00Z"
    assert times["Ready"] == "2030-01-02T03:04:05Z"


def test_a_stopped_pod_has_succeeded_or_failed() -> None:
    assert final_status(status(record(DONE)))["phase"] == "Succeeded"
    assert final_status(status(record(FAILED)))["phase"] == "Failed"


def test_qos() -> None:
    half = {"requests": {"cpu": "1"}}
    full = {"limits": {"cpu": "1", "memory": "1Gi"}}
    for resources, expected in ((None, "BestEffort"), (half, "Burstable"), (full, "Guaranteed")):
        wanted = pod(container(resources=resources))
        assert pod_status(wanted, [], [record(RUNNING)], started=THEN, now=NOW)["qosClass"] == expected


def test_init_containers_need_to_succeed_once_and_sidecars_never_stop() -> None:
    sidecar = container(restartPolicy="Always")
    for policy, first, main in (("Always", "OnFailure", "Always"), ("Never", "Never", "Never")):
        wanted = pod(restartPolicy=policy)
        assert restart_policy(wanted, container(), first=True) == first
        assert restart_policy(wanted, container(), first=False) == main
        assert restart_policy(wanted, sidecar, first=True) == "Always"

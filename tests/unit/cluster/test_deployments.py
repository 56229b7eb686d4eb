from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.api.objects import JsonObject, copy_json
from emulator.cluster.manager import next_wake
from emulator.cluster.pods import condition, is_active, is_ready
from emulator.cluster.workloads.deployment import surge_and_unavailable

from .lab import Lab, pod, set_image, workload

# -- Deployments and ReplicaSets


def test_a_deployment_names_its_replica_set_and_pods_as_kubernetes_does() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=3))
    (replica_set,) = lab.store.list("ReplicaSet")
    name = replica_set["metadata"]["name"]
    assert re.fullmatch(r"web-[bcdfghjklmnpqrstvwxz2456789]{8,10}", name)
    assert all(re.fullmatch(rf"{name}-[bcdfghjklmnpqrstvwxz2456789]{{5}}", n) for n in lab.names(app="web"))
    assert replica_set["metadata"]["labels"]["pod-template-hash"] == name.removeprefix("web-")
    status = lab.get("Deployment", "web")["status"]
    assert {k: status[k] for k in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")} == {
        "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
    }  # fmt: skip
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert conditions["Progressing"] == ("True", "NewReplicaSetAvailable")
    assert conditions["Available"] == ("True", "MinimumReplicasAvailable")


def test_the_same_cluster_built_twice_has_the_same_names_and_places() -> None:
    first, second = Lab(), Lab()
    for lab in (first, second):
        lab.run(workload("Deployment", "web", replicas=5), workload("DaemonSet", "log"))
    assert first.names() == second.names()
    assert first.nodes_of() == second.nodes_of()


def test_a_deleted_pod_is_replaced_under_a_new_name_and_address() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=2))
    before = {p["metadata"]["name"]: p["status"]["podIP"] for p in lab.pods(app="web")}
    victim = min(before)
    lab.delete("Pod", victim)
    lab.obey()
    after = {p["metadata"]["name"]: p["status"]["podIP"] for p in lab.pods(app="web")}
    assert len(after) == 2
    assert victim not in after
    assert before[victim] not in after.values()


def test_pods_deleted_all_at_once_without_grace_return_under_new_names() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=3))
    before = set(lab.names(app="web"))
    for name in before:
        lab.store.delete(next(_keys(lab, name)), grace_seconds=0)
    lab.settle()
    assert not before & set(lab.names(app="web"))


def _keys(lab: Lab, name: str) -> Any:
    from emulator.api.objects import Key

    yield Key("Pod", "default", name)


def test_scaling_down_takes_the_least_missed_pods() -> None:
    lab = Lab()
    lab.run(workload("ReplicaSet", "web", replicas=3))
    broken = lab.pods(app="web")[1]
    lab.set_ready(broken, False)
    lab.scale("ReplicaSet", "web", 2)
    lab.obey()
    assert broken["metadata"]["name"] not in lab.names(app="web")
    assert len(lab.names(app="web")) == 2


def test_relabelling_a_pod_takes_it_out_and_adopting_brings_it_in() -> None:
    lab = Lab()
    lab.run(workload("ReplicaSet", "web", replicas=2))
    name = lab.names(app="web")[0]
    lab.change("Pod", name, lambda obj: obj["metadata"]["labels"].update(app="debug"))
    lab.obey()
    assert "ownerReferences" not in {k: v for k, v in lab.get("Pod", name)["metadata"].items() if v}
    assert len(lab.names(app="web")) == 2
    lab.run(pod("stray", {"app": "web"}))
    assert len(lab.names(app="web")) == 2, "adopted, so one was too many"


def test_a_rollout_moves_to_the_new_template_and_back_again() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=4))
    first = lab.store.list("ReplicaSet")[0]["metadata"]["name"]
    lab.change("Deployment", "web", set_image("nginx:2"))
    lab.obey()
    sets = {rs["metadata"]["name"]: rs["spec"]["replicas"] for rs in lab.store.list("ReplicaSet")}
    assert sets.pop(first) == 0
    assert list(sets.values()) == [4]
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods(app="web")} == {"nginx:2"}
    lab.change("Deployment", "web", set_image("nginx"))
    lab.obey()
    assert lab.get("ReplicaSet", first)["spec"]["replicas"] == 4
    assert lab.get("Deployment", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


def test_a_broken_new_template_leaves_enough_old_pods() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=4))
    lab.change("Deployment", "web", set_image("broken"))
    for _ in range(5):
        for p in lab.pods(app="web"):
            if p["metadata"].get("deletionTimestamp"):
                lab.delete("Pod", p["metadata"]["name"], grace=0)
    assert sum(is_ready(p) for p in lab.pods(app="web")) == 3
    assert len([p for p in lab.pods(app="web") if is_active(p)]) == 5


def test_recreate_ends_all_old_pods_first() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=2, strategy={"type": "Recreate"}))
    lab.change("Deployment", "web", set_image("nginx:2"))
    assert all(p["metadata"].get("deletionTimestamp") for p in lab.pods(app="web"))
    lab.obey()
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods(app="web")} == {"nginx:2"}


def test_a_paused_deployment_waits() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=2))
    lab.change("Deployment", "web", lambda obj: obj["spec"].update(paused=True))
    lab.change("Deployment", "web", set_image("nginx:2"))
    lab.scale("Deployment", "web", 3)
    lab.obey()
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods(app="web")} == {"nginx"}
    assert len(lab.pods(app="web")) == 3


def test_history_is_cut_to_its_limit() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=1, revisionHistoryLimit=2))
    for number in range(5):
        lab.change("Deployment", "web", set_image(f"nginx:{number}"))
        lab.obey()
    assert len(lab.store.list("ReplicaSet")) == 3


def test_min_ready_seconds_delay_availability_until_their_time_comes() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=1, minReadySeconds=10))
    assert lab.get("Deployment", "web")["status"]["availableReplicas"] == 0
    wake = next_wake(lab.snapshot(), lab.now)
    assert wake is not None
    assert (wake - lab.now).total_seconds() == 10
    lab.advance(10)
    lab.settle()
    assert lab.get("Deployment", "web")["status"]["availableReplicas"] == 1
    assert next_wake(lab.snapshot(), lab.now) is None


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (4, "25%", "25%", (1, 1)),
        (1, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (3, 0, 0, (0, 1)),
        (3, 0, "10%", (0, 1)),
        (3, 2, 1, (2, 1)),
    ],
)
def test_surge_rounds_up_and_unavailable_down(
    replicas: int, surge: Any, unavailable: Any, expected: tuple[int, int]
) -> None:
    rolling = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    assert surge_and_unavailable({"spec": {"replicas": replicas, "strategy": rolling}}) == expected


@given(
    replicas=st.integers(1, 8),
    surge=st.one_of(st.integers(0, 4), st.sampled_from(["0%", "25%", "50%", "100%"])),
    unavailable=st.one_of(st.integers(0, 4), st.sampled_from(["0%", "25%", "50%", "100%"])),
    data=st.data(),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_rollout_never_exceeds_its_bounds(
    replicas: int, surge: Any, unavailable: Any, data: st.DataObject
) -> None:
    lab = Lab()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    lab.run(workload("Deployment", "web", replicas=replicas, strategy=strategy))
    most, least = _bounds(lab.get("Deployment", "web"))
    for image in ("nginx:2", "nginx:3"):
        obj = copy_json(lab.get("Deployment", "web"))
        set_image(image)(obj)
        lab.store.replace(obj)
        for _ in range(data.draw(st.integers(1, 6)) if image == "nginx:2" else 400):
            busy = lab.round()
            _check(lab, most, least)
            busy |= _kubelet_at_random(lab, data) if image == "nginx:2" else lab.kubelet()
            _check(lab, most, least)
            if not busy:
                break
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods(app="web")} == {"nginx:3"}
    assert len(lab.pods(app="web")) == replicas


def _bounds(deployment: JsonObject) -> tuple[int, int]:
    surge, unavailable = surge_and_unavailable(deployment)
    return deployment["spec"]["replicas"] + surge, deployment["spec"]["replicas"] - unavailable


def _check(lab: Lab, most: int, least: int) -> None:
    active = [p for p in lab.pods(app="web") if is_active(p)]
    assert len(active) <= most
    assert sum(is_ready(p) for p in active) >= least


def _kubelet_at_random(lab: Lab, data: st.DataObject) -> bool:
    for p in lab.pods(app="web"):
        if p["metadata"].get("deletionTimestamp"):
            if data.draw(st.booleans()):
                lab.store.delete(next(_keys(lab, p["metadata"]["name"])), grace_seconds=0)
        elif p["status"].get("podIP") and not is_ready(p) and data.draw(st.booleans()):
            lab.set_ready(p)
    return True


def test_deleting_a_deployment_takes_everything_with_it() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=3))
    lab.delete("Deployment", "web")
    lab.obey()
    assert not lab.store.list("ReplicaSet")
    assert not lab.pods(app="web")


def progressing(lab: Lab) -> tuple[str, str]:
    found = condition(lab.get("Deployment", "web"), "Progressing")
    assert found is not None
    return found["status"], found["reason"]


def test_a_rollout_that_does_not_move_is_called_stuck_at_its_deadline() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=2, progressDeadlineSeconds=10))
    assert progressing(lab) == ("True", "NewReplicaSetAvailable")
    assert next_wake(lab.snapshot(), lab.now) is None
    lab.change("Deployment", "web", set_image("broken"))
    assert progressing(lab) == ("True", "ReplicaSetUpdated")
    wake = next_wake(lab.snapshot(), lab.now)
    assert wake is not None
    assert (wake - lab.now).total_seconds() == 10
    lab.advance(9)
    lab.settle()
    assert progressing(lab) == ("True", "ReplicaSetUpdated")
    lab.advance(1)
    lab.settle()
    assert progressing(lab) == ("False", "ProgressDeadlineExceeded")
    lab.obey()
    assert progressing(lab) == ("True", "NewReplicaSetAvailable"), "it went on trying"


def test_every_pod_that_comes_up_gives_a_rollout_its_whole_time_again() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=3, progressDeadlineSeconds=10))
    lab.change("Deployment", "web", set_image("slow"))
    for _ in range(3):
        lab.advance(9)
        new = next(p for p in lab.pods(app="web") if condition(p, "Ready") is None)
        lab.set_ready(new)
        lab.settle()
        for old in [p for p in lab.pods(app="web") if p["metadata"].get("deletionTimestamp")]:
            lab.delete("Pod", old["metadata"]["name"], grace=0)
        assert progressing(lab)[0] == "True"
    assert progressing(lab) == ("True", "NewReplicaSetAvailable")


def test_a_paused_rollout_is_never_stuck() -> None:
    lab = Lab()
    lab.run(workload("Deployment", "web", replicas=2, progressDeadlineSeconds=10))
    lab.change("Deployment", "web", set_image("broken"))
    lab.change("Deployment", "web", lambda obj: obj["spec"].update(paused=True))
    lab.advance(100)
    lab.settle()
    assert progressing(lab) == ("Unknown", "DeploymentPaused")

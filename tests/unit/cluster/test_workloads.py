from __future__ import annotations

from emulator.api.objects import JsonObject
from emulator.cluster.manager import next_wake
from emulator.cluster.pods import is_active

from .lab import Lab, pod_spec, set_image, workload

# -- StatefulSets


def test_a_stateful_set_starts_in_order_and_keeps_names() -> None:
    lab = Lab()
    lab.apply(workload("StatefulSet", "db", replicas=3, serviceName="db"))
    assert lab.names(app="db") == ["db-0"]
    lab.kubelet()
    lab.settle()
    assert lab.names(app="db") == ["db-0", "db-1"]
    lab.obey()
    assert lab.names(app="db") == ["db-0", "db-1", "db-2"]
    spec = lab.get("Pod", "db-1")["spec"]
    assert (spec["hostname"], spec["subdomain"]) == ("db-1", "db")
    labels = lab.get("Pod", "db-1")["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "db-1"
    assert labels["apps.kubernetes.io/pod-index"] == "1"
    lab.delete("Pod", "db-1")
    lab.obey()
    assert lab.names(app="db") == ["db-0", "db-1", "db-2"]
    status = lab.get("StatefulSet", "db")["status"]
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (3, 3, 3)


def test_parallel_stateful_sets_do_not_wait() -> None:
    lab = Lab()
    lab.apply(workload("StatefulSet", "db", replicas=3, serviceName="db", podManagementPolicy="Parallel"))
    assert lab.names(app="db") == ["db-0", "db-1", "db-2"]


def test_a_stateful_set_shrinks_from_the_top_one_by_one() -> None:
    lab = Lab()
    lab.run(workload("StatefulSet", "db", replicas=3, serviceName="db"))
    lab.scale("StatefulSet", "db", 1)
    going = [p["metadata"]["name"] for p in lab.pods(app="db") if not is_active(p)]
    assert going == ["db-2"]
    lab.obey()
    assert lab.names(app="db") == ["db-0"]


def test_a_stateful_set_updates_from_the_top_down_to_its_partition() -> None:
    lab = Lab()
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    lab.run(workload("StatefulSet", "db", replicas=3, serviceName="db", updateStrategy=strategy))
    lab.change("StatefulSet", "db", set_image("nginx:2"))
    assert [p["metadata"]["name"] for p in lab.pods(app="db") if not is_active(p)] == ["db-2"]
    lab.obey()
    images = {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in lab.pods(app="db")}
    assert images == {"db-0": "nginx", "db-1": "nginx:2", "db-2": "nginx:2"}


# -- DaemonSets


def test_a_daemon_set_runs_once_on_every_node_that_it_tolerates() -> None:
    lab = Lab()
    lab.change("Node", "worker-3", _taint, namespace="")
    lab.run(workload("DaemonSet", "log"))
    assert sorted(lab.nodes_of(app="log")) == ["worker-1", "worker-2"]
    status = lab.get("DaemonSet", "log")["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"], status["numberMisscheduled"]) == (
        2,
        2,
        0,
    )
    lab.change("Node", "worker-3", lambda obj: obj["spec"].pop("taints"), namespace="")
    lab.obey()
    assert sorted(lab.nodes_of(app="log")) == ["worker-1", "worker-2", "worker-3"]


def _taint(node: JsonObject) -> None:
    node["spec"]["taints"] = [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]


def test_a_node_object_without_a_node_gets_nothing() -> None:
    lab = Lab()
    lab.run({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost"}}, workload("DaemonSet", "log"))
    assert sorted(lab.nodes_of(app="log")) == ["worker-1", "worker-2", "worker-3"]


def test_a_daemon_set_follows_its_node_selector() -> None:
    lab = Lab()
    lab.run(workload("DaemonSet", "log", pod_spec(nodeSelector={"topology.kubernetes.io/zone": "b"})))
    assert lab.nodes_of(app="log") == ["worker-2"]


def test_a_daemon_set_updates_one_node_at_a_time() -> None:
    lab = Lab()
    lab.run(workload("DaemonSet", "log"))
    lab.change("DaemonSet", "log", set_image("nginx:2"))
    assert len([p for p in lab.pods(app="log") if not is_active(p)]) == 1
    lab.obey()
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods(app="log")} == {"nginx:2"}
    assert lab.get("DaemonSet", "log")["status"]["updatedNumberScheduled"] == 3


# -- Jobs


def test_a_job_runs_until_enough_pods_have_succeeded() -> None:
    lab = Lab()
    lab.apply(workload("Job", "sum", pod_spec(restartPolicy="Never"), completions=3, parallelism=2))
    assert len(lab.pods(app="sum")) == 2
    for _ in range(3):
        running = next(p for p in lab.pods(app="sum") if is_active(p))
        lab.finish(running, "Succeeded")
    status = lab.get("Job", "sum")["status"]
    assert (status["succeeded"], status["active"]) == (3, 0)
    assert {c["type"] for c in status["conditions"]} == {"Complete"}
    assert len(lab.pods(app="sum")) == 3, "finished pods stay for their logs"


def test_a_job_gives_up_after_its_back_off_limit() -> None:
    lab = Lab()
    lab.apply(workload("Job", "sum", pod_spec(restartPolicy="Never"), backoffLimit=2))
    for _ in range(3):
        lab.finish(next(p for p in lab.pods(app="sum") if is_active(p)), "Failed")
    status = lab.get("Job", "sum")["status"]
    assert status["failed"] == 3
    assert [(c["type"], c["reason"]) for c in status["conditions"]] == [("Failed", "BackoffLimitExceeded")]
    assert not [p for p in lab.pods(app="sum") if is_active(p)]


def test_an_indexed_job_repeats_the_index_that_failed() -> None:
    lab = Lab()
    lab.apply(
        workload(
            "Job",
            "sum",
            pod_spec(restartPolicy="Never"),
            completions=2,
            parallelism=2,
            completionMode="Indexed",
        )
    )
    index = "batch.kubernetes.io/job-completion-index"
    zero = next(p for p in lab.pods(app="sum") if p["metadata"]["labels"][index] == "0")
    assert zero["spec"]["hostname"] == "sum-0"
    lab.finish(zero, "Failed")
    for p in [p for p in lab.pods(app="sum") if is_active(p)]:
        lab.finish(p, "Succeeded")
    status = lab.get("Job", "sum")["status"]
    assert (status["completedIndexes"], status["failed"]) == ("0-1", 1)


def test_a_suspended_job_has_no_pods() -> None:
    lab = Lab()
    lab.apply(workload("Job", "sum", pod_spec(restartPolicy="Never"), suspend=True))
    assert not lab.pods(app="sum")
    lab.change("Job", "sum", lambda obj: obj["spec"].update(suspend=False))
    assert len(lab.pods(app="sum")) == 1


def test_deadlines_and_expiry_wake_the_loops() -> None:
    lab = Lab()
    template = pod_spec(restartPolicy="Never")
    lab.run(workload("Job", "sum", template, activeDeadlineSeconds=60, ttlSecondsAfterFinished=5))
    wake = next_wake(lab.snapshot(), lab.now)
    assert wake is not None
    lab.advance(60)
    assert wake == lab.now
    lab.settle()
    assert lab.get("Job", "sum")["status"]["conditions"][0]["reason"] == "DeadlineExceeded"
    lab.advance(5)
    lab.settle()
    assert not lab.store.list("Job")

"""rollout, drain, cordon, get -w: what is printed, what is asked of the cluster, how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emulator.api.objects import JsonObject, Key

from ..fake_cluster import FakeCluster, node, pod
from .conftest import Invoke


def deployment(cluster: FakeCluster) -> JsonObject:
    found: JsonObject = cluster.objects[Key("Deployment", "shop", "web")]
    return found


def patches(cluster: FakeCluster) -> list[Any]:
    return [call[4] for call in cluster.calls if call[0] == "patch"]


def test_rollout_status_ends_in_kubectls_words(invoke: Invoke) -> None:
    result = invoke("rollout", "status", "deploy/web", "-n", "shop")
    assert result.stdout == 'deployment "web" successfully rolled out\n'


def test_rollout_status_that_does_not_get_on(invoke: Invoke, cluster: FakeCluster) -> None:
    deployment(cluster)["status"]["updatedReplicas"] = 1
    result = invoke("rollout", "status", "deploy/web", "-n", "shop")
    assert result.exit_code == 1
    said = 'Waiting for deployment "web" rollout to finish: 1 out of 2 new replicas have been updated...\n'
    assert result.stdout == said
    assert "not rolled out after 60s" in result.stderr


def test_a_rollout_over_its_deadline_is_an_error_at_once(invoke: Invoke, cluster: FakeCluster) -> None:
    deployment(cluster)["status"]["conditions"] = [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    ]
    result = invoke("rollout", "status", "deploy/web", "-n", "shop")
    assert result.exit_code == 1
    assert result.stderr == 'error: deployment "web" exceeded its progress deadline\n'


def with_history(cluster: FakeCluster) -> None:
    own = deployment(cluster)
    own["metadata"]["uid"] = "d"
    own["spec"]["template"] = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"image": "c"}]},
    }
    for number, image, cause in ((1, "a", "first"), (2, "b", ""), (3, "c", "")):
        annotations = {"deployment.kubernetes.io/revision": str(number)}
        if cause:
            annotations["kubernetes.io/change-cause"] = cause
        labels = {"app": "web", "pod-template-hash": image}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": image}]}}
        metadata = {"name": f"web-{image}", "namespace": "shop", "annotations": annotations}
        cluster.add(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {**metadata, "ownerReferences": [{"kind": "Deployment", "uid": "d"}]},
                "spec": {"template": template},
            }
        )


def test_rollout_history(invoke: Invoke, cluster: FakeCluster) -> None:
    with_history(cluster)
    lines = invoke("rollout", "history", "deploy/web", "-n", "shop").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["deployment.apps/web"],
        ["REVISION", "CHANGE-CAUSE"],
        ["1", "first"],
        ["2", "<none>"],
        ["3", "<none>"],
    ]
    one = invoke("rollout", "history", "deploy/web", "-n", "shop", "--revision", "2").stdout
    assert "with revision #2" in one
    assert "image: b" in one
    assert "pod-template-hash" not in one


@pytest.mark.parametrize(("words", "image"), [((), "b"), (("--to-revision", "1"), "a")])
def test_rollout_undo(words: tuple[str, ...], image: str, invoke: Invoke, cluster: FakeCluster) -> None:
    with_history(cluster)
    result = invoke("rollout", "undo", "deploy/web", "-n", "shop", *words)
    assert result.stdout == "deployment.apps/web rolled back\n"
    (patch,) = patches(cluster)
    assert patch["spec"] == {"template": {"spec": {"containers": [{"image": image}]}}}


def test_rollout_undo_to_what_is_there_or_what_is_not(invoke: Invoke, cluster: FakeCluster) -> None:
    with_history(cluster)
    same = invoke("rollout", "undo", "deploy/web", "-n", "shop", "--to-revision", "3")
    assert "skipped rollback (current template already matches revision 3)" in same.stdout
    missing = invoke("rollout", "undo", "deploy/web", "-n", "shop", "--to-revision", "9")
    assert (missing.exit_code, missing.stderr) == (
        2,
        "error: unable to find specified revision 9 in history\n",
    )
    assert patches(cluster) == []


def test_rollout_pause_and_resume(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("rollout", "pause", "deploy/web", "-n", "shop").stdout == "deployment.apps/web paused\n"
    assert invoke("rollout", "resume", "deploy/web", "-n", "shop").stdout == "deployment.apps/web resumed\n"
    assert patches(cluster) == [{"spec": {"paused": True}}, {"spec": {"paused": None}}]


def test_rollout_of_what_has_none(invoke: Invoke) -> None:
    assert invoke("rollout", "status", "svc/web", "-n", "shop").exit_code == 2
    result = invoke("rollout", "undo", "ds/web", "-n", "shop")
    assert result.exit_code == 2
    assert "keep no revisions here" in result.stderr


# -- nodes


def test_cordon_and_uncordon(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("cordon", "worker-1").stdout == "node/worker-1 cordoned\n"
    cluster.objects[Key("Node", "", "worker-1")]["spec"]["unschedulable"] = True
    assert invoke("cordon", "node/worker-1").stdout == "node/worker-1 already cordoned\n"
    assert invoke("uncordon", "worker-1").stdout == "node/worker-1 uncordoned\n"
    assert patches(cluster) == [{"spec": {"unschedulable": True}}, {"spec": {"unschedulable": None}}]
    assert invoke("cordon", "worker-9").exit_code == 2
    assert invoke("cordon", "pod/worker-1").exit_code == 2


def test_drain_moves_what_comes_back_elsewhere(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.objects.pop(Key("Pod", "default", "db-0"))
    owner = {"kind": "ReplicaSet", "name": "web-5d", "controller": True}
    cluster.add(pod("web-1", owner=owner), pod("web-2", owner=owner))
    cluster.add(node("worker-2"), pod("web-3", node="worker-2"))
    result = invoke("drain", "worker-1", "--grace-period", "3")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "node/worker-1 cordoned",
        "evicting pod shop/web-1",
        "evicting pod shop/web-2",
        "pod/web-1 evicted",
        "pod/web-2 evicted",
        "node/worker-1 drained",
    ]
    assert ("delete", 3) in cluster.calls
    assert Key("Pod", "shop", "web-3") in cluster.objects


def test_drain_refuses_what_would_be_lost(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.add(
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": "shop"}},
        pod("agent-x", owner={"kind": "DaemonSet", "name": "agent", "controller": True}),
    )
    result = invoke("drain", "worker-1")
    assert result.exit_code == 1
    assert result.stdout == "node/worker-1 cordoned\n"
    refused = "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): shop/agent-x"
    assert refused in result.stderr
    alone = "cannot delete Pods that declare no controller (use --force to override): "
    assert alone in result.stderr
    assert Key("Pod", "default", "db-0") in cluster.objects
    result = invoke("drain", "worker-1", "--ignore-daemonsets", "--force")
    assert result.exit_code == 0
    assert "warning: deleting Pods that declare no controller:" in result.stderr
    assert "ignoring DaemonSet-managed Pods: shop/agent-x" in result.stderr
    assert Key("Pod", "default", "db-0") not in cluster.objects
    assert Key("Pod", "shop", "agent-x") in cluster.objects


@pytest.mark.parametrize(
    ("words", "grace"),
    [((), None), (("--force",), 0), (("--now",), 1), (("--grace-period", "7"), 7)],
)
def test_delete_with_grace(
    words: tuple[str, ...], grace: int | None, invoke: Invoke, cluster: FakeCluster
) -> None:
    assert invoke("delete", "pod", "web-1", "-n", "shop", *words).exit_code == 0
    assert ("delete", grace) in cluster.calls


# -- get -w


def test_get_w_prints_a_row_for_every_change(invoke: Invoke, cluster: FakeCluster) -> None:
    gone = pod("web-with-a-long-name")
    gone["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    cluster.events = [{"type": "DELETED", "object": gone}]
    lines = invoke("get", "pods", "-n", "shop", "-w").stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["NAME", "READY", "STATUS"],
        ["web-1", "1/1", "Running"],
        ["web-2", "1/1", "Running"],
        ["web-with-a-long-name", "1/1", "Terminating"],
    ]
    lines = invoke("get", "pods", "-A", "-w", "--output-watch-events").stdout.splitlines()
    assert lines[0].split()[:3] == ["EVENT", "NAMESPACE", "NAME"]
    assert lines[-1].split()[:3] == ["DELETED", "shop", "web-with-a-long-name"]


def test_get_w_as_json_is_one_document_an_event(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.events = [{"type": "MODIFIED", "object": pod("web-1")}]
    text = invoke("get", "pod", "web-1", "-n", "shop", "-w", "-o", "json").stdout
    found, end = [], 0
    while text[end:].strip():
        start = end + len(text[end:]) - len(text[end:].lstrip())
        obj, end = json.JSONDecoder().raw_decode(text, start)
        found.append(obj["metadata"]["name"])
    assert found == ["web-1", "web-1"]


def test_get_w_of_what_is_not_there_or_is_too_much(invoke: Invoke) -> None:
    assert invoke("get", "pod", "nobody", "-n", "shop", "-w").exit_code == 2
    assert invoke("get", "pods,svc", "-w").exit_code == 2
    assert invoke("get", "pods", "--output-watch-events").exit_code == 2

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.api.objects import Key

from ..fake_cluster import FakeCluster, Readiness, pod
from .conftest import Invoke


def test_get_pods(invoke: Invoke) -> None:
    lines = invoke("get", "pods", "-n", "shop").stdout.splitlines()
    assert lines[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert lines[1].split()[:4] == ["web-1", "1/1", "Running", "0"]
    assert len(lines) == 3


def test_get_wide_and_all_namespaces(invoke: Invoke) -> None:
    lines = invoke("get", "po", "-A", "-o", "wide").stdout.splitlines()
    assert lines[0].split() == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["default", "db-0"],
        ["shop", "web-1"],
        ["shop", "web-2"],
    ]
    assert lines[1].split()[-2:] == ["10.244.1.3", "worker-1"]


def test_get_several_kinds_prefixes_names(invoke: Invoke) -> None:
    text = invoke("get", "svc,deploy", "-n", "shop").stdout
    assert "service/web   NodePort" in text
    assert "80:30080/TCP" in text
    assert "deployment.apps/web   2/2" in text


def test_get_all_covers_workloads(invoke: Invoke) -> None:
    text = invoke("get", "all", "-n", "shop").stdout
    assert "pod/web-1" in text
    assert "service/web" in text
    assert "deployment.apps/web" in text


def test_get_json_one_and_many(invoke: Invoke) -> None:
    one = json.loads(invoke("get", "pod", "web-1", "-n", "shop", "-o", "json").stdout)
    assert (one["kind"], one["metadata"]["name"]) == ("Pod", "web-1")
    many = json.loads(invoke("get", "pods", "-n", "shop", "-o", "json").stdout)
    assert (many["kind"], len(many["items"])) == ("List", 2)


def test_get_yaml_and_name(invoke: Invoke) -> None:
    assert "nodeName: worker-1" in invoke("get", "pod/web-1", "-n", "shop", "-o", "yaml").stdout
    assert invoke("get", "deploy", "-n", "shop", "-o", "name").stdout == "deployment.apps/web\n"


def test_get_nothing_says_so_on_stderr(invoke: Invoke) -> None:
    result = invoke("get", "ingresses")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No resources found in default namespace." in result.stderr


def test_get_missing_object(invoke: Invoke) -> None:
    result = invoke("get", "pod", "nope")
    assert result.exit_code == 2
    assert 'pods "nope" not found' in result.stderr


def test_get_unknown_kind_hints(invoke: Invoke) -> None:
    result = invoke("get", "podds")
    assert result.exit_code == 2
    assert "did you mean 'pods'" in result.stderr


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Pending"}, "Pending"),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}
                ],
            },
            "CrashLoopBackOff",
        ),
        (
            {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]},
            "ExitCode:3",
        ),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Pending", "initContainerStatuses": [{"state": {"running": {}}}]}, "Init:0/1"),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            },
            "Init:CrashLoopBackOff",
        ),
        (
            {
                "phase": "Succeeded",
                "conditions": [{"type": "Initialized", "status": "True"}],
                "initContainerStatuses": [{"state": {"terminated": {"exitCode": 143, "reason": "Error"}}}],
                "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
            },
            "Completed",
        ),
    ],
)
def test_pod_status_reads_as_kubectls(
    status: dict[str, Any], expected: str, invoke: Invoke, cluster: FakeCluster
) -> None:
    odd = pod("odd")
    odd["status"] = status
    odd["spec"]["initContainers"] = [{"name": "init"}]
    cluster.add(odd)
    assert invoke("get", "pod", "odd", "-n", "shop").stdout.splitlines()[1].split()[2] == expected


def test_terminating_pod(invoke: Invoke, cluster: FakeCluster) -> None:
    gone = pod("gone")
    gone["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    cluster.add(gone)
    assert "Terminating" in invoke("get", "pod", "gone", "-n", "shop").stdout


def test_describe_pod_shows_events(invoke: Invoke, cluster: FakeCluster) -> None:
    event = {
        "kind": "Event",
        "metadata": {"name": "e1", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": "web-1"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting failed container",
        "lastTimestamp": "2026-11-23T00:00:00Z",
    }
    cluster.add(event)
    text = invoke("describe", "pod", "web-1", "-n", "shop").stdout
    assert "worker-1/" in text
    assert "BackOff" in text


@pytest.mark.parametrize("words", [("svc", "web"), ("deploy/web",), ("node", "worker-1"), ("service/web",)])
def test_describe_other_kinds(words: tuple[str, ...], invoke: Invoke) -> None:
    result = invoke("describe", *words, "-n", "shop")
    assert result.exit_code == 0
    assert result.stdout.startswith("Name:")
    assert "Events:  <none>" in result.stdout


def test_describe_service_tells_of_its_load_balancer(invoke: Invoke, cluster: FakeCluster) -> None:
    spec = {"type": "LoadBalancer", "healthCheckNodePort": 30999, "loadBalancerSourceRanges": ["10.0.0.0/8"]}
    made = {"kind": "Service", "metadata": {"name": "lb", "namespace": "shop"}, "spec": spec, "status": {}}
    cluster.add(made)
    assert "LoadBalancer Ingress:" in invoke("describe", "svc", "lb", "-n", "shop").stdout
    assert "<pending>" in invoke("describe", "svc", "lb", "-n", "shop").stdout
    made["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.65", "ipMode": "Proxy"}]}}
    check = {
        "healthy": False,
        "message": "HTTP probe failed with statuscode: 503",
        "check": "http://x:1/healthz",
    }
    targets = {"shop/lb": {"worker-1": check}}
    topology = {
        "kind": "Topology",
        "metadata": {"name": "t"},
        "status": {"loadBalancer": {"targets": targets}},
    }
    cluster.add(topology)
    text = invoke("describe", "svc", "lb", "-n", "shop").stdout
    assert "203.0.113.65 (Proxy)" in text
    assert "30999" in text
    assert "10.0.0.0/8" in text
    (line,) = [line.split() for line in text.splitlines() if "worker-1" in line]
    assert line[:3] == ["worker-1", "false", "http://x:1/healthz"]
    assert "503" in line[-1]


def test_scale_label_rollout(invoke: Invoke, cluster: FakeCluster) -> None:
    assert (
        invoke("scale", "deploy/web", "--replicas", "5", "-n", "shop").stdout
        == "deployment.apps/web scaled\n"
    )
    assert (
        invoke("label", "pod", "web-1", "tier=front", "debug-", "-n", "shop").stdout == "pod/web-1 labeled\n"
    )
    assert (
        invoke("rollout", "restart", "deploy/web", "-n", "shop").stdout == "deployment.apps/web restarted\n"
    )
    assert invoke("rollout", "status", "deploy", "web", "-n", "shop").exit_code == 0
    patches = [call[4] for call in cluster.calls if call[0] == "patch"]
    assert patches[0] == {"spec": {"replicas": 5}}
    assert patches[1] == {"metadata": {"labels": {"tier": "front", "debug": None}}}
    assert "kubectl.kubernetes.io/restartedAt" in patches[2]["spec"]["template"]["metadata"]["annotations"]


def test_rollout_that_does_not_finish(invoke: Invoke, cluster: FakeCluster) -> None:
    deployment = next(obj for key, obj in cluster.objects.items() if key.kind == "Deployment")
    deployment["status"]["updatedReplicas"] = 1
    assert invoke("rollout", "status", "deploy/web", "-n", "shop").exit_code == 1


def test_delete_by_name(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("delete", "pod", "web-1", "-n", "shop").stdout == "pod/web-1 deleted\n"
    assert invoke("delete", "pod/web-1", "-n", "shop").stdout == "pod/web-1 absent\n"
    assert invoke("delete").exit_code == 2


def test_delete_by_label(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.objects[Key("Pod", "shop", "web-2")]["metadata"]["labels"] = {"tier": "front"}
    assert invoke("delete", "pods", "-l", "tier=front", "-n", "shop").stdout == "pod/web-2 deleted\n"
    assert "No resources found" in invoke("delete", "pods", "-l", "tier=front", "-n", "shop").stderr
    assert invoke("delete", "pods", "--all", "-n", "shop").stdout == "pod/web-1 deleted\n"
    for words in (["pods", "web-1", "--all"], ["-l", "tier=front"], ["pods", "--all", "-l", "tier=front"]):
        assert invoke("delete", *words).exit_code == 2


def test_not_ready_names_what_is_missing(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.readiness = Readiness(ready=False, missing=("pod shop/web-1: ContainerCreating",))
    result = invoke("scale", "deploy/web", "--replicas", "5", "-n", "shop", "--timeout", "3s")
    assert result.exit_code == 1
    assert "not ready after 3s" in result.stderr
    assert "pod shop/web-1: ContainerCreating" in result.stderr


def test_not_ready_names_the_first_of_many(invoke: Invoke, cluster: FakeCluster) -> None:
    missing = tuple(f"pod shop/web-{number}: ContainerCreating" for number in range(1000))
    cluster.readiness = Readiness(ready=False, missing=missing)
    result = invoke("scale", "deploy/web", "--replicas", "3", "-n", "shop", "--timeout", "3")
    assert result.exit_code == 1
    assert "web-0:" in result.stderr
    assert "and 980 more" in result.stderr
    assert len(result.stderr.splitlines()) < 25


def test_up_prints_one_line(invoke: Invoke, cluster: FakeCluster) -> None:
    result = invoke("up", "three-node", "--nodes", "5", "--timeout", "10")
    assert result.stdout.startswith("1 node, 3 pods, 1 service ready in ")
    assert (
        "up",
        "three-node",
        {
            "timeout": 10.0,
            "nodes": 5,
            "families": None,
            "offload": False,
            "datapath": "netdev",
            "name": "default",
        },
    ) in cluster.calls


def test_up_tells_what_is_said_of_its_objects(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.warnings = ("Service web: it is so",)
    assert "warning: Service web: it is so\n" in invoke("up").stderr


def test_down(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("down").stdout == "default stopped\n"
    assert cluster.is_down


def test_exec_passes_everything_on(invoke: Invoke, cluster: FakeCluster) -> None:
    result = invoke("exec", "-it", "-n", "shop", "web-1", "-c", "main", "--", "sh", "-c", "exit 7 -v")
    assert result.exit_code == 0, result.stderr
    assert cluster.calls[-1] == ("attach", "shop/web-1", ("sh", "-c", "exit 7 -v"), "main", True)


def test_exec_in_a_workload_takes_a_ready_pod(invoke: Invoke, cluster: FakeCluster) -> None:
    invoke("exec", "deploy/shop/web", "--", "true")
    assert cluster.calls[-1][1] == "shop/web-1"


@pytest.mark.parametrize("words", [["deployment/web", "-n", "shop"], ["po/web-1", "-n", "shop"]])
def test_kubernetes_words_for_kinds_do_too(words: list[str], invoke: Invoke, cluster: FakeCluster) -> None:
    invoke("exec", *words, "--", "true")
    assert cluster.calls[-1][1] == "shop/web-1"


def test_a_namespace_may_be_called_like_a_kind(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "deployment"}})
    invoke("exec", "deployment/web", "--", "true")
    assert cluster.calls[-1][1] == "deployment/web"


def test_a_job_has_logs(invoke: Invoke, cluster: FakeCluster) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pi", "namespace": "shop"}}
    done = pod("pi-x")
    done["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "pi"}]
    cluster.add(job, done)
    invoke("logs", "job/pi", "-n", "shop")
    assert cluster.calls[-1][1] == "shop/pi-x"


def test_exec_without_a_command(invoke: Invoke) -> None:
    assert invoke("exec", "web-1").exit_code == 2


def test_logs(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.log = "one\ntwo\n"
    assert invoke("logs", "shop/web-1", "-c", "main").stdout == "one\ntwo\n"
    assert cluster.calls[-1] == ("logs", "shop/web-1", "main", False, False)


@pytest.mark.parametrize("command", ["up", "apply"])
def test_a_topology_is_no_manifest(command: str, invoke: Invoke) -> None:
    topology = Path(__file__).parents[3] / "topologies" / "three-node.yaml"
    result = invoke(command, "-f", str(topology))
    assert result.exit_code == 2
    assert f"{topology}:3:7: Topology three-node: a Topology is no manifest" in result.stderr
    assert "mininetes up FILE" in result.stderr


def test_describe_ingress_shows_what_is_behind_each_path(invoke: Invoke, cluster: FakeCluster) -> None:
    cart = {"service": {"name": "cart", "port": {"number": 80}}}
    lost = {"service": {"name": "lost", "port": {"name": "http"}}}
    bucket = {"resource": {"kind": "Bucket", "name": "pictures"}}
    paths = [
        {"path": "/cart", "pathType": "Prefix", "backend": cart},
        {"path": "/lost", "pathType": "Exact", "backend": lost},
        {"path": "/pics", "pathType": "Prefix", "backend": bucket},
    ]
    spec = {
        "ingressClassName": "haproxy",
        "tls": [{"hosts": ["a.example"], "secretName": "cert"}],
        "rules": [{"host": "a.example", "http": {"paths": paths}}],
    }
    error = {"port": 80, "protocol": "TCP", "error": "mininetes.io/ServiceNotFound"}
    status = {"loadBalancer": {"ingress": [{"ip": "203.0.113.65", "ports": [error]}]}}
    named = {"name": "shop", "namespace": "shop"}
    cluster.add({"kind": "Ingress", "metadata": named, "spec": spec, "status": status})
    ports = [{"name": "http", "port": 80}, {"name": "other", "port": 81}]
    cluster.add({"kind": "Service", "metadata": {**named, "name": "cart"}, "spec": {"ports": ports}})
    labels = {"kubernetes.io/service-name": "cart"}
    endpoints = [{"addresses": [f"10.244.1.{n}"], "conditions": {"ready": n != 9}} for n in range(5, 10)]
    slice_ports = [{"name": "http", "port": 8080}, {"name": "other", "port": 8081}]
    metadata = {**named, "name": "cart-1", "labels": labels}
    cluster.add({"kind": "EndpointSlice", "metadata": metadata, "ports": slice_ports, "endpoints": endpoints})
    text = invoke("describe", "ingress", "shop", "-n", "shop").stdout
    assert "Ingress Class:  haproxy" in text
    assert "Errors:         mininetes.io/ServiceNotFound" in text
    assert "cert for a.example" in text
    assert "cart:80 (10.244.1.5:8080,10.244.1.6:8080,10.244.1.7:8080 + 1 more...)" in text
    assert 'lost:http (<error: services "lost" not found>)' in text
    assert "Bucket pictures (not supported here)" in text

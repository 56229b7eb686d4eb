"""What people's fingers know from kubectl."""

from __future__ import annotations

import pytest

from emulator.api.objects import Key

from ..fake_cluster import FakeCluster
from .conftest import Invoke


def test_describe_service_tells_every_field(invoke: Invoke, cluster: FakeCluster) -> None:
    spec = {
        "externalIPs": ["80.11.12.10"],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 30}},
        "trafficDistribution": "PreferSameZone",
        "publishNotReadyAddresses": True,
        "ports": [{"name": "web", "port": 80, "targetPort": "http", "nodePort": 30080, "appProtocol": "h2c"}],
    }
    annotations = {"mininetes.io/service-port-ids": "{}"}
    metadata = {"name": "full", "namespace": "shop", "annotations": annotations}
    cluster.add({"kind": "Service", "metadata": metadata, "spec": spec})
    text = invoke("describe", "svc", "full", "-n", "shop").stdout
    lines = {line.split(":")[0]: line.split(":", 1)[1].split() for line in text.splitlines() if ":" in line}
    assert lines["External IPs"] == ["80.11.12.10"]
    assert lines["Session Affinity"][:3] == ["ClientIP", "(for", "30"]
    assert lines["Traffic Distribution"] == ["PreferSameZone"]
    assert lines["Publish Not Ready Addresses"] == ["true"]
    assert lines["Port"] == ["web", "80/TCP"]
    assert lines["TargetPort"] == ["http/TCP"]
    assert lines["NodePort"] == ["web", "30080/TCP"]
    assert lines["App Protocol"] == ["h2c"]
    assert lines["Annotations"] == ["<none>"]


def test_describe_an_external_name(invoke: Invoke, cluster: FakeCluster) -> None:
    spec = {"type": "ExternalName", "externalName": "example.com"}
    cluster.add({"kind": "Service", "metadata": {"name": "out", "namespace": "shop"}, "spec": spec})
    assert "example.com" in invoke("describe", "svc", "out", "-n", "shop").stdout


def test_describe_by_label_and_nothing(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.objects[Key("Pod", "shop", "web-2")]["metadata"]["labels"] = {"tier": "front"}
    text = invoke("describe", "pods", "-l", "tier=front", "-n", "shop").stdout
    assert [line.split()[1] for line in text.splitlines() if line.startswith("Name:")] == ["web-2"]
    nothing = invoke("describe", "ingress")
    assert (nothing.stdout, nothing.stderr.strip()) == ("", "No resources found in default namespace.")


@pytest.mark.parametrize(
    ("how", "text", "media_type"),
    [
        ("strategic", '{"spec":{"type":"ClusterIP"}}', "application/strategic-merge-patch+json"),
        ("merge", "spec: {type: ClusterIP}", "application/merge-patch+json"),
        ("json", '[{"op":"remove","path":"/spec/type"}]', "application/json-patch+json"),
    ],
)
def test_patch(how: str, text: str, media_type: str, invoke: Invoke, cluster: FakeCluster) -> None:
    result = invoke("patch", "svc", "web", "-n", "shop", "-p", text, "--type", how)
    assert result.stdout.startswith("service/web patched")
    (call,) = [call for call in cluster.calls if call[0] == "patch"]
    assert call[5] == media_type
    assert call[4] in ({"spec": {"type": "ClusterIP"}}, [{"op": "remove", "path": "/spec/type"}])


def test_a_patch_that_does_nothing_says_so(invoke: Invoke) -> None:
    change = '{"metadata": {"labels": null}, "spec": {"type": "NodePort", "bogus": 1, "$patch": "merge"}}'
    result = invoke("patch", "svc", "web", "-n", "shop", "-p", change)
    assert result.stdout == "service/web patched (no change)\n"
    assert [line.split()[1] for line in result.stderr.splitlines() if "warning" in line] == ["spec.bogus"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "either -p PATCH or --patch-file FILE"),
        (("-p", "{spec"), "neither JSON nor YAML"),
        (("-p", "[]"), "--type json takes a list"),
        (("-p", "{}", "--type", "json"), "a json patch is a list of operations"),
        (("-p", "{}", "--patch-file", "nothing.yaml"), "nothing.yaml"),
    ],
)
def test_patches_that_cannot_be(options: tuple[str, ...], why: str, invoke: Invoke) -> None:
    result = invoke("patch", "svc/web", "-n", "shop", *options)
    assert result.exit_code == 2
    assert why in result.stderr


def test_logs_by_label(invoke: Invoke, cluster: FakeCluster) -> None:
    for name in ("web-1", "web-2"):
        cluster.objects[Key("Pod", "shop", name)]["metadata"]["labels"] = {"app": "web"}
    cluster.log = "one\n"
    assert invoke("logs", "-l", "app=web", "-n", "shop").stdout == "one\none\n"
    assert [call[1] for call in cluster.calls if call[0] == "logs"] == ["shop/web-1", "shop/web-2"]
    assert "No resources found" in invoke("logs", "-l", "app=nobody", "-n", "shop").stderr
    assert invoke("logs", "-n", "shop").exit_code == 2
    assert invoke("logs", "web-1", "-l", "app=web", "-n", "shop").exit_code == 2
    assert "-f follows one pod" in invoke("logs", "-f", "-l", "app=web", "-n", "shop").stderr


def test_a_service_stands_for_a_pod_of_its_own(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.objects[Key("Pod", "shop", "web-2")]["metadata"]["labels"] = {"app": "web"}
    invoke("exec", "svc/web", "-n", "shop", "--", "hostname")
    assert cluster.calls[-1][1] == "shop/web-2"
    cluster.objects[Key("Service", "shop", "web")]["spec"]["selector"] = None
    assert "svc/shop/web has no pod" in invoke("exec", "svc/web", "-n", "shop", "--", "hostname").stderr


def test_get_by_json_path(invoke: Invoke) -> None:
    one = ("get", "svc", "web", "-n", "shop", "-o")
    assert invoke(*one, "jsonpath={.spec.clusterIP}").stdout == "10.96.0.20\n"
    assert invoke(*one, "jsonpath={.spec.ports[0].nodePort}").stdout == "30080\n"
    many = ("get", "pods", "-n", "shop", "-o")
    assert invoke(*many, "jsonpath={.items[*].metadata.name}").stdout == "web-1 web-2\n"
    columns = invoke(*many, "custom-columns=NAME:.metadata.name,NODE:.spec.nodeName").stdout
    assert [line.split() for line in columns.splitlines()] == [
        ["NAME", "NODE"],
        ["web-1", "worker-1"],
        ["web-2", "worker-1"],
    ]


def test_get_without_headers(invoke: Invoke) -> None:
    lines = invoke("get", "pods", "-n", "shop", "--no-headers").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["web-1", "web-2"]


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("jsonpath", "jsonpath={.status.podIP}"),
        ("jsonpath={.a", "no closing brace"),
        ("custom-columns=NAME", "NAME:.metadata.name"),
        ("jsnopath={.a}", "is not one of"),
    ],
)
def test_formats_that_cannot_be(output: str, why: str, invoke: Invoke) -> None:
    result = invoke("get", "pods", "-n", "shop", "-o", output)
    assert result.exit_code == 2
    assert why in result.stderr

"""The defaults, kind by kind, against what `kubectl get -o yaml` shows of bare manifests."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.defaults import with_defaults
from emulator.api.objects import JsonObject


def filled(kind: str, spec: JsonObject, **rest: Any) -> JsonObject:
    return with_defaults({"kind": kind, "metadata": {"name": "a"}, "spec": spec, **rest})


def container(**fields: Any) -> JsonObject:
    pod = filled("Pod", {"containers": [{"name": "a", "image": "nginx", **fields}]})
    found: JsonObject = pod["spec"]["containers"][0]
    return found


def test_pod() -> None:
    spec = filled("Pod", {"containers": [{"name": "a", "image": "nginx"}], "serviceAccountName": "robot"})[
        "spec"
    ]
    assert spec == {
        "containers": [
            {
                "name": "a",
                "image": "nginx",
                "imagePullPolicy": "Always",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": "robot",
        "serviceAccountName": "robot",
        "terminationGracePeriodSeconds": 30,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert container(image=image)["imagePullPolicy"] == policy


def test_containers() -> None:
    assert container(ports=[{"containerPort": 80}])["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container(readinessProbe={"httpGet": {"port": 80}})["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    env = container(env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}])["env"]
    assert env[0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}
    assert container(resources=limits)["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}


def test_host_network_ports_are_host_ports() -> None:
    ports = [{"containerPort": 80}]
    pod = filled("Pod", {"hostNetwork": True, "containers": [{"name": "a", "image": "b", "ports": ports}]})
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_volumes() -> None:
    volumes = [
        {"name": "a"},
        {"name": "b", "configMap": {"name": "c"}},
        {"name": "d", "secret": {"secretName": "e"}},
    ]
    found = filled("Pod", {"containers": [], "volumes": volumes})["spec"]["volumes"]
    assert found[0] == {"name": "a", "emptyDir": {}}
    assert found[1]["configMap"]["defaultMode"] == found[2]["secret"]["defaultMode"] == 420


def test_workloads() -> None:
    deployment = filled("Deployment", {"selector": {}, "template": {}})["spec"]
    assert {f: deployment[f] for f in ("replicas", "revisionHistoryLimit", "progressDeadlineSeconds")} == {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    assert deployment["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert deployment["template"]["spec"]["restartPolicy"] == "Always"
    assert filled("Deployment", {"replicas": 0, "strategy": {"type": "Recreate"}})["spec"]["replicas"] == 0
    stateful = filled("StatefulSet", {})["spec"]
    assert (stateful["podManagementPolicy"], stateful["updateStrategy"]["rollingUpdate"]) == (
        "OrderedReady",
        {"partition": 0},
    )
    assert filled("DaemonSet", {})["spec"]["updateStrategy"]["rollingUpdate"] == {
        "maxUnavailable": 1,
        "maxSurge": 0,
    }


@pytest.mark.parametrize(
    ("given", "completions", "parallelism"),
    [({}, 1, 1), ({"parallelism": 2}, None, 2), ({"completions": 3}, 3, 1)],
)
def test_jobs(given: JsonObject, completions: int | None, parallelism: int) -> None:
    spec = filled("Job", dict(given))["spec"]
    assert (spec.get("completions"), spec["parallelism"], spec["backoffLimit"]) == (
        completions,
        parallelism,
        6,
    )


def test_services() -> None:
    spec = filled("Service", {"ports": [{"port": 80}, {"port": 443, "targetPort": "tls"}]})["spec"]
    assert spec == {
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": 80},
            {"port": 443, "protocol": "TCP", "targetPort": "tls"},
        ],
    }
    node_port = filled("Service", {"type": "NodePort", "ports": []})["spec"]
    assert node_port["externalTrafficPolicy"] == "Cluster"
    balanced = filled("Service", {"type": "LoadBalancer", "sessionAffinity": "ClientIP"})["spec"]
    assert balanced["allocateLoadBalancerNodePorts"] is True
    assert balanced["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    outside = filled("Service", {"type": "ExternalName", "externalName": "a.b"})["spec"]
    assert "internalTrafficPolicy" not in outside


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ["Ingress"]),
        ({"egress": []}, ["Ingress"]),
        ({"egress": [{}]}, ["Ingress", "Egress"]),
        ({"ingress": [{}]}, ["Ingress"]),
        ({"policyTypes": ["Egress"]}, ["Egress"]),
    ],
)
def test_policy_types(spec: JsonObject, types: list[str]) -> None:
    assert filled("NetworkPolicy", dict(spec))["spec"]["policyTypes"] == types


def test_secrets_and_namespaces() -> None:
    secret = with_defaults({"kind": "Secret", "stringData": {"a": "é"}, "data": {"b": "Yg=="}})
    assert secret == {"kind": "Secret", "type": "Opaque", "data": {"a": "w6k=", "b": "Yg=="}}
    namespace = with_defaults({"kind": "Namespace", "metadata": {"name": "shop"}})
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}


def test_the_original_is_left_alone() -> None:
    service: JsonObject = {"kind": "Service", "spec": {"ports": [{"port": 80}]}}
    with_defaults(service)
    assert service == {"kind": "Service", "spec": {"ports": [{"port": 80}]}}

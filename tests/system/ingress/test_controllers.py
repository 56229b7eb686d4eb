"""Which controller serves which Ingress, shown with two of them in one cluster."""

from __future__ import annotations

import json

import pytest

from emulator import Cluster
from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from tests.system.ingress.objects import HTTPS, asked, ingress, rule, server


def nginx() -> list[JsonObject]:
    """A controller as the published manifest of ingress-nginx runs it: another user, few rights, probes."""
    labels = {"app.kubernetes.io/name": "ingress-nginx"}
    probe = {"httpGet": {"path": "/healthz", "port": 10254}, "periodSeconds": 1}
    container = {
        "name": "controller",
        "image": "registry.k8s.io/ingress-nginx/controller:v1.11.2",
        "args": [
            "/nginx-ingress-controller",
            "--controller-class=k8s.io/ingress-nginx",
            "--ingress-class=nginx",
        ],
        "ports": [{"name": "http", "containerPort": 80}, {"name": "https", "containerPort": 443}],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "securityContext": {
            "runAsUser": 101,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    ports = [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 31080}]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ingress-nginx"}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "outer"},
            "spec": {"controller": "k8s.io/ingress-nginx"},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "controller", "namespace": "ingress-nginx"},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "controller", "namespace": "ingress-nginx"},
            "spec": {"type": "NodePort", "selector": labels, "ports": ports},
        },
    ]


def test_a_published_controllers_manifest_serves_its_class_alone(cluster: Cluster) -> None:
    shared = ("Prefix", "/", "one")
    applied = cluster.apply(
        [
            *nginx(),
            ingress("inner", rule("inner.example", shared)),
            ingress("outer", rule("outer.example", shared), ingressClassName="outer"),
        ]
    )
    assert applied.ready.ready, applied.ready.missing
    assert applied.ready.failing == ()

    def status(host: str) -> int:
        report = cluster.probe("ext/client", "node/worker-1", "31080/tcp", http=f"http://{host}/", timeout=10)
        return int(report["http"][0]["status"])

    assert (status("outer.example"), status("inner.example")) == (200, 404)
    assert server(cluster, "http://inner.example/") == "one"
    addresses = [one["ip"] for one in cluster.get("Ingress", "outer")["status"]["loadBalancer"]["ingress"]]
    assert addresses
    cluster.delete(nginx())


def test_who_names_no_class_gets_the_default_one(cluster: Cluster) -> None:
    plain = ingress("plain", rule("plain.example", ("Prefix", "/", "two")))
    del plain["spec"]["ingressClassName"]
    assert cluster.apply([plain]).ready.ready
    assert cluster.get("Ingress", "plain")["spec"]["ingressClassName"] == "haproxy"
    assert server(cluster, "http://plain.example/") == "two"


def test_two_defaults_refuse_who_names_none(cluster: Cluster) -> None:
    second = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": "second",
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
        },
        "spec": {"controller": "mininetes.io/ingress-controller"},
    }
    cluster.apply([second])
    undecided = ingress("undecided", rule("undecided.example", ("Prefix", "/", "two")))
    del undecided["spec"]["ingressClassName"]
    with pytest.raises(ApiError, match="2 default IngressClasses were found, only 1 allowed"):
        cluster.apply([undecided])
    cluster.delete([second])


def test_an_ingress_that_nobody_serves_is_told_and_answers_404(cluster: Cluster) -> None:
    blog = ingress("blog", rule("blog.example", ("Prefix", "/", "one")), ingressClassName="alb")
    applied = cluster.apply([blog])
    assert applied.ready.ready
    said = [one for one in applied.ready.remarks if "default/blog" in one]
    assert ["is not served" in one and '"alb"' in one for one in said] == [True]
    assert asked(cluster, "http://blog.example/")[1]["status"] == 404
    blog["spec"]["ingressClassName"] = "nginx"
    applied = cluster.apply([blog])
    assert not [one for one in applied.ready.remarks if "default/blog" in one]
    assert server(cluster, "http://blog.example/") == "one"
    cluster.delete([blog])
    assert asked(cluster, "http://blog.example/")[1]["status"] == 404


def test_rewriting_and_redirects(cluster: Cluster) -> None:
    """The annotations that published examples carry most."""
    prefix = "nginx.ingress.kubernetes.io"
    rewritten = ingress("rewritten", rule("rewritten.example", ("Prefix", "/testpath", "one")))
    rewritten["metadata"]["annotations"] = {f"{prefix}/rewrite-target": "/"}
    redirected = ingress("redirected", rule("redirected.example", ("Prefix", "/", "two")))
    redirected["metadata"]["annotations"] = {f"{prefix}/force-ssl-redirect": "true"}
    plain = ingress("unaltered", rule("unaltered.example", ("Prefix", "/testpath", "one")))
    applied = cluster.apply([rewritten, redirected, plain])
    assert not [one for one in applied.ready.remarks if "redirected" in one or "rewritten" in one]

    def path(host: str) -> str:
        return str(json.loads(asked(cluster, f"http://{host}/testpath/x?y=1")[1]["body"])["path"])

    assert path("rewritten.example") == "/?y=1"
    assert path("unaltered.example") == "/testpath/x?y=1"
    _, response = asked(cluster, "http://redirected.example/a?b=c")
    assert response["status"] == 308
    assert response["headers"]["location"] == "https://redirected.example/a?b=c"
    assert server(cluster, "https://redirected.example/a", HTTPS) == "two"

"""Objects become rules: hosts, paths, backends, and what several Ingresses say together."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.objects import Key
from tests.unit.cluster.lab import service
from tests.unit.ingress.objects import IngressLab, chosen, ingress, rule, to


def reasons(lab: IngressLab) -> list[str]:
    return [problem.reason for problem in lab.routed().problems]


def servers(lab: IngressLab, backend: str) -> list[str]:
    return [
        server.name for one in lab.routed().routing.backends if one.name == backend for server in one.servers
    ]


@pytest.mark.parametrize(
    ("host", "path", "service"),
    [
        ("foo.com", "/a", "a"),
        ("foo.com", "/a/x", "a"),
        ("foo.com", "/ax", ""),
        ("bar.foo.com", "/a", "b"),
        ("baz.bar.foo.com", "/a", ""),
        ("elsewhere.org", "/", ""),
    ],
)
def test_hosts_then_paths(host: str, path: str, service: str) -> None:
    lab = IngressLab(
        ingress("x", rule("foo.com", ("Prefix", "/a", "a")), rule("*.foo.com", ("Prefix", "/", "b")))
    )
    assert chosen(lab.routed().routing, host, path) == service


def test_a_precise_host_beats_a_wildcard_and_rules_of_all_hosts() -> None:
    lab = IngressLab(
        ingress("x", rule(None, ("Prefix", "/", "a"))),
        ingress("y", rule("*.foo.com", ("Prefix", "/", "a")), rule("Bar.foo.com", ("Prefix", "/", "b"))),
    )
    routing = lab.routed().routing
    assert chosen(routing, "bar.foo.com", "/") == "b"
    assert chosen(routing, "baz.foo.com", "/") == "a"
    assert chosen(routing, "other.org", "/") == "a"


def test_the_oldest_ingress_wins_a_path_and_the_younger_is_told() -> None:
    lab = IngressLab(ingress("z-old", rule("foo.com", ("Prefix", "/", "a"))))
    lab.advance(5)
    young = rule("foo.com", ("Prefix", "/", "b"), ("Prefix", "/own", "b"))
    lab.apply(ingress("a-young", young))
    routed = lab.routed()
    assert chosen(routed.routing, "foo.com", "/") == "a"
    assert chosen(routed.routing, "foo.com", "/own") == "b"
    (problem,) = routed.problems
    assert (problem.ingress, problem.reason) == ("a-young", "PathTaken")
    assert "default/z-old" in problem.message


def test_default_backends() -> None:
    lab = IngressLab(ingress("x", rule("foo.com", ("Exact", "/a", "a")), defaultBackend=to("b")))
    assert chosen(lab.routed().routing, "foo.com", "/a") == "a"
    assert chosen(lab.routed().routing, "foo.com", "/elsewhere") == "b"
    assert chosen(lab.routed().routing, "unknown.org", "/") == "b"
    lab.apply(ingress("catch-all", defaultBackend=to("a")))
    assert chosen(lab.routed().routing, "foo.com", "/elsewhere") == "b"
    assert chosen(lab.routed().routing, "unknown.org", "/") == "a"


def test_a_rule_without_paths_sends_its_host_to_the_default() -> None:
    lab = IngressLab(ingress("x", rule("foo.com"), defaultBackend=to("b")))
    assert chosen(lab.routed().routing, "foo.com", "/any") == "b"


def test_implementation_specific_is_prefix_and_patterns_are_told() -> None:
    lab = IngressLab(
        ingress(
            "x",
            rule(
                "foo.com",
                ("ImplementationSpecific", "/a/", "a"),
                ("ImplementationSpecific", "/b(/|$)(.*)", "b"),
            ),
        )
    )
    assert chosen(lab.routed().routing, "foo.com", "/a") == "a"
    assert reasons(lab) == ["PathNotSupported"]


def test_ports_by_number_and_by_name() -> None:
    ports = [{"name": "web", "port": 8080}, {"name": "admin", "port": 9090, "targetPort": 9000}]
    lab = IngressLab(service("c", ports, selector={"app": "a"}))
    entry: dict[str, Any] = {"pathType": "Prefix", "path": "/", "backend": to("c", "admin")}
    lab.apply(ingress("x", {"http": {"paths": [entry]}}))
    (backend,) = [one for one in lab.routed().routing.backends if one.name == "default_c_9090"]
    assert [(server.name, server.port) for server in backend.servers] == [("default/a", 9000)]


@pytest.mark.parametrize(
    ("backend", "reason", "word"),
    [
        (to("nobody"), "ServiceNotFound", "default/nobody does not exist"),
        (to("a", 81), "ServicePortNotFound", "its ports are 80"),
        (to("a", "http"), "ServicePortNotFound", "has no port http"),
        ({"resource": {"kind": "Bucket", "name": "pics"}}, "ResourceBackendNotSupported", "Bucket pics"),
    ],
)
def test_a_backend_that_cannot_be_is_told_and_answers_503(
    backend: dict[str, Any], reason: str, word: str
) -> None:
    good = {"pathType": "Prefix", "path": "/good", "backend": to("b")}
    bad = {"pathType": "Prefix", "path": "/bad", "backend": backend}
    lab = IngressLab(ingress("x", {"http": {"paths": [bad, good]}}))
    routed = lab.routed()
    (problem,) = routed.problems
    assert (problem.reason, problem.port) == (reason, 80)
    assert word in problem.message
    assert chosen(routed.routing, "any", "/good") == "b"
    name = routed.routing.sites[0].prefix["/bad"]
    (told,) = [one for one in routed.routing.backends if one.name == name]
    assert told.servers == ()
    assert word in told.excuse


def test_external_names_are_not_served() -> None:
    other = {"type": "ExternalName", "externalName": "example.com", "selector": None}
    lab = IngressLab(service("away", **other), ingress("x", rule(None, ("Prefix", "/", "away"))))
    assert reasons(lab) == ["ExternalNameNotSupported"]


def test_only_ready_endpoints_then_those_that_serve_while_they_terminate() -> None:
    lab = IngressLab(ingress("x", rule(None, ("Prefix", "/", "a"))))
    assert servers(lab, "default_a_80") == ["default/a"]
    lab.set_ready(lab.get("Pod", "a"), ready=False)
    lab.settle()
    assert servers(lab, "default_a_80") == []
    lab.set_ready(lab.get("Pod", "a"))
    lab.settle()
    lab.delete("Pod", "a", grace=30)
    (one,) = [s for s in lab.store.list("EndpointSlice") if s["metadata"]["name"].startswith("a-")]
    assert one["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
    assert servers(lab, "default_a_80") == ["default/a"]


def annotated(**annotations: str) -> IngressLab:
    prefix = "nginx.ingress.kubernetes.io/"
    named = {prefix + name.replace("_", "-"): value for name, value in annotations.items()}
    return IngressLab(
        ingress("x", rule(None, ("Prefix", "/", "a")), annotations={**named, "team": "shop"}),
        ingress("y", rule("y.example", ("Prefix", "/", "a"))),
    )


@pytest.mark.parametrize(
    ("annotations", "ignored"),
    [
        ({"rewrite_target": "/$2"}, "rewrite-target"),
        ({"rewrite_target": "/", "use_regex": "true"}, "use-regex"),
        ({"canary": "true", "canary_weight": "10"}, "canary"),
    ],
)
def test_annotations_that_are_not_obeyed_are_told(annotations: dict[str, str], ignored: str) -> None:
    (problem,) = annotated(**annotations).routed().problems
    assert (problem.ingress, problem.reason, problem.port) == ("x", "AnnotationIgnored", 0)
    assert f"nginx.ingress.kubernetes.io/{ignored}" in problem.message
    assert "team" not in problem.message


@pytest.mark.parametrize(
    ("annotations", "path", "only_https"),
    [
        ({"rewrite_target": "/app"}, "/app", False),
        ({"force_ssl_redirect": "true"}, "", True),
        ({"ssl_redirect": "true", "rewrite_target": "/"}, "/", True),
        ({"ssl_redirect": "false"}, "", False),
    ],
)
def test_rewriting_and_redirects_are_the_ingresses_own(
    annotations: dict[str, str], path: str, only_https: bool
) -> None:
    routed = annotated(**annotations).routed()
    assert routed.problems == ()
    backends = {one.name: one for one in routed.routing.backends}
    own, other = (backends[site.prefix[""]] for site in routed.routing.sites)
    assert (own.path, own.only_https) == (path, only_https)
    assert (other.path, other.only_https) == ("", False)
    assert own.servers == other.servers != ()


def test_a_deleted_ingress_takes_its_rules_along() -> None:
    lab = IngressLab(ingress("x", rule("foo.com", ("Prefix", "/", "a"))))
    lab.store.delete(Key("Ingress", "default", "x"))
    assert lab.routed().routing.sites == ()

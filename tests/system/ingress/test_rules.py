"""The tables of Kubernetes' Ingress documentation, each row a request through the real proxy."""

from __future__ import annotations

import json

import pytest

from emulator import Cluster
from tests.system.ingress.objects import HTTP, asked, ingress, rule, server, to

NESTED = [("Prefix", "/", "one"), ("Prefix", "/aaa", "two"), ("Prefix", "/aaa/bbb", "three")]
# Path types and paths → requested path → the Service that answers; `default` is the default backend.
PATHS = [
    ([("Prefix", "/", "one")], "/any/path", "one"),
    ([("Exact", "/foo", "one")], "/foo", "one"),
    ([("Exact", "/foo", "one")], "/bar", "default"),
    ([("Exact", "/foo", "one")], "/foo/", "default"),
    ([("Exact", "/foo/", "one")], "/foo", "default"),
    ([("Prefix", "/foo", "one")], "/foo", "one"),
    ([("Prefix", "/foo/", "one")], "/foo/", "one"),
    ([("Prefix", "/aaa/bb", "one")], "/aaa/bbb", "default"),
    ([("Prefix", "/aaa/bbb", "one")], "/aaa/bbb", "one"),
    ([("Prefix", "/aaa/bbb/", "one")], "/aaa/bbb", "one"),
    ([("Prefix", "/aaa/bbb", "one")], "/aaa/bbb/", "one"),
    ([("Prefix", "/aaa/bbb", "one")], "/aaa/bbb/ccc", "one"),
    ([("Prefix", "/aaa/bbb", "one")], "/aaa/bbbxyz", "default"),
    ([("Prefix", "/", "one"), ("Prefix", "/aaa", "two")], "/aaa/ccc", "two"),
    (NESTED, "/aaa/bbb", "three"),
    (NESTED, "/ccc", "one"),
    ([("Prefix", "/aaa", "one")], "/ccc", "default"),
    ([("Prefix", "/foo", "one"), ("Exact", "/foo", "two")], "/foo", "two"),
]  # fmt: skip
# The documentation's rows with two requests in one cell, and what its text says besides.
MORE_PATHS = [
    ([("Prefix", "/foo", "one")], "/foo/", "one"),
    ([("Prefix", "/foo/", "one")], "/foo", "one"),
    ([("Prefix", "/foo", "one")], "/FOO", "default"),
    ([("Prefix", "/foo", "one")], "/foo?bar=/baz", "one"),
    ([("Exact", "/foo", "one")], "/foo?x=1", "one"),
    ([("ImplementationSpecific", "/foo", "one")], "/foo/bar", "one"),
    ([("Prefix", "/foo", "one"), ("Exact", "/foo/", "two")], "/foo/", "two"),
]
ROWS = [*PATHS, *MORE_PATHS]

# Host of the rule → Host header → whether it is meant.
HOSTS = [
    ("*.foo.com", "bar.foo.com", True),
    ("*.foo.com", "baz.bar.foo.com", False),
    ("*.foo.com", "foo.com", False),
]


@pytest.fixture(scope="module")
def rules(cluster: Cluster) -> Cluster:
    """Every row has a host of its own."""
    hosts = [rule(f"row-{number}.example", *paths) for number, (paths, _, _) in enumerate(ROWS)]
    odd = {
        "host": "ports.example",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": to("two", "http")}]},
    }
    bucket = {"apiGroup": "k8s.example.com", "kind": "Bucket", "name": "pictures"}
    lost = {"path": "/pictures", "pathType": "Prefix", "backend": {"resource": bucket}}
    mixed = {
        "host": "mixed.example",
        "http": {"paths": [lost, *rule("", ("Prefix", "/", "one"))["http"]["paths"]]},
    }
    applied = cluster.apply(
        [
            ingress("rows", *hosts, odd, defaultBackend=to("default")),
            ingress(
                "hosts",
                rule("*.foo.com", ("Prefix", "/", "one")),
                rule("precise.foo.com", ("Prefix", "/", "two")),
            ),
            ingress("mixed", mixed),
        ]
    )
    assert applied.ready.ready, applied.ready.missing
    assert ["Bucket pictures" in one for one in applied.ready.remarks if "default/mixed" in one] == [True]
    return cluster


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("number", range(len(ROWS)))
def test_the_path_table(rules: Cluster, number: int, family: int) -> None:
    assert len(PATHS) == 18
    _, path, expected = ROWS[number]
    assert server(rules, f"http://row-{number}.example{path}", family=family) == expected


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("_rule", "host", "is_meant"), HOSTS)
def test_the_host_table(rules: Cluster, _rule: str, host: str, is_meant: bool, family: int) -> None:
    assert server(rules, f"http://{host}/", family=family) == ("one" if is_meant else "default")


def test_a_precise_host_beats_the_wildcard(rules: Cluster) -> None:
    assert server(rules, "http://precise.foo.com/") == "two"


@pytest.mark.parametrize("host", ["bar.foo.com:8080", "BAR.foo.com", "bar.foo.com."])
def test_ports_and_case_of_the_host_do_not_matter(rules: Cluster, host: str) -> None:
    assert server(rules, f"http://{host}/") == "one"


def test_a_named_port(rules: Cluster) -> None:
    assert server(rules, "http://ports.example/") == "two"


def test_a_resource_backend_is_refused_and_the_rest_works(rules: Cluster) -> None:
    _, response = asked(rules, "http://mixed.example/pictures/1")
    assert response["status"] == 503
    assert "Bucket pictures" in response["body"]
    assert server(rules, "http://mixed.example/") == "one"
    entries = rules.get("Ingress", "mixed")["status"]["loadBalancer"]["ingress"]
    error = {"port": 80, "protocol": "TCP", "error": "mininetes.io/ResourceBackendNotSupported"}
    assert [entry["ports"] for entry in entries] == [[error]] * len(entries)
    assert entries
    events = [one for one in rules.get("Event") if one["involvedObject"]["name"] == "mixed"]
    assert [one["reason"] for one in events] == ["ResourceBackendNotSupported"]


@pytest.mark.parametrize("family", [4, 6])
def test_the_backend_learns_of_the_client(rules: Cluster, family: int) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6"}
    get = {"host": "row-0.example:8443", "path": "/", "headers": headers}
    report, response = asked(rules, get, family=family)  # type: ignore[arg-type]
    (source,) = report["sourceSeen"]
    seen = {name.lower(): value for name, value in json.loads(response["body"])["headers"].items()}
    assert seen["x-forwarded-for"] == source
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == "row-0.example:8443"
    assert seen["x-forwarded-port"] == "80"
    assert seen["host"] == "row-0.example:8443"
    client = json.loads(response["body"])["client"]
    assert client != source


def test_the_status_has_the_address_and_it_serves(rules: Cluster) -> None:
    addresses = [one["ip"] for one in rules.get("Ingress", "hosts")["status"]["loadBalancer"]["ingress"]]
    assert len(addresses) == 2
    for address in addresses:
        report = rules.probe("ext/client", address, HTTP, http="http://bar.foo.com/", timeout=10)
        assert report["http"][0]["status"] == 200


def test_without_a_rule_or_a_default_it_is_404(rules: Cluster) -> None:
    rules.delete([ingress("rows")])
    _, response = asked(rules, "http://nobody.example/x")
    assert response["status"] == 404
    assert "host nobody.example and path /x" in response["body"]


ODD = ["/a%20b", "/a'b", "/a\\b", "/a;b=c", "/%[src]", "/a,b", "/$x", "/a!b", "/~a", "/a:b@c", '/"']


def test_odd_paths_are_themselves(cluster: Cluster) -> None:
    """What is special to HAProxy is not so in a path: it spoils no configuration and matches nothing else."""
    paths = [("Exact", path, "one") for path in ODD]
    below = [("Prefix", f"{path}/x", "two") for path in ODD]
    applied = cluster.apply([ingress("odd", rule("odd.example", *paths, *below))])
    assert applied.ready.ready, applied.ready.missing
    assert not any("refuses" in one for one in applied.ready.remarks)
    for path in ODD:
        for asked_for, expected in ((path, "one"), (f"{path}/x/y", "two"), (f"{path}z", "404")):
            get = {"host": "odd.example", "path": asked_for}
            _, response = asked(cluster, get)  # type: ignore[arg-type]
            found = (
                json.loads(response["body"])["pod"].rsplit("-", 2)[0] if response["status"] == 200 else "404"
            )
            assert found == expected, asked_for

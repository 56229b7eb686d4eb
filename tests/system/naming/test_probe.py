"""Probes to names: looked up from where they start, by real questions, and reported."""

from __future__ import annotations

from typing import Any

import pytest

from emulator import Cluster
from tests.system.naming.conftest import CLIENT
from tests.system.naming.dig import dig
from tests.system.naming.objects import NAMESPACE

pytestmark = pytest.mark.system

SVC = f"{NAMESPACE}.svc.cluster.local"


def asked(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["name"], one["type"], one["outcome"]) for one in report["lookups"]]


@pytest.mark.parametrize(
    "name", ["//web", f"web.{NAMESPACE}", f"web.{NAMESPACE}.svc", f"web.{SVC}", f"web.{SVC}."]
)
def test_every_form_of_a_name_reaches_the_service(names: Cluster, name: str) -> None:
    report = names.probe(CLIENT, name, "80/tcp", family=4)
    assert report["outcome"] == "connected"
    assert report["address"] == "10.96.0.50"
    assert list(report["endpoints"]) == ["names/web-a"]
    assert asked(report)[-1] == (f"web.{SVC}.", "A", "NOERROR")


def test_the_search_list_and_its_cost_are_reported_and_on_the_wire(names: Cluster) -> None:
    checks = [{"at": CLIENT, "match": {"udp.dport": 53}, "count": 8, "direction": "out"}]
    report = names.probe(CLIENT, "server.example.com", "80/tcp", checks=checks)
    assert report["outcome"] == "connected"
    assert [check["ok"] for check in report["checks"]] == [True]
    tried = [f"server.example.com.{tail}" for tail in (f"{SVC}.", "svc.cluster.local.", "cluster.local.", "")]
    assert [name.rstrip(".") for name, kind, _ in asked(report) if kind == "A"] == [
        one.rstrip(".") for one in tried
    ]
    assert [outcome for *_, outcome in asked(report)] == ["NXDOMAIN"] * 6 + ["NOERROR"] * 2
    full = names.probe(CLIENT, "server.example.com.", "80/tcp")
    assert len(full["lookups"]) == 2


def test_http_by_name_says_the_name(names: Cluster) -> None:
    report = names.probe("ext/client", "www.example.com", http="/")
    assert report["http"][0]["status"] == 200
    assert '"Host": "www.example.com"' in report["http"][0]["body"]


def test_both_families(names: Cluster) -> None:
    for family, address in ((4, "10.96.0.51"), (6, "fd00:10:96::51")):
        report = names.probe(CLIENT, f"dual.{NAMESPACE}", "80/tcp", family=family)
        assert (report["outcome"], report["address"]) == ("connected", address)


def test_every_place_asks_its_own_servers(names: Cluster) -> None:
    servers = {}
    for place in (CLIENT, "node/worker-1", "ext/client", "names/named"):
        report = names.probe(place, "server.example.com", "icmp")
        assert report["outcome"] == "connected", place
        servers[place] = report["lookups"][-1]["server"]
    assert servers == {
        CLIENT: "10.96.0.10",
        "node/worker-1": "198.51.100.53",
        "ext/client": "198.51.100.53",
        "names/named": "10.96.0.10",
    }
    own = names.probe("names/named", "//front", "icmp")
    assert (own["outcome"], own["lookups"][0]["server"]) == ("connected", "/etc/hosts")


def test_a_name_that_is_not_there_is_an_error_and_not_a_drop(names: Cluster) -> None:
    report = names.probe(CLIENT, f"nobody.{NAMESPACE}", "80/tcp")
    assert report["outcome"] == "error"
    assert "there is no such name" in "".join(report["errors"])
    assert {outcome for *_, outcome in asked(report)} == {"NXDOMAIN"}
    outside = names.probe("node/worker-1", f"web.{SVC}", "80/tcp")
    assert outside["outcome"] == "error", "a node does not ask the cluster's DNS"


def test_a_long_answer_comes_over_tcp(names: Cluster) -> None:
    report = names.probe(CLIENT, f"crowd.{NAMESPACE}", "icmp", family=4, timeout=1)
    (last,) = report["lookups"][-1:]
    assert (last["transport"], last["outcome"], len(last["answers"])) == ("tcp", "NOERROR", 90)
    cut, whole = (
        dig(names, CLIENT, [(f"crowd.{SVC}.", "A")], *options)[0]
        for options in (("+ignore", "+noedns"), ("+noedns",))
    )
    assert "tc" in cut.flags
    assert len(cut.answer) < 90
    assert len(whole.answer) == 90, "dig asks again over TCP"
    assert len(names.exec(CLIENT, ["getent", "ahostsv4", "crowd"]).stdout.splitlines()) == 3 * 90

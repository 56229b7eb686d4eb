from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from emulator.cli.sweeping import grouped
from emulator.probes.swept import NOBODY_LISTENS

from ..fake_cluster import FakeCluster
from .conftest import Invoke


def matrix(wire: dict[str, dict[str, str]], spec: Any = None, notes: Any = None) -> dict[str, Any]:
    port = {"wire": wire, "spec": spec, "notes": notes or {}}
    return {"apiVersion": "mininetes.io/v1", "kind": "Matrix", "ports": {"80/tcp": port}, "seconds": 0.1}


WIRE = {
    "shop/web": {"shop/web": "connected", "shop/db": "dropped", "ops/mon": "rejected"},
    "shop/db": {"shop/web": "dropped", "shop/db": "connected", "ops/mon": "dropped"},
    "ops/mon": {"shop/web": "connected", "shop/db": "connected", "ops/mon": "connected"},
}


def test_rows_send_and_columns_receive(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.reachability = matrix(WIRE)
    done = invoke("matrix", "-A")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "80/tcp, wire                              . connected  X dropped  R rejected  ? error",
        "",
        "          shop        ops",
        "          web   db    mon",
        "shop/web  .     X     R",
        "shop/db   X     .     X",
        "ops/mon   .     .     .",
        "",
        "5 of 9 connected",
    ]
    assert cluster.calls[-1] == (
        "matrix",
        ("80/tcp",),
        {
            "namespaces": None,
            "nodes": False,
            "external": False,
            "family": None,
            "timeout": None,
            "answers": ("wire", "spec"),
        },
    )


def test_the_flow_tables_are_a_third_opinion(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.reachability = matrix(WIRE, WIRE)
    wrong = {**WIRE, "ops/mon": {**WIRE["ops/mon"], "shop/db": "dropped"}}
    cluster.reachability["ports"]["80/tcp"]["trace"] = wrong
    done = invoke("matrix", "-A", "--trace")
    assert cluster.calls[-1][2]["answers"] == ("wire", "spec", "trace")
    assert done.exit_code == 1
    assert "ops/mon → shop/db:80/tcp    spec connected, trace dropped, wire connected" in done.stdout


def test_a_difference_from_spec_is_marked_named_and_exit_code_1(
    invoke: Invoke, cluster: FakeCluster, tmp_path: Path
) -> None:
    spec = {source: dict(row) for source, row in WIRE.items()}
    spec["ops/mon"]["shop/db"] = "dropped"
    cluster.reachability = matrix(WIRE, spec)
    report = tmp_path / "new" / "junit.xml"
    done = invoke("matrix", "-A", "--report", f"junit={report}")
    assert done.exit_code == 1
    assert "80/tcp, wire against spec" in done.stdout
    assert "ops/mon   .     .!    ." in done.stdout
    assert "1 of 9 differs from spec" in done.stdout
    assert "ops/mon → shop/db:80/tcp    spec dropped, wire connected" in done.stdout
    suites = ElementTree.fromstring(report.read_text())
    (suite,) = suites
    assert (suites.tag, suite.tag, suite.get("name")) == ("testsuites", "testsuite", "80/tcp")
    assert [suite.get(one) for one in ("tests", "failures", "errors", "skipped")] == ["9", "1", "0", "0"]
    assert all(case.tag == "testcase" and case.get("classname") == "matrix.80/tcp" for case in suite)
    (failed,) = (case for case in suite if len(case))
    assert failed.get("name") == "ops/mon → shop/db"
    assert [(one.tag, one.get("message")) for one in failed] == [("failure", "spec dropped, wire connected")]
    cluster.reachability = matrix(WIRE, WIRE)
    assert invoke("matrix", "-A").exit_code == 0


def test_whether_a_program_listens_is_no_matter_of_spec(invoke: Invoke, cluster: FakeCluster) -> None:
    wire, spec = {"x/a": {"x/b": "rejected"}}, {"x/a": {"x/b": "connected"}}
    cluster.reachability = matrix(wire, spec, {"x/a": {"x/b": NOBODY_LISTENS}})
    assert invoke("matrix", "-A").exit_code == 0
    cluster.reachability = matrix(wire, spec)
    assert invoke("matrix", "-A").exit_code == 1


def test_a_probe_that_failed_is_an_error_and_never_fine(invoke: Invoke, cluster: FakeCluster) -> None:
    notes = {"x/a": {"x/a": "x/a has no IPv6 address"}}
    cluster.reachability = matrix({"x/a": {"x/a": "error"}}, None, notes)
    done = invoke("matrix", "-A")
    assert done.exit_code == 1
    assert "x/a  ?" in done.stdout
    assert "x/a → x/a:80/tcp    error: x/a has no IPv6 address" in done.stdout


def test_other_forms(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.reachability = matrix({"x/a": {"x/a": "connected", "x/b": "dropped"}})
    assert json.loads(invoke("matrix", "-A", "-o", "json").stdout) == cluster.reachability
    assert invoke("matrix", "-A", "-o", "csv").stdout.splitlines() == [
        "port,from,to,wire,spec",
        "80/tcp,x/a,x/a,connected,",
        "80/tcp,x/a,x/b,dropped,",
    ]


def test_a_traced_matrix_has_a_column_more(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.reachability = matrix({"x/a": {"x/a": "connected"}}, {"x/a": {"x/a": "connected"}})
    cluster.reachability["ports"]["80/tcp"]["trace"] = {"x/a": {"x/a": "dropped"}}
    assert invoke("matrix", "-A", "--trace", "-o", "csv").stdout.splitlines() == [
        "port,from,to,wire,spec,trace",
        "80/tcp,x/a,x/a,connected,connected,dropped",
    ]


def test_more_than_twenty_rows_are_grouped(invoke: Invoke, cluster: FakeCluster) -> None:
    places = [f"x/{number:02}" for number in range(21)]
    row = dict.fromkeys(places, "connected")
    cluster.reachability = matrix(dict.fromkeys(places[:-1], row) | {"x/20": {**row, "x/00": "dropped"}})
    text = invoke("matrix", "-A").stdout
    assert "x/00 and 19 more" in text
    assert "like x/00: x/01, x/02" in text
    assert "\nx/20  " in text
    assert grouped({"a": ["."], "b": ["X"], "c": ["."]}) == [(("a", "c"), ["."]), (("b",), ["X"])]


def test_wrong_wishes_are_usage_errors(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("matrix", "-A", "-n", "shop").exit_code == 2
    assert invoke("matrix", "-A", "--report", "html=x").exit_code == 2
    assert invoke("matrix", "-A", "--port", "99999/tcp").exit_code == 2

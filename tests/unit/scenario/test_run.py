from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from emulator.api.errors import ApiError

from ..cli.conftest import Invoke
from ..cli.conftest import cluster as cluster
from ..cli.conftest import invoke as invoke
from ..fake_cluster import FakeCluster, Readiness, report

SCENARIO = """\
apiVersion: mininetes.io/v1
kind: Scenario
metadata: {name: %s}
spec:
  description: It shows something.
  steps:
  - name: They talk
    expect:
    - {from: shop/web-1, to: shop/web-2, port: 80/tcp}
  - name: They still talk
    expect:
    - {from: shop/web-2, to: shop/web-1, port: 80/tcp}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / "topic" / name).mkdir(parents=True)
        (tmp_path / "topic" / name / "scenario.yaml").write_text(SCENARIO % name)
    return tmp_path


def reports(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob(".mininetes/runs/*/report.json"))]


def test_pass(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    result = invoke("run", "topic/one")
    assert result.exit_code == 0, result.output
    assert "✓ shop/web-1 → shop/web-2:80/tcp" in result.stdout
    assert "PASS  2 passed" in result.stdout
    assert "evidence  .mininetes/runs/" in result.stdout
    assert cluster.is_down
    (run,) = reports(files)
    assert (run["kind"], run["verdict"]) == ("Run", "pass")
    assert [step["verdict"] for step in run["scenarios"][0]["steps"]] == ["pass", "pass"]
    folder = next(files.glob(".mininetes/runs/*"))
    assert {file.name for file in folder.iterdir()} == {"report.json", "junit.xml", "report.html"}


def test_fail_is_1_and_skips_the_rest(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    cluster.answer = lambda *ends: report(*ends, "dropped")
    result = invoke("run", "topic/one/scenario.yaml", "--report", "junit=out/junit.xml", "--report", "github")
    assert result.exit_code == 1
    assert "✗ shop/web-1 → shop/web-2:80/tcp" in result.stdout
    assert "skipped: step 1 did not pass" in result.stdout
    assert "FAIL  0 passed, 1 failed, 1 not run" in result.stdout
    assert (
        "::error file=topic/one/scenario.yaml,line=9,title=one::shop/web-1 → shop/web-2:80/tcp expected"
        in result.stdout
    )
    suite = ElementTree.parse(files / "out/junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "1")
    assert {one.get("name") for one in suite.iter("property")} == {"file", "seed", "topology"}


def test_github_summary(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    summary = files / "summary.md"
    invoke("run", "topic", "--report", "github", env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert "| ✓ | one | 2 passed |" in summary.read_text()


def test_undecided_is_1(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    cluster.answer = lambda *ends: report(*ends, "error")
    result = invoke("run", "topic/one")
    assert result.exit_code == 1
    assert "1 undecided" in result.stdout


def test_not_ready_is_1(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    cluster.readiness = Readiness(ready=False, missing=("bridge n1: no barrier reply",))
    result = invoke("run", "topic/one")
    assert result.exit_code == 1
    assert "bridge n1: no barrier reply" in result.stdout
    assert cluster.is_down


def test_a_folder_runs_all_below_it(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    result = invoke("run", "topic")
    assert result.exit_code == 0
    names = [call[2]["name"] for call in cluster.calls if call[0] == "up"]
    assert len(set(names)) == 2
    assert all(name.startswith(start) for name, start in zip(names, ("one-", "two-"), strict=True))
    assert "PASS  4 passed" in result.stdout


def test_fail_fast(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    cluster.answer = lambda *ends: report(*ends, "dropped")
    assert (
        len(
            [1 for _ in (invoke("run", "topic", "--fail-fast"),) for call in cluster.calls if call[0] == "up"]
        )
        == 1
    )


def test_keep_leaves_it_running(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    result = invoke("run", "topic/one", "--keep")
    assert not cluster.is_down
    assert "mininetes down --name default" in result.stdout


def test_quiet_tells_only_what_did_not_pass(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    lines = invoke("run", "topic/one", "-q").stdout.splitlines()
    assert lines[0].startswith("PASS  2 passed")
    cluster.answer = lambda *ends: report(*ends, "dropped")
    lines = invoke("run", "topic/one", "-q").stdout.splitlines()
    assert lines[0].startswith("   ✗ shop/web-1")
    assert lines[1].startswith("FAIL  0 passed, 1 failed")


def test_an_invalid_file_is_2_before_anything_starts(
    invoke: Invoke, cluster: FakeCluster, files: Path
) -> None:
    (files / "topic/two/scenario.yaml").write_text(SCENARIO.replace("port:", "prot:") % "two")
    result = invoke("run", "topic")
    assert result.exit_code == 2
    assert "topic/two/scenario.yaml:9:" in result.stderr
    assert not cluster.calls


def test_a_machine_that_cannot_is_3(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    class CannotError(Exception):
        exit_code = 3

    def refuse(*ends: Any) -> Any:
        raise CannotError("no /dev/net/tun")

    cluster.answer = refuse
    result = invoke("run", "topic/one")
    assert result.exit_code == 3
    assert "no /dev/net/tun" in result.stdout


def test_a_bug_is_4(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    def explode(*ends: Any) -> Any:
        raise ZeroDivisionError("by us")

    cluster.answer = explode
    assert invoke("run", "topic/one").exit_code == 4


def test_a_server_that_fails_is_4_and_the_rest_is_still_told(
    invoke: Invoke, cluster: FakeCluster, files: Path
) -> None:
    def fail(*ends: Any) -> Any:
        raise ApiError(500, "InternalError", "it got itself in trouble")

    cluster.answer = fail
    result = invoke("run", "topic/one", "--keep-going")
    assert result.exit_code == 4
    assert "2 undecided" in result.stdout


def test_unknown_scenario(invoke: Invoke, files: Path) -> None:
    assert invoke("run", "no-such-thing").exit_code == 2


@pytest.mark.parametrize("text", ["junit", "xml=a", "github=x", "json="])
def test_bad_report(text: str, invoke: Invoke, files: Path) -> None:
    assert invoke("run", "topic/one", "--report", text).exit_code == 2


def test_html_is_one_file_with_everything(invoke: Invoke, cluster: FakeCluster, files: Path) -> None:
    invoke("run", "topic/one", "--report", "html=report.html")
    page = (files / "report.html").read_text()
    assert "shop/web-1 → shop/web-2:80/tcp" in page
    assert "http" not in page.replace("http-equiv", "")

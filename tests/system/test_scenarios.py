"""Every scenario that ships passes, and several clusters at once do not meet."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from emulator import Cluster
from emulator.verdict.causes import daemons, machinery, unexplained

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(
    str(file.parent.relative_to(ROOT / "scenarios")) for file in ROOT.rglob("scenarios/**/scenario.yaml")
)

BENEATH = {code.name for code in (*machinery.CODES, *daemons.CODES, *unexplained.CODES)}

pytestmark = pytest.mark.system


def run(name: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "emulator.cli", "run", name, *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110)


@pytest.mark.parametrize("name", SCENARIOS)
def test_passes(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path, "--report", "json=report.json", "--keep")
    kept = re.search(r"mininetes down --name (\S+)", done.stdout + done.stderr)
    assert kept, done.stdout + done.stderr
    with Cluster.connect(kept[1]) as cluster:
        assert done.returncode == 0, done.stdout + done.stderr
        (scenario,) = json.loads((tmp_path / "report.json").read_text())["scenarios"]
        assert scenario["verdict"] == "pass"
        assert all(check["verdict"] == "pass" for step in scenario["steps"] for check in step["checks"])
        for source, target, port in questions(scenario):
            assert_nothing_beneath_is_blamed(cluster, source, target, port)


def questions(scenario: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """What the last steps probe: the last that connects and the last that does not."""
    found: dict[bool, tuple[str, str, str | None]] = {}
    for step in scenario["steps"]:
        for check in step["checks"]:
            probe = check.get("probe") or {}
            if probe.get("protocol") in ("tcp", "udp") and probe.get("spec"):
                found[probe["outcome"] == "connected"] = (probe["from"], probe["to"], probe["port"])
    return list(found.values())


def assert_nothing_beneath_is_blamed(cluster: Cluster, source: str, target: str, port: str | None) -> None:
    """Nothing is broken any more: what connects has no cause, and what does not is the manifests' doing."""
    found = cluster.diagnose(source, target, port)
    if found["outcome"] == "connected":
        assert found["cause"] is None, found
        assert not found["difference"], found
    elif found["cause"]:
        assert BENEATH.isdisjoint(cause["code"] for cause in found["causes"]), found


def test_four_at_once_pass(tmp_path: Path) -> None:
    """The same topology, names and addresses four times over, side by side."""
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda folder: run("modes/pod-to-service", folder), folders))
    assert [one.returncode for one in done] == [0, 0, 0, 0], "\n".join(
        one.stdout + one.stderr for one in done
    )


def test_a_broken_claim_fails_with_1(tmp_path: Path) -> None:
    """The same packets under wrong expectations: what passes above does not pass by itself."""
    (tmp_path / "scenario.yaml").write_text(
        """\
apiVersion: mininetes.io/v1
kind: Scenario
metadata: {name: wrong}
spec:
  steps:
  - expect:
    - {from: ext/client, to: ext/server, outcome: dropped}
  - expect:
    - {from: node/worker-1, to: node/worker-2, sees: {source: node/worker-3}}
"""
    )
    done = run(str(tmp_path), tmp_path, "--keep-going", "--report", "json=report.json")
    assert done.returncode == 1, done.stdout + done.stderr
    (scenario,) = json.loads((tmp_path / "report.json").read_text())["scenarios"]
    assert [check["verdict"] for step in scenario["steps"] for check in step["checks"]] == ["fail", "fail"]

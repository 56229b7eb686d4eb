"""Containers in a sandbox: what `workloads_lab.py` claims, case by case."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.sandbox import Sandbox, launch

LAB = Path(__file__).with_name("workloads_lab.py")
sys.path.insert(0, str(LAB.parent))

from workloads_lab import CASES  # noqa: E402


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MININETES_HOME", str(tmp_path_factory.mktemp("home")))
        with launch("workloads") as sandbox:
            yield sandbox


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace("_", " "))
def test_containers(box: Sandbox, case: str) -> None:
    done = subprocess.run(
        box.command(["python", str(LAB), case]), capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, f"{CASES[case].__doc__}\n{done.stdout}{done.stderr}"

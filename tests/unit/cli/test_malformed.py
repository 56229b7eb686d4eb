"""Files that cannot be used: refused with their place and without a traceback by whatever reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..fake_cluster import FakeCluster
from .conftest import Invoke

UNIT = Path(__file__).parents[1]
FILES = sorted([*(UNIT / "api/malformed").glob("*.yaml"), *(UNIT / "scenario/malformed").glob("*.yaml")])
PLACE = re.compile(r"^error: .+\.yaml:\d+:\d+: \S", re.MULTILINE)


def names(file: Path) -> str:
    return f"{file.parent.parent.name}-{file.stem}"


def test_there_are_more_than_fifty() -> None:
    assert len(FILES) > 50


@pytest.mark.parametrize("file", FILES, ids=names)
def test_validate_refuses_it_with_its_place(file: Path, invoke: Invoke) -> None:
    result = invoke("validate", str(file))
    assert result.exit_code == 2, result.output
    assert PLACE.search(result.stderr), result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize("file", FILES, ids=names)
def test_apply_or_run_refuses_it_too(file: Path, invoke: Invoke, cluster: FakeCluster) -> None:
    """And nothing of it reaches a cluster."""
    before = dict(cluster.objects)
    command = ("run", str(file)) if file.parent.parent.name == "scenario" else ("apply", "-f", str(file))
    if file.name.startswith(("topology", "scenario")):
        command = ("run", str(file))
    result = invoke(*command)
    assert result.exit_code == 2, result.output
    assert PLACE.search(result.stderr), result.stderr
    assert "Traceback" not in result.output
    assert cluster.objects == before

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from emulator.scenario.reports.folder import run_folder

NOW = datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_it_lies_where_the_user_is(here: Path) -> None:
    first, second = run_folder("modes/a", NOW), run_folder("modes/a", NOW)
    assert first == Path(".mininetes/runs/20260102-030405-modes-a")
    assert second.is_dir()
    assert second != first


def test_it_lies_below_home_where_the_user_may_not_write(here: Path) -> None:
    Path(".mininetes").write_text("in the way: no directory can be made here, not even by root")
    assert run_folder("a", NOW) == here / "state" / "mininetes-runs" / "20260102-030405-a"

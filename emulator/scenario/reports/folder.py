"""The run folder: `.mininetes/runs/<time>-<name>/` with everything that a run leaves behind.

It lies where the user is; who may not write there (students at a shared checkout) finds it below home.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from emulator.scenario.results import RunResult

HERE = Path(".mininetes/runs")


def run_folder(name: str, now: datetime) -> Path:
    """A folder for a run that begins now: below the present directory, or below home. Raises OSError."""
    with suppress(OSError):
        return new_folder(name, now, HERE)
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return new_folder(name, now, Path(state) / "mininetes-runs")


def new_folder(name: str, now: datetime, root: Path) -> Path:
    """Make a folder of its own for a run that begins now; two in one second get different ones."""
    stem = f"{now:%Y%m%d-%H%M%S}-{name.replace('/', '-')}"
    for attempt in range(1000):
        folder = root / (stem if not attempt else f"{stem}.{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{root} is full of runs called {stem}")


def keep(result: RunResult, folder: Path) -> None:
    """Write report.json, junit.xml and report.html."""
    from emulator.scenario.reports.html import to_html
    from emulator.scenario.reports.junit import to_junit

    text = json.dumps(result.to_json(), indent=2, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    (folder / "junit.xml").write_text(to_junit(result), encoding="utf-8")
    (folder / "report.html").write_text(to_html(result), encoding="utf-8")

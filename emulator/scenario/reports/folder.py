"""The run folder: `.mininetes/runs/<time>-<name>/` with everything that a run leaves behind."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from emulator.scenario.results import RunResult

ROOT = Path(".mininetes/runs")


def new_folder(name: str, now: datetime, root: Path = ROOT) -> Path:
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

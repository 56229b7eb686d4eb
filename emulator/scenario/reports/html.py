"""HTML: one file with everything in it, for a browser or as a CI artefact."""

from __future__ import annotations

import json
from pathlib import Path

from emulator.scenario.reports.text import MARKS, counts
from emulator.scenario.results import RunResult

_TEMPLATES = Path(__file__).parent


def to_html(result: RunResult) -> str:
    """The report as a page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("report.html.j2").render(run=result, marks=MARKS, counts=counts)

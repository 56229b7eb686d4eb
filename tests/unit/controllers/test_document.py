"""docs/pipeline.md is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.pipeline.document import document, recorded
from controllers.pipeline.registers import NAMED
from controllers.pipeline.tables import STAGES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pipeline.md"


def test_the_page_is_current() -> None:
    expected = document(recorded())
    assert PAGE.read_text() == expected, "python -m controllers.pipeline.document > docs/pipeline.md"


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_every_stage_has_an_example(stage: object) -> None:
    section = document(recorded()).split(f" {stage}\n", 1)[1].split("\n### ")[0]
    assert "actions=" in section


def test_every_register_is_explained() -> None:
    page = document(recorded())
    for name in NAMED:
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        assert not row.endswith("|  |"), row

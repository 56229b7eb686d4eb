"""Pages that are written by the code say what the code says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.cli.reference import page as commands
from emulator.cluster.faults.document import page as faults
from emulator.probes.headers import FIELDS
from emulator.probes.packets import markdown
from emulator.workloads.catalogue import page as images
from tests.system.diagnose.document import page as diagnoses

DOCS = Path(__file__).parents[2] / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands,
    "faults.md": faults,
    "images.md": images,
    "diagnose.md": diagnoses,
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "write it anew: make docs"


def test_the_catalogue_of_packets_is_the_programs_own() -> None:
    text = (DOCS / "scenario-format.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- generated: emulator.probes.packets.markdown -->")
    shown, _, _ = rest.partition("<!-- end -->")
    assert shown.strip() == markdown().strip()


def test_every_header_field_is_named() -> None:
    text = (DOCS / "scenario-format.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9.]+)`", text))
    assert named >= FIELDS

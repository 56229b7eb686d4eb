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
from emulator.verdict.causes.order import CODES
from emulator.workloads.catalogue import page as images
from tests.system.diagnose.document import PROVED
from tests.system.diagnose.document import page as diagnoses

DOCS = Path(__file__).parents[2] / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands,
    "faults.md": faults,
    "images.md": images,
    "diagnose.md": diagnoses,
}
WITHOUT_A_CASE = {"tables-against-manifests", "packets-against-tables"}
"""What `diagnose` names where the answers contradict each other: a bug of ours, or unknown."""


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


def test_every_cause_has_a_case() -> None:
    known = {code.name for code in CODES}
    assert known - PROVED == WITHOUT_A_CASE
    assert known >= PROVED

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
from emulator.verdict.causes.unexplained import CODES as CONTRADICTIONS
from emulator.workloads.catalogue import page as images
from tests.system.diagnose.cases import CASES
from tests.system.diagnose.document import PROVED
from tests.system.diagnose.document import page as diagnoses

DOCS = Path(__file__).parents[2] / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands,
    "faults.md": faults,
    "images.md": images,
    "diagnose.md": diagnoses,
}
WITHOUT_A_CASE = {"router-down", "bgp-down", "bgp-session-down", "ingress-proxy-down"}
"""Causes that `diagnose` names and no case brings about; contradictions beside."""


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
    proved = {case.code for case in CASES}
    contradictions = {code.name for code in CONTRADICTIONS}
    assert {code.name for code in CODES} - proved - contradictions <= WITHOUT_A_CASE
    assert proved <= {code.name for code in CODES}


def test_every_cause_is_proved_by_a_case() -> None:
    """But those that name a contradiction, which is a bug of ours or unknown."""
    assert {code.name for code in CODES} - PROVED == {"tables-against-manifests", "packets-against-tables"}

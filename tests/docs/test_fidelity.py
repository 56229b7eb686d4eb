"""docs/fidelity.md names only tests and steps that exist, and tells the state of all ninety oracles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from emulator.scenario.parse import read_scenario
from tests.ablation import files
from tests.system.ablations import FEATURES
from tests.system.proofs import PROOFS, table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")
STATES = {"now", "later", "other mode", "absent", "unproved"}
LATER = "later"


def oracle_rows() -> list[tuple[int, str, str]]:
    """Number, state and proof of every line of the last table."""
    found = re.findall(r"^\| (\d+) \| .+ \| ([a-z ]+) \| (.*) ?\|$", PAGE, re.MULTILINE)
    return [(int(number), state, proof.strip()) for number, state, proof in found]


@cache
def oracle_tests() -> frozenset[int]:
    """The numbers that tests of oracles bear: `test_20_21_no_endpoints` proves two."""
    numbers: set[int] = set()
    for file in (ROOT / "tests" / "system" / "oracles").glob("test_*.py"):
        for found in re.findall(r"^def test_((?:\d+_)+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            numbers |= {int(number) for number in found.strip("_").split("_")}
    return frozenset(numbers)


def numbers_in(text: str) -> Iterator[int]:
    """`oracles 1, 4–6` → 1, 4, 5, 6."""
    for found in re.findall(r"oracles? (\d+(?:[–, ]+\d+)*)", text):
        for piece in found.split(","):
            first, _, last = piece.strip().partition("–")
            yield from range(int(first), int(last or first) + 1)


def test_every_oracle_has_one_state() -> None:
    rows = oracle_rows()
    assert [number for number, _, _ in rows] == list(range(1, 91))
    assert {state for _, state, _ in rows} <= STATES


def test_what_is_said_to_be_proved_names_its_proof() -> None:
    assert [number for number, state, proof in oracle_rows() if state == "now" and not proof] == []


def test_no_proof_is_left_out() -> None:
    """A test by the number of an oracle makes it one that is proved now."""
    told = {number for number, state, _ in oracle_rows() if state in ("now", "absent")}
    assert oracle_tests() <= told


def test_oracles_that_are_named_have_tests() -> None:
    assert set(numbers_in(PAGE)) <= oracle_tests()


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`([\w/]+\.py::\w+)`", PAGE))))
def test_a_test_that_is_named_exists(reference: str) -> None:
    path, _, name = reference.partition("::")
    text = (ROOT / "tests" / path).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), reference


def test_every_feature_file_is_shown_with_the_test_that_fails_without_it() -> None:
    """`python -m tests.system.proofs` writes the table."""
    assert set(PROOFS) == set(FEATURES) == files()
    assert "\n".join(table()) in PAGE


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`scenarios/([\w/-]+)`( step \d+)?", PAGE))))
def test_a_scenario_that_is_named_has_that_step(reference: tuple[str, str]) -> None:
    name, step = reference
    scenario = read_scenario(ROOT / "scenarios" / name / "scenario.yaml")
    assert len(scenario.steps) >= int(step.removeprefix(" step ") or 1)

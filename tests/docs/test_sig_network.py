"""docs/fidelity.md lists Kubernetes' own network tests: each once, with its state and proof, and counts them.

Beside this file are the names of the [sig-network] conformance tests of Kubernetes 1.34 and later.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.test_fidelity import PAGE

CONFORMANCE = Path(__file__).with_name("sig-network-conformance.txt").read_text(encoding="utf-8").splitlines()
STATES = ("packets", "DNS", "computed", "API", "later", "absent")
SECTIONS = ("### The conformance tests", "### Other tests about Services, pods, DNS and connections")


def section(title: str) -> str:
    return re.split(r"^##", PAGE.split(f"{title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> list[tuple[str, str, str]]:
    """Name, state and proof of every line of a section's table."""
    lines = re.findall(r"^\| (.+) \| ([A-Za-z]+) \| (.*) \|$", section(title), re.MULTILINE)
    return [line for line in lines if line[0] != "test"]


def test_every_conformance_test_is_listed_once() -> None:
    assert len(CONFORMANCE) == 47
    assert sorted(name for name, _, _ in rows(SECTIONS[0])) == sorted(CONFORMANCE)


@pytest.mark.parametrize("title", SECTIONS)
def test_they_are_counted(title: str) -> None:
    found = rows(title)
    assert {state for _, state, _ in found} <= set(STATES)
    counts = [(sum(state == word for _, state, _ in found), word) for word in STATES]
    told = ", ".join(f"{number} {word}" for number, word in counts if number)
    assert f"{len(found)} tests: {told}." in section(title)


@pytest.mark.parametrize("title", SECTIONS)
def test_what_is_shown_names_its_proof_and_what_is_not_says_why(title: str) -> None:
    for name, state, proof in rows(title):
        if state not in ("later", "absent"):
            assert re.search(r"`[\w/]+\.py::\w+`|oracles? \d", proof), name
        elif state == "absent":
            assert proof.strip(), name

"""The documents do what they say: every marked block of commands is run, its output compared line by line.

A block marked `<!-- run -->` holds commands behind `$ ` and what they print. Blocks of one file share a
folder and clusters, in order, as a reader would type them. What changes from run to run (numbers, times,
generated names) is not compared; a line of three dots stands for lines left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"<!-- run -->\n```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
VOLATILE = [
    (re.compile(r"-[a-z0-9]{6,10}-[a-z0-9]{5}\b"), "-*"),
    (re.compile(r"\b(\w+)-[a-z0-9]{5}\b(?=[\s,]|$)"), r"\1-*"),
    (re.compile(r"\d+(\.\d+)*(ms|s|m|h)?"), "N"),
    (re.compile(r"\s+"), " "),
]


def blocks(document: Path) -> Iterator[list[tuple[str, list[str]]]]:
    for found in BLOCK.finditer(document.read_text(encoding="utf-8")):
        commands: list[tuple[str, list[str]]] = []
        for line in found[1].splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            else:
                commands[-1][1].append(line)
        yield commands


def settled(line: str) -> str:
    for pattern, replacement in VOLATILE:
        line = pattern.sub(replacement, line)
    return line.strip()


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether `printed` is what the document shows, in order, with dots for what it leaves out."""
    wanted = [settled(line) for line in shown if line.strip()]
    lines = iter([settled(line) for line in printed if line.strip()])
    skipping = False
    for want in wanted:
        if want in ("...", "…"):
            skipping = True
            continue
        line = next(lines, None)
        while skipping and line is not None and line != want:
            line = next(lines, None)
        skipping = False
        if line != want:
            return False
    return skipping or next(lines, None) is None


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who reads: the program on the path, a place of their own for clusters."""
    program = tmp_path / "bin" / "mininetes"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m emulator.cli "$@"\n')
    program.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MININETES_")},
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MININETES_HOME": str(tmp_path / "home"),
        "NO_COLOR": "1",
    }
    (tmp_path / "here").mkdir()
    for name in ("scenarios", "topologies"):
        (tmp_path / "here" / name).symlink_to(ROOT / name)
    environment["HERE"] = str(tmp_path / "here")
    yield environment
    subprocess.run([program, "down"], env=environment, capture_output=True, check=False)


@pytest.mark.system
@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if BLOCK.search(one.read_text("utf-8"))], ids=lambda one: one.name
)
def test_commands_do_what_the_document_shows(document: Path, reader: dict[str, str]) -> None:
    assert shutil.which("mininetes", path=reader["PATH"])
    for commands in blocks(document):
        for command, shown in commands:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env=reader,
                cwd=reader["HERE"],
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
            assert matches(shown, done.stdout.splitlines()), f"$ {command}\nprints now:\n{done.stdout}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_matching_leaves_out_only_what_changes() -> None:
    assert matches(
        ["front-86b5fcb545-fnqss  1/1  Running  0  3s"], ["front-77c4d9b8f6-x2x4z 1/1   Running   0 12m"]
    )
    assert matches(["a", "...", "z"], ["a", "b", "c", "z"])
    assert not matches(["a", "z"], ["a", "b", "z"])
    assert not matches(["x dropped"], ["x connected"])
    assert not matches([], ["surprise"])

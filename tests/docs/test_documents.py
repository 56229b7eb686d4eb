"""The documents do what they say: every marked block of commands is run, its output compared line by line.

A block marked `<!-- run -->` holds commands behind `$ ` and what they print. Blocks of one file share a
folder and clusters, in order, as a reader would type them. What changes from run to run (numbers, times,
generated names) is not compared; a line of three dots stands for lines left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "scenarios").rglob("README.md")),
]
BLOCK = re.compile(r"<!-- run -->\n```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
AROUND = re.compile(r"^Look around:\n\n((?:    mininetes .*\n)+)", re.MULTILINE)
PYTHON = re.compile(r"<!-- run-python -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTEST = re.compile(r"<!-- run-pytest -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WRITTEN_BY_THE_SERVER = {"uid", "resourceVersion", "generation", "creationTimestamp"}
VOLATILE = [
    (re.compile(r"0x[0-9a-f]{13,16}"), "N"),
    (re.compile(r"-[a-z0-9]{6,10}-[a-z0-9]{5}\b"), "-*"),
    (re.compile(r"\b(\w+)-[a-z0-9]{5}\b(?=[\s,]|$)"), r"\1-*"),
    # Linux limits how many ICMP errors it sends a peer: now and then traceroute gets fewer than it asked for.
    (re.compile(r"(?<= )\d+\.\d+ ms(?= |$)|(?<= )\*(?=  ?[*\d]| *$)"), "T"),
    (re.compile(r"\d+(\.\d+)*(ms|s|m|h)?"), "N"),
    (re.compile(r"\s+"), " "),
]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


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


def run(argv: list[str], reader: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A program in the reader's folder."""
    return subprocess.run(
        argv, env=reader, cwd=reader["HERE"], capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.system
@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if BLOCK.search(one.read_text("utf-8"))], ids=name_of
)
def test_commands_do_what_the_document_shows(document: Path, reader: dict[str, str]) -> None:
    assert shutil.which("mininetes", path=reader["PATH"])
    for commands in blocks(document):
        for command, shown in commands:
            done = run(["/bin/sh", "-c", command], reader)
            assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
            assert matches(shown, done.stdout.splitlines()), f"$ {command}\nprints now:\n{done.stdout}"


@pytest.mark.system
@pytest.mark.parametrize(
    "lesson", [one for one in DOCUMENTS if AROUND.search(one.read_text("utf-8"))], ids=name_of
)
def test_a_lessons_commands_work(lesson: Path, reader: dict[str, str]) -> None:
    """What a scenario's page says under "Look around", as a reader would type it."""
    (block,) = AROUND.findall(lesson.read_text(encoding="utf-8"))
    for command in block.splitlines():
        done = run(["/bin/sh", "-c", command.strip()], reader)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"


@pytest.mark.system
def test_python_does_what_the_document_shows(reader: dict[str, str]) -> None:
    """Every Python example of the documents, as a program of its own."""
    programs = [code for one in DOCUMENTS for code in PYTHON.findall(one.read_text(encoding="utf-8"))]
    assert programs
    for code in programs:
        done = run([sys.executable, "-c", code], reader)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.system
def test_pytest_does_what_the_document_shows(reader: dict[str, str], tmp_path: Path) -> None:
    """Test modules of the documents, beside the manifests that they name."""
    modules = [code for one in DOCUMENTS for code in PYTEST.findall(one.read_text(encoding="utf-8"))]
    assert modules
    (tmp_path / "manifests").symlink_to(ROOT / "scenarios/modes/container-to-container/manifests")
    for number, code in enumerate(modules):
        module = tmp_path / f"test_{number}.py"
        module.write_text(code, encoding="utf-8")
        options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull]
        done = run([sys.executable, "-m", "pytest", *options, str(module)], reader)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("kind", ["scenario", "topology"])
def test_every_field_of_the_format_is_told(kind: str) -> None:
    """A field that the schema knows stands in the page of its format, in code."""
    schema = json.loads((ROOT / f"emulator/api/schema/{kind}.json").read_text(encoding="utf-8"))
    page = (ROOT / f"docs/{kind}-format.md").read_text(encoding="utf-8")
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", page, re.DOTALL))
    missing = sorted(name for name in fields_of(schema) if not re.search(rf"\b{name}\b", code))
    assert missing == []


def fields_of(schema: object) -> Iterator[str]:
    """All names of properties below a schema, but those that the API server writes."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "properties":
                yield from (one for one in value if one not in WRITTEN_BY_THE_SERVER)
            yield from fields_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from fields_of(value)


def test_no_document_names_a_place_of_its_author() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert not re.search(r"/work/|/tmp/mn|/root/", text), document.name


def test_matching_leaves_out_only_what_changes() -> None:
    assert matches(
        ["front-86b5fcb545-fnqss  1/1  Running  0  3s"], ["front-77c4d9b8f6-x2x4z 1/1   Running   0 12m"]
    )
    assert matches(["a", "...", "z"], ["a", "b", "c", "z"])
    assert not matches(["a", "z"], ["a", "b", "z"])
    assert not matches(["x dropped"], ["x connected"])
    assert not matches([], ["surprise"])

"""Every file in `malformed/` has its mistakes written on top: `# LINE:COLUMN part of the message`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emulator.api.load import ManifestError, load

FILES = sorted((Path(__file__).parent / "malformed").glob("*.yaml"))
EXPECTED = re.compile(r"# (\d+):(\d+) (.+)")


def expected_of(file: Path) -> list[tuple[int, int, str]]:
    found = []
    for line in file.read_text().splitlines():
        match = EXPECTED.fullmatch(line)
        if match is None:
            break
        found.append((int(match[1]), int(match[2]), match[3]))
    return found


def test_there_are_enough() -> None:
    assert len(FILES) >= 50
    assert all(expected_of(file) for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_mistake_has_its_place(file: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load([file])
    problems = caught.value.problems
    expected = expected_of(file)
    assert [(problem.line, problem.column) for problem in problems] == [
        (line, column) for line, column, _ in expected
    ]
    for problem, (_, _, message) in zip(problems, expected, strict=True):
        assert message in problem.message
        assert problem.file == str(file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_excerpt_marks_the_place(file: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load([file])
    source = file.read_text().splitlines()
    for problem in caught.value.problems:
        *_, shown, mark = problem.excerpt.splitlines()
        assert shown.endswith(source[problem.line - 1].replace("\t", " "))
        gutter = shown.index("| ") + 2
        assert mark.index("^") - gutter == problem.column - 1
        assert str(problem).startswith(f"error: {file}:{problem.line}:{problem.column}: ")

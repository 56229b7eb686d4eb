"""Mistakes in files, with their place and the lines that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from emulator.api.documents import Position

_WIDEST = 120  # characters of a source line that an excerpt shows


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` is 0 when it is the file itself that is wrong (it does not exist, say)."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    excerpt: str = ""
    """The line before, the line itself and a mark under the mistake with the hint behind it."""

    @property
    def place(self) -> str:
        """`file:line:column`, or the file alone."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        text = f"error: {self.place}: {self.message}"
        if self.excerpt:
            return f"{text}\n{self.excerpt}"
        return f"{text}\n  {self.hint}" if self.hint else text


class ManifestError(Exception):
    """Files that cannot be used; `problems` are all their mistakes, in the order of places."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Source:
    """A text and what messages call it."""

    name: str
    text: str = field(repr=False)
    lines: tuple[str, ...] = field(repr=False, default=())

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        """A source with its lines."""
        return cls(name, text, tuple(text.splitlines()))

    def problem(self, position: Position, message: str, hint: str = "") -> Problem:
        """A mistake in this text."""
        excerpt = self._excerpt(position, hint)
        return Problem(self.name, position.line, position.column, message, hint, excerpt)

    def _excerpt(self, position: Position, hint: str) -> str:
        index = min(position.line - 1, len(self.lines) - 1)
        if index < 0:
            return ""
        shown = [
            (n, self.lines[n])
            for n in range(max(0, index - 1), index + 1)
            if n == index or self.lines[n].strip()
        ]
        start = max(0, position.column - _WIDEST // 2) if len(self.lines[index]) > _WIDEST else 0
        gutter = max(4, len(str(index + 1)))
        rows = [
            f" {number + 1:>{gutter}} | {_printable(line[start : start + _WIDEST])}" for number, line in shown
        ]
        column = position.column - 1 - start
        width = max(1, min(position.width, len(self.lines[index]) - position.column + 1, _WIDEST - column))
        mark = " " * column + "^" * width + (f" {hint}" if hint else "")
        return "\n".join([*rows, f" {'':{gutter}} | {mark}"])


def _printable(line: str) -> str:
    """A line as a terminal shows it, one column a character."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)

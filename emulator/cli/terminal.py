"""Where words go: results to stdout, everything else to stderr, colour only where it is wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import click

_STYLES: dict[str, dict[str, object]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "doubt": {"fg": "yellow"},
    "faint": {"dim": True},
    "strong": {"bold": True},
}


@dataclass(frozen=True, slots=True)
class Terminal:
    """How to write for whoever reads."""

    color: bool = False
    verbosity: int = 0
    """-1 quiet, 0 normal, 1 verbose, 2 with tracebacks."""
    live: bool = False
    """stderr is a terminal that can rewrite its last line."""

    @classmethod
    def of(cls, *, color: str, verbose: int, quiet: bool) -> Terminal:
        """The terminal that this process has, under the common options."""
        return cls(
            color=color == "always" or (color == "auto" and _wants_color(os.environ)),
            verbosity=-1 if quiet else verbose,
            live=sys.stderr.isatty() and os.environ.get("TERM") != "dumb",
        )

    def out(self, text: str) -> None:
        """Write a line of the result."""
        click.echo(text, color=self.color)

    def note(self, text: str) -> None:
        """Write a line beside the result, unless quiet."""
        if self.verbosity >= 0:
            click.echo(text, err=True, color=self.color)

    def warn(self, text: str) -> None:
        """Write a warning; also when quiet, for it may explain a surprise."""
        click.echo(f"{self.style('warning:', 'doubt')} {text}", err=True, color=self.color)

    def style(self, text: str, style: str) -> str:
        """`text` in one of the program's five styles, or as it is without colour."""
        return click.style(text, **_STYLES[style]) if self.color else text  # type: ignore[arg-type]


def _wants_color(environment: Mapping[str, str]) -> bool:
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and environment.get("TERM") != "dumb"

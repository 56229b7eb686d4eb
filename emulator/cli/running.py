"""`run`: find the scenarios, play them, render the reports."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from emulator.cli import boundary
from emulator.cli.about import CHECKOUT
from emulator.cli.session import Session
from emulator.cli.terminal import Terminal
from emulator.scenario import run as play
from emulator.scenario.find import find, name_of
from emulator.scenario.reports.folder import keep, run_folder
from emulator.scenario.reports.text import TextReport
from emulator.scenario.results import RunResult

_FORMS = ("junit", "json", "html", "github")


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the command line words it."""

    reports: tuple[str, ...] = ()
    fail_fast: bool = False
    keep: bool = False
    keep_going: bool = False
    timeout: float = 120.0
    seed: int | None = None
    topology: str | None = None
    families: str | None = None


def run(session: Session, paths: Sequence[str], wish: Run) -> int:
    """Play the scenarios that `paths` mean; returns the exit code."""
    terminal = session.terminal
    wanted = [_report(text) for text in wish.reports]
    shipped = CHECKOUT / "scenarios"
    files = [(name_of(file, shipped), _shown(file)) for file in find(paths, shipped)]
    play.read_all(files)
    folder = run_folder(files[0][0] if len(files) == 1 else "run", datetime.now())
    text = TextReport(
        terminal.out, terminal.style, verbose=terminal.verbosity > 0, brief=terminal.verbosity < 0
    )
    settings = play.Settings(
        start=session.start,
        load=_loader(terminal),
        codes=boundary.exit_code,
        timeout=wish.timeout,
        topology=wish.topology,
        families=wish.families,
        keep=wish.keep,
        fail_fast=wish.fail_fast,
        keep_going=wish.keep_going,
        seed=wish.seed if wish.seed is not None else secrets.randbelow(2**31),
        evidence=folder,
    )
    result = replace(play.run(files, settings, text), folder=f"{folder}/")
    keep(result, folder)
    for form, file in wanted:
        _render(result, form, file, terminal)
    text.run_done(result)
    return play.exit_code(result)


def _loader(terminal: Terminal) -> Callable[[Sequence[Path]], Sequence[Any]]:
    from emulator.cli.changing import loaded

    return lambda files: loaded([str(file) for file in files], terminal) if files else ()


def _shown(file: Path) -> Path:
    """Relative to where the user is, if it lies below."""
    try:
        return file.resolve().relative_to(Path.cwd())
    except ValueError:
        return file


def _report(text: str) -> tuple[str, str]:
    form, equals, file = text.partition("=")
    if form not in _FORMS or (form == "github") == bool(equals and file):
        raise click.UsageError(f"--report {text}: write junit=FILE, json=FILE, html=FILE or github")
    return form, file


def _render(result: RunResult, form: str, file: str, terminal: Terminal) -> None:
    if form == "github":
        from emulator.scenario.reports import github

        for line in github.commands(result):
            terminal.out(line)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with Path(summary).open("a", encoding="utf-8") as stream:
                stream.write(github.summary(result))
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(_text(result, form), encoding="utf-8")


def _text(result: RunResult, form: str) -> str:
    match form:
        case "junit":
            from emulator.scenario.reports.junit import to_junit

            return to_junit(result)
        case "html":
            from emulator.scenario.reports.html import to_html

            return to_html(result)
    from emulator.cli.formats import to_json

    return to_json(result.to_json()) + "\n"

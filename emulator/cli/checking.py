"""`validate` and `doctor`: checks that need no cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import click

from emulator.cli import formats
from emulator.cli.exits import ExitCode
from emulator.cli.tables import render
from emulator.cli.terminal import Terminal


def validate(terminal: Terminal, paths: Sequence[str]) -> int:
    """Check every file; print each mistake with its place, and a count."""
    from emulator.scenario.files import check

    result = check(paths)
    for problem in result.problems:
        click.echo(str(problem), err=True)
    for notice in result.notices:
        terminal.note(str(notice))
    files = "1 file" if result.files == 1 else f"{result.files} files"
    if result.problems:
        count = len(result.problems)
        click.echo(f"{count} error{'s' if count > 1 else ''} in {files}", err=True)
        return ExitCode.USAGE
    terminal.out(f"{files} fine: {result.summary}")
    return ExitCode.AS_EXPECTED


def doctor(terminal: Terminal, output: str) -> int:
    """Test what this machine offers; how to mend what is missing stands below the table."""
    from emulator.sandbox.doctor import examine

    checks = examine()
    missing = [check for check in checks if check.needed and not check.ok]
    if output == "json":
        listed = [dataclasses.asdict(check) for check in checks]
        terminal.out(formats.to_json({"apiVersion": "mininetes.io/v1", "kind": "Doctor", "checks": listed}))
    else:
        words = [("ok" if check.ok else "missing" if check.needed else "absent") for check in checks]
        rows = [
            (one.name, word, one.purpose, one.detail or " ") for one, word in zip(checks, words, strict=True)
        ]
        terminal.out(render(("CHECK", "STATE", "FOR", "DETAIL"), rows))
        for check in checks:
            if not check.ok and check.mend:
                mark = terminal.style(check.name, "bad" if check.needed else "doubt")
                terminal.out(f"\n{mark}: {check.mend}")
        if missing:
            terminal.note(f"\nthis machine cannot run clusters yet: {', '.join(one.name for one in missing)}")
    return ExitCode.CANNOT_RUN if missing else ExitCode.AS_EXPECTED

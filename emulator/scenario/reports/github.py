"""GitHub Actions: annotations on the lines of the scenario file, and a Markdown summary."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.scenario.reports.text import MARKS, counts
from emulator.scenario.results import RunResult
from emulator.verdict.outcome import Verdict


def commands(result: RunResult) -> Iterator[str]:
    """One workflow command for every check that did not pass."""
    for scenario in result.scenarios:
        for check in scenario.checks:
            if check.verdict in (Verdict.FAIL, Verdict.ERROR):
                yield _command(
                    scenario.file, check.line, scenario.name, f"{check.text} {'; '.join(check.reasons)}"
                )
        for reason in scenario.reasons[:1]:
            yield _command(scenario.file, 1, scenario.name, reason)


def summary(result: RunResult) -> str:
    """Markdown for the step summary."""
    lines = ["| | Scenario | Checks | Time |", "|---|---|---|---|"]
    for scenario in result.scenarios:
        row = (MARKS[scenario.verdict], scenario.name, counts(scenario), f"{scenario.seconds:.1f} s")
        lines.append(f"| {' | '.join(map(_cell, row))} |")
    for scenario in result.scenarios:
        failed = [one for one in scenario.checks if one.verdict in (Verdict.FAIL, Verdict.ERROR)]
        if failed or scenario.reasons:
            lines += ["", f"**{scenario.name}**", ""]
            lines += [f"- `{check.text}`: {'; '.join(check.reasons)}" for check in failed]
            lines += [f"- {reason}" for reason in scenario.reasons[:1]]
    return "\n".join(lines) + "\n"


def _command(file: str, line: int, title: str, message: str) -> str:
    return f"::error file={_property(file)},line={max(line, 1)},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

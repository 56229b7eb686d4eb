from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import click
import pytest

from emulator.cli import completing
from emulator.cli.program import program
from emulator.cli.progress import Progress, progress
from emulator.cli.session import Session
from emulator.cli.tables import age, duration, pairs, render
from emulator.cli.terminal import Terminal

from ..fake_cluster import FakeCluster


def test_nothing_is_said_about_short_waits(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(Terminal(), "starting") as say:
        say("still starting")
    assert capsys.readouterr() == ("", "")


def test_long_waits_are_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(Terminal(), "starting")
    shown._start()
    shown("waiting for pods")
    shown("waiting for pods")
    shown.end()
    assert capsys.readouterr() == ("", "starting …\nwaiting for pods …\n")


def test_a_live_terminal_has_its_line_rewritten_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(Terminal(live=True), "starting")
    shown._start()
    shown.end()
    assert capsys.readouterr().err == "\r\x1b[Kstarting …\r\x1b[K"


def test_tables_are_bare_columns_of_full_width() -> None:
    text = render(("NAME", "AGE"), [("a" * 200, "1s"), ("b", "")])
    lines = text.splitlines()
    assert lines[1] == "a" * 200 + "   1s"
    assert lines[2].split() == ["b", "<none>"]
    assert pairs([("Name", "x"), ("Namespace", "y")]) == "Name:       x\nNamespace:  y"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (3599, "59m"), (7300, "121m")),
        *((11000, "3h3m"), (30000, "8h"), (200000, "2d7h"), (800000, "9d"), (70000000, "2y")),
    ],
)
def test_ages_read_as_kubectls(seconds: int, text: str) -> None:
    assert duration(seconds) == text
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert age((now - timedelta(seconds=seconds)).isoformat(), now) == text


def complete(words: str, position: int) -> list[str]:
    environment = {
        **os.environ,
        "_MININETES_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(position),
    }
    done = subprocess.run(
        [sys.executable, "-m", "emulator.cli"], env=environment, capture_output=True, text=True, check=False
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_completion_of_commands_scenarios_topologies_and_kinds() -> None:
    assert complete("mininetes pro", 1) == ["probe"]
    assert "modes/pod-to-pod" in complete("mininetes run mo", 2)
    assert complete("mininetes up two", 2) == ["two-zone-vpc"]
    assert "endpointslices" in complete("mininetes get end", 2)


def test_completion_asks_the_cluster(cluster: FakeCluster) -> None:
    with click.Context(program, obj=Session(connect=lambda _name: cluster)) as context:
        context.params = {"namespace": "shop"}
        assert completing.pods(context, "web") == ["web-1", "web-2"]
        assert completing.places(context, "svc/shop") == ["svc/shop/web"]
        assert "node/worker-1" in completing.places(context, "n")
        context.params = {"namespace": "shop", "words": ("deploy",)}
        assert completing.kinds_and_names(context, "") == ["web"]


def test_completion_without_a_cluster_is_silent() -> None:
    def connect(_name: str) -> FakeCluster:
        raise ConnectionRefusedError

    with click.Context(program, obj=Session(connect=connect)) as context:
        assert completing.pods(context, "") == []

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from emulator.cli import boundary
from emulator.cli.program import SECTIONS, program
from emulator.cli.session import Session

from .conftest import Invoke

COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_the_same_in_both_helps(name: str) -> None:
    command = import_module(f"emulator.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    assert (command.help or "").split("\n\n")[0].replace("\n", " ").strip() == COMMANDS[name]


def test_no_command_file_is_unlisted() -> None:
    folder = Path(import_module("emulator.cli.commands").__file__ or "").parent
    assert {file.stem for file in folder.glob("*.py")} - {"__init__"} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_environment_variable_of_every_option(name: str, invoke: Invoke) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    command = import_module(f"emulator.cli.commands.{name}").command
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert " ".join(result.stdout.split()).count("env var:") == len(options)


def test_environment_variables_set_options(invoke: Invoke, cluster: object) -> None:
    result = invoke("probe", "shop/web-1", "shop/web-2", env={"MININETES_PROBE_EXPECT": "dropped"})
    assert result.exit_code == 1
    assert "expected dropped" in result.stdout


@pytest.mark.parametrize(("typed", "meant"), [("rnu", "run"), ("porbe", "probe"), ("aply", "apply")])
def test_unknown_command_is_answered_with_the_nearest(typed: str, meant: str, invoke: Invoke) -> None:
    result = invoke(typed)
    assert result.exit_code == 2
    assert meant in result.stderr


def test_unknown_option_is_answered_with_the_nearest(invoke: Invoke) -> None:
    result = invoke("probe", "a", "b", "--cuont", "3")
    assert result.exit_code == 2
    assert "--count" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (ValueError("nobody expects this"), 4),
        (FileNotFoundError(2, "No such file or directory", "x.yaml"), 2),
        (BrokenPipeError(), 0),
    ],
)
def test_every_error_ends_in_a_code(
    error: BaseException, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def connect(_name: str) -> object:
        raise error

    result = CliRunner().invoke(program, ["get", "pods"], obj=Session(connect=connect))  # type: ignore[arg-type]
    assert result.exit_code == code
    assert "Traceback" not in result.output
    if isinstance(error, BrokenPipeError):
        assert result.output == ""


def test_a_bug_leaves_its_traceback_in_a_file_or_on_vv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def connect(_name: str) -> object:
        raise ValueError("nobody expects this")

    session = Session(connect=connect)  # type: ignore[arg-type]
    CliRunner().invoke(program, ["get", "pods"], obj=session)
    (saved,) = (tmp_path / ".mininetes").glob("crash-*.txt")
    assert "nobody expects this" in saved.read_text()
    assert "Traceback" in CliRunner().invoke(program, ["get", "pods", "-vv"], obj=session).stderr


def test_missing_cluster_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MININETES_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    result = CliRunner().invoke(program, ["get", "pods", "--name", "nowhere"])
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert "mininetes up" in result.stderr


def test_help_is_quick() -> None:
    """150 ms is the promise. Processor time is measured: it does not depend on what else runs here."""
    took = []
    for _ in range(5):
        before = os.times()
        subprocess.run([sys.executable, "-m", "emulator.cli", "--help"], check=True, capture_output=True)
        after = os.times()
        took.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    assert min(took) < 0.15


@pytest.mark.parametrize("command", ["get", "probe", "exec", "describe"])
def test_quick_commands_import_nothing_heavy(command: str) -> None:
    script = f"""
import sys
from emulator.cli.program import program
from importlib import import_module
import_module("emulator.cli.commands.{command}")
import emulator.cli.listing, emulator.cli.probing, emulator.cli.entering, emulator.cli.describing
import emulator.engine.client
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    heavy = {
        "scapy",
        "pyroute2",
        "ryu",
        "eventlet",
        "mininet",
        "aiohttp",
        "jinja2",
        "ruamel",
        "jsonschema",
        "asyncio",
    }
    assert not loaded & heavy


def test_color_is_only_where_it_is_wanted(invoke: Invoke) -> None:
    assert "\x1b[" not in invoke("probe", "shop/web-1", "shop/web-2").stdout
    assert "\x1b[" in invoke("probe", "shop/web-1", "shop/web-2", "--color", "always").stdout
    assert "\x1b[" in invoke("--color", "always", "probe", "shop/web-1", "shop/web-2").stdout
    assert (
        "\x1b["
        not in invoke("probe", "shop/web-1", "shop/web-2", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, invoke: Invoke) -> None:
    result = invoke("completion", shell)
    assert result.exit_code == 0
    assert "_MININETES_COMPLETE" in result.stdout


def test_exit_codes_follow_an_exceptions_own() -> None:
    class Refusal(Exception):  # noqa: N818
        exit_code = 3

    assert boundary.exit_code(Refusal()) == 3
    assert boundary.exit_code(ValueError()) is None


@pytest.mark.parametrize("name", boundary._CODES)
def test_errors_known_by_name_exist(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(import_module(module), kind), Exception)

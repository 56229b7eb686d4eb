"""What holds for the whole project, whoever writes in it."""

from __future__ import annotations

import ast
import configparser
import os
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from importlinter import cli as importlinter

ROOT = Path(__file__).parents[2]
PRODUCT = ("emulator", "controllers")
EVERYTHING = (*PRODUCT, "tests", "bench")
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def test_rooms_import_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert importlinter.lint_imports(no_cache=True) == importlinter.EXIT_STATUS_SUCCESS


def test_every_room_has_its_layer() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    layers = setup["importlinter:contract:layers"]["layers"]
    rooms = {f"emulator.{path.parent.name}" for path in (ROOT / "emulator").glob("*/__init__.py")}
    assert rooms <= set(layers.replace("|", " ").split())


def test_modules_fit_a_head() -> None:
    lengths = {named(path): len(path.read_text().splitlines()) for path in modules(*EVERYTHING)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_functions_fit_a_screen() -> None:
    long = {
        f"{named(path)}::{node.name}": node.end_lineno - node.lineno
        for path in modules(*PRODUCT)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno > LONGEST_FUNCTION
    }
    assert long == {}


def test_nobody_sleeps() -> None:
    """Wait on an event, with a deadline; to let other tasks run once is no waiting."""
    found = [
        f"{named(path)}:{call.lineno}"
        for path in modules(*EVERYTHING)
        for call in calls(path)
        if ast.unparse(call.func).rpartition(".")[2] == "sleep" and ast.unparse(call) != "asyncio.sleep(0)"
    ]
    assert found == []


def test_no_shell_reads_what_we_run() -> None:
    found = [
        f"{named(path)}:{call.lineno}"
        for path in modules(*EVERYTHING)
        for call in calls(path)
        if ast.unparse(call.func) in ("os.system", "os.popen", "asyncio.create_subprocess_shell")
        or any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in call.keywords)
    ]
    assert found == []


def test_packages_say_what_they_are_for() -> None:
    """The first line of a room's `__init__` is a sentence, or the start of one."""
    folders = {path.parent for path in modules(*PRODUCT)}
    silent = [
        named(folder)
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists() or not ast.get_docstring(tree(folder / "__init__.py"))
    ]
    assert silent == []


def test_nothing_changes_at_module_level() -> None:
    """No function reaches for `global`."""
    found = [
        f"{named(path)}:{node.lineno}"
        for path in modules(*PRODUCT)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Global)
    ]
    assert found == []


def test_every_scenario_is_explained() -> None:
    scenarios = [Path(folder) for folder, _, files in os.walk(ROOT / "scenarios") if "scenario.yaml" in files]
    assert scenarios
    assert [named(one) for one in scenarios if not (one / "README.md").exists()] == []


def test_every_dependency_is_pinned() -> None:
    """What setup.cfg asks for, constraints.txt says the version of; pyproject.toml only says how to build."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"].values()
    wanted = "\n".join([setup["options"]["install_requires"], *extras]).split()
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {name.lower() for name in wanted} <= pinned
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system"}

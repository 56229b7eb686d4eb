"""Compiled modules: made where they are missing or older than their source, and left alone elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from emulator.engine.bytecode import compile_stale


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    inner = tmp_path / "package" / "inner"
    inner.mkdir(parents=True)
    (inner / "module.py").write_text("VALUE = 1\n")
    (inner / "notes.txt").write_text("not Python\n")
    return tmp_path / "package"


def compiled(package: Path) -> Path:
    return Path(cache_from_source(str(package / "inner" / "module.py")))


def is_used(package: Path) -> bool:
    """Whether Python imports the module without compiling it."""
    words = [sys.executable, "-v", "-B", "-c", "import inner.module"]
    done = subprocess.run(words, cwd=package, capture_output=True, text=True, check=True)
    return f"matches {package / 'inner' / 'module.py'}" in done.stderr


def test_a_module_that_was_never_compiled_is(package: Path) -> None:
    assert not is_used(package)
    compile_stale([package])
    assert is_used(package)
    assert [path.name for path in compiled(package).parent.iterdir()] == [compiled(package).name]


def test_a_changed_module_is_compiled_again(package: Path) -> None:
    compile_stale([package])
    (package / "inner" / "module.py").write_text("VALUE = 1234\n")
    assert not is_used(package)
    compile_stale([package])
    assert is_used(package)


@pytest.mark.parametrize("damage", [b"", b"\0" * 7, b"from another Python than this one"])
def test_a_damaged_file_is_replaced(package: Path, damage: bytes) -> None:
    compile_stale([package])
    compiled(package).write_bytes(damage)
    compile_stale([package])
    assert is_used(package)


def test_what_is_fresh_is_left_alone(package: Path) -> None:
    compile_stale([package])
    os.utime(compiled(package), (1, 1))
    compile_stale([package])
    assert compiled(package).stat().st_mtime == 1


def test_a_mistake_in_a_module_is_for_its_import_to_tell(package: Path) -> None:
    (package / "inner" / "module.py").write_text("def f(:\n")
    compile_stale([package])
    assert not compiled(package).exists()


def test_nothing_is_written_where_that_is_not_wanted(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compile_stale([package])
    assert not compiled(package).exists()


def test_a_directory_that_cannot_be_written_is_no_error(package: Path) -> None:
    (package / "inner" / "__pycache__").write_text("in the way\n")
    compile_stale([package])

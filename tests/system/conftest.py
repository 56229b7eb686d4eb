"""Sandboxes for tests that need the real thing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emulator.sandbox import Sandbox, launch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.system)


@pytest.fixture
def clusters_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of this test's own, with a short path because of the sockets in it."""
    home = Path(tempfile.mkdtemp(prefix="mn-"))
    monkeypatch.setenv("MININETES_HOME", str(home))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def launched(clusters_home: Path) -> Iterator[Callable[..., Sandbox]]:
    """`launch` with sandboxes that end with the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(launch(*arguments, **options))


@pytest.fixture
def sandbox(launched: Callable[..., Sandbox]) -> Sandbox:
    """A running sandbox without services."""
    return launched("test")

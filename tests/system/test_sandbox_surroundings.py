"""Sandboxes in surroundings that are less usual: a strict umask, a home that cannot be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.sandbox import Sandbox, SandboxError
from tests.system.inside import out

pytestmark = pytest.mark.sandbox

Launch = Callable[..., Sandbox]


@pytest.fixture(params=[0o077, 0o027])
def strict_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    previous = os.umask(request.param)
    yield
    os.umask(previous)


@pytest.mark.usefixtures("strict_umask")
def test_a_strict_umask_keeps_nobody_out(launched: Launch, clusters_home: Path) -> None:
    sandbox = launched("strict")
    assert out(sandbox, "ovs-appctl version").startswith("ovs-vswitchd")
    assert (clusters_home / "strict").stat().st_mode & 0o077 == 0


def test_a_home_that_cannot_be_written_is_told_with_the_way_out(
    launched: Launch, clusters_home: Path
) -> None:
    (clusters_home / "file").write_text("in the way")
    with pytest.raises(SandboxError, match="cannot be made: Not a directory") as refused:
        launched("homeless", run_dir=clusters_home / "file" / "run")
    assert "MININETES_HOME" in refused.value.hint

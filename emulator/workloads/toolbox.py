"""Installs the programs of ours that containers find."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from emulator.workloads.images import server_executables
from emulator.workloads.rootfs import SHARED_DIRECTORIES
from emulator.workloads.spec import PATH

BUSYBOX_TOOLS = "busybox"
"""The directory of those that only busybox images find."""
SERVERS = "servers"
"""The directory of those that stand for server programs."""
EVERYWHERE = "everywhere"
"""The directory of those that all containers find first."""
_SERVER = "server"
_PACKAGES = "packages"
_PACKAGE_MANAGERS = ("apk", "apt", "apt-get", "dnf", "microdnf", "pip", "pip3", "yum", "zypper")
_SOURCE = Path(__file__).parent / "tools"


def install(directory: Path) -> None:
    """Put the programs into `directory`, which is made anew, for an interpreter that containers see."""
    if directory.exists():
        shutil.rmtree(directory)
    interpreter = _interpreter()
    for part in (SERVERS, EVERYWHERE):
        (directory / part).mkdir(parents=True)
    for program in sorted(_SOURCE.rglob("[a-z]*.py")):
        target = (directory / program.relative_to(_SOURCE)).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        if interpreter is not None:
            _, _, rest = program.read_text().partition("\n")
            target.write_text(f"#!{interpreter} -ISs\n{rest}")
            target.chmod(0o755)
    if interpreter is None:
        return
    _rename(directory / _SERVER, [directory / SERVERS / name for name in server_executables()])
    everywhere = directory / EVERYWHERE
    _rename(everywhere / _PACKAGES, [everywhere / name for name in _PACKAGE_MANAGERS])
    python = shutil.which("python3", path=PATH)
    if python and not shutil.which("python", path=PATH):
        (everywhere / "python").symlink_to(python)


def _rename(program: Path, names: Iterable[Path]) -> None:
    """Let `program` be found under all `names`, and no longer under its own."""
    for name in names:
        os.link(program, name)
    program.unlink()


def _interpreter() -> str | None:
    """A Python that is there inside containers: ours, unless it lives in somebody's home."""
    ours = os.path.realpath(sys.executable)
    return ours if Path(ours).parts[1] in SHARED_DIRECTORIES else shutil.which("python3", path=PATH)

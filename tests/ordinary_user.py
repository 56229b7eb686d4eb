"""Run a command as an ordinary user who exists nowhere but in a mount namespace of its own. For root only.

    python tests/ordinary_user.py [--subordinate] COMMAND...

The user gets a home of its own, a tun node that everybody may open, and with `--subordinate` a range of
subordinate ids; the host's users, files and device nodes are not touched, and nothing is left afterwards.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from emulator.linux import mounts, namespaces
from emulator.linux.mounts import MountFlag
from emulator.linux.namespaces import Namespace

USER = 59_999
FIRST_SUBORDINATE = 200_000
NAME = "mininetes-tester"


def main() -> int:
    arguments = sys.argv[1:]
    subordinate = arguments[0] == "--subordinate"
    stage = Path(tempfile.mkdtemp(prefix="mininetes-user-"))
    stage.chmod(0o755)
    home = stage / "home"
    home.mkdir(mode=0o755)
    os.chown(home, USER, USER)
    child = os.fork()
    if child == 0:
        _become(stage, home, subordinate=subordinate)
        command = arguments[subordinate:]
        os.execvpe(command[0], command, _environment(home))
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        shutil.rmtree(stage)


def _become(stage: Path, home: Path, *, subordinate: bool) -> None:
    project = Path.cwd()
    namespaces.unshare(Namespace.MOUNT)
    mounts.mount(None, "/", None, MountFlag.RECURSIVE | MountFlag.PRIVATE)
    tree = mounts.clone_tree(str(project))
    _bind(_device(stage / "tun"), "/dev/net/tun")
    ids = f"{NAME}:{FIRST_SUBORDINATE}:65536\n" if subordinate else ""
    for path, line in {
        "/etc/passwd": f"{NAME}:x:{USER}:{USER}::{home}:/bin/sh\n",
        "/etc/group": f"{NAME}:x:{USER}:\n",
        "/etc/subuid": ids,
        "/etc/subgid": ids,
    }.items():
        if Path(path).exists():
            copy = stage / Path(path).name
            copy.write_text(Path(path).read_text() + line)
            _bind(copy, path)
    closed = [parent for parent in project.parents if not parent.stat().st_mode & stat.S_IXOTH]
    if closed:
        mounts.mount("tests", str(closed[-1]), "tmpfs", MountFlag.NO_SUID, "mode=755")
        project.mkdir(parents=True, exist_ok=True)
        mounts.attach_tree(tree, str(project))
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.umask(0o022)
    os.chdir(project)


def _device(path: Path) -> Path:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(10, 200))
    path.chmod(0o666)
    return path


def _bind(source: Path, target: str) -> None:
    mounts.mount(str(source), target, None, MountFlag.BIND)


def _environment(home: Path) -> dict[str, str]:
    names = ("CI", "PATH", "TERM", "LANG", "MININETES_STRICT")
    return {
        **{name: os.environ[name] for name in names if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(home),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }


if __name__ == "__main__":
    sys.exit(main())

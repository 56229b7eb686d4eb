"""What a sandbox could leave on the host, and who belongs to it."""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE = 10.0

_RESTLESS = (
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "fs/quota/",
    "kernel/ns_last_pid",
    "kernel/pty/nr",
    "kernel/random/",
    "net/netfilter/nf_conntrack_count",
)


def members(home: Path) -> set[int]:
    """Processes that were started for clusters of this state directory, or live in one of them."""
    marker = os.fsencode(home)
    return {pid for pid in _processes() if pid != os.getpid() and marker in _traces(pid)}


def _processes() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _traces(pid: int) -> bytes:
    traces = b""
    for name in ("environ", "mountinfo"):
        with suppress(OSError):
            traces += Path(f"/proc/{pid}/{name}").read_bytes()
    return traces


def _leaving() -> set[int]:
    """Processes on their way out, of whom nothing tells any more where they lived.

    The first process of a pid namespace gives up its mounts, and only then waits for all others to die.
    """
    return {pid for pid in _processes() if _has_no_mounts(pid) and _state(pid) not in "ZX"}


def _has_no_mounts(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/mountinfo").read_bytes()
    except OSError as error:
        return error.errno in (errno.EINVAL, errno.ENOENT)
    return False


def _state(pid: int) -> str:
    try:
        return _stat(pid)[0]
    except OSError:
        return "X"


def await_end(home: Path, *, besides: frozenset[int] = frozenset()) -> None:
    """Wait until no member is left; fails with their command lines when they stay."""
    deadline = time.monotonic() + PATIENCE
    while left := members(home) - besides:
        pid = left.pop()
        assert _ends(pid, deadline), f"still there: {pid} {_command_line(pid)}"
    for pid in _leaving():  # some may be strangers, which are nobody's business here
        _ends(pid, deadline)


def _ends(pid: int, deadline: float) -> bool:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    ended = bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    os.close(fd)
    return ended


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def namespaces_of(pid: int) -> set[str]:
    """The namespaces of a process, by their kind and inode."""
    return {os.readlink(entry) for entry in Path(f"/proc/{pid}/ns").iterdir()}


def now() -> float:
    """Seconds since the machine started, as the ages of processes are counted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def namespaces_in_use(before: float) -> set[str]:
    """Every namespace that some process is in which was started `before`.

    The kernel gives the numbers of namespaces that are gone to new ones, maybe of another cluster.
    """
    found = set()
    for pid in _processes():
        with suppress(OSError):
            if _started(pid) < before:
                found |= namespaces_of(pid)
    return found


def _started(pid: int) -> float:
    return int(_stat(pid)[19]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of a process's `stat` from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def state() -> dict[str, object]:
    """The host's interfaces, mounts and sysctls, as far as they hold still by themselves."""
    return {
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "mounts": sorted(
            line.split(" ", 3)[3] for line in Path("/proc/self/mountinfo").read_text().splitlines()
        ),
        "sysctls": dict(_sysctls()),
    }


def _sysctls() -> Iterator[tuple[str, bytes]]:
    root = Path("/proc/sys")
    for directory, _, files in os.walk(root):
        for name in files:
            path = Path(directory, name)
            key = str(path.relative_to(root))
            if not key.startswith(_RESTLESS):
                with suppress(OSError):
                    yield key, path.read_bytes()


def files(home: Path) -> list[str]:
    """What lies in a state directory, but for the logs that a crash leaves in a run directory."""
    kept = ("var", "var/log", "var/ovs")
    found = []
    for path in sorted(home.rglob("*")):
        run_dir, *rest = path.relative_to(home).parts
        inside = "/".join(rest)
        if inside and inside not in kept and not inside.startswith(("var/log/", "var/ovs/")):
            found.append(f"{run_dir}/{inside}")
        elif not inside and not path.is_dir():
            found.append(run_dir)
    return found

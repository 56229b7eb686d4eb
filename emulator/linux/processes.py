"""What a process may ask of the kernel about itself and its children."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence

from emulator.linux.calls import checked, libc

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def _prctl(what: str, option: int, value: object) -> None:
    zero = ctypes.c_ulong(0)
    checked(f"prctl {what}", libc.prctl(ctypes.c_int(option), value, zero, zero, zero))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies.

    A change of user or capabilities may revoke it. Raises OSError.
    """
    _prctl("PDEATHSIG", _PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent dies. Raises OSError."""
    _prctl("CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def allow_inspection() -> None:
    """Let /proc/<pid> belong to this process' user again; a change of user takes that away.

    Raises OSError.
    """
    _prctl("DUMPABLE", _PR_SET_DUMPABLE, ctypes.c_ulong(1))


def forbid_inspection() -> None:
    """Keep equals from tracing this process or opening what its `/proc` entry leads to. Raises OSError."""
    _prctl("DUMPABLE", _PR_SET_DUMPABLE, ctypes.c_ulong(0))


def name_process(name: str) -> None:
    """Set the name that `ps` and `top` show for this thread; the kernel keeps 15 bytes. Raises OSError."""
    _prctl("NAME", _PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def renounce_privileges() -> None:
    """Set no_new_privs: no exec can give this process or its descendants more rights. Raises OSError."""
    _prctl("NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))


def reaped() -> Iterator[tuple[int, int]]:
    """The ids and wait statuses of children that have ended; waits for none."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def shell_status(status: int) -> int:
    """The exit status that a shell makes of a wait status: 128 + number when a signal ended the process."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


class CommandLine:
    """The memory that `/proc/PID/cmdline` shows, which this process and its forks may rewrite."""

    def __init__(self) -> None:
        with open("/proc/self/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        self._start, end = int(fields[45]), int(fields[46])
        self._size = end - self._start

    def show(self, words: Sequence[str]) -> None:
        """Make `ps` show `words` instead of this process' arguments; what does not fit is cut."""
        text = b"\0".join(word.encode() for word in words)[: self._size - 1]
        ctypes.memmove(self._start, text.ljust(self._size, b"\0"), self._size)

"""A timer that can be waited for together with sockets (timerfd)."""

from __future__ import annotations

import ctypes
import os
import time

from emulator.linux.calls import checked, libc

_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_ABSOLUTE = 1


class _Setting(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class Timer:
    """Readable from a moment of `time.monotonic()` on; epoll itself counts whole milliseconds."""

    def __init__(self) -> None:
        flags = ctypes.c_int(_CLOEXEC | _NONBLOCK)
        self._fd = checked("make a timer", libc.timerfd_create(ctypes.c_int(time.CLOCK_MONOTONIC), flags))

    def fileno(self) -> int:
        """Readable when it is time."""
        return self._fd

    def set(self, moment: float | None) -> None:
        """Wake at that moment, at once when it is past; None: not at all. The last call counts."""
        # A moment of zero would switch the timer off.
        seconds = 0.0 if moment is None else max(moment, 1e-6)
        setting = _Setting(0, 0, int(seconds), int(seconds % 1 * 1_000_000_000))
        checked(
            "set a timer",
            libc.timerfd_settime(
                ctypes.c_int(self._fd), ctypes.c_int(_ABSOLUTE), ctypes.byref(setting), None
            ),
        )

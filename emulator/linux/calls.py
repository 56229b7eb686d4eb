"""The C library, and the kernel's refusals as OSError."""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def checked(what: str, result: int) -> int:
    """The result of a call of `libc`. Raises OSError that begins with `what` when the call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(what: str, number: int, *arguments: object) -> int:
    """Make a system call that the C library has no function for. Raises OSError."""
    return checked(what, libc.syscall(ctypes.c_long(number), *arguments))


def text(path: str | None) -> ctypes.c_char_p:
    """A path, or a null pointer, as the kernel takes it."""
    return ctypes.c_char_p(None if path is None else os.fsencode(path))

"""Entering and leaving Linux namespaces."""

from __future__ import annotations

import ctypes
import os
from enum import IntFlag
from pathlib import Path

from emulator.linux.calls import checked, libc


class Namespace(IntFlag):
    """Kinds of Linux namespaces, as clone(2) and setns(2) number them."""

    MOUNT = 0x00020000
    UTS = 0x04000000
    IPC = 0x08000000
    USER = 0x10000000
    PID = 0x20000000
    NET = 0x40000000


def unshare(namespaces: Namespace) -> None:
    """Move the calling process (for `PID`: its next child) into new namespaces. Raises OSError."""
    checked(f"unshare {namespaces!r}", libc.unshare(ctypes.c_int(namespaces)))


def setns(descriptor: int, namespaces: Namespace) -> None:
    """Enter the namespaces of a namespace file or of a pidfd. Raises OSError."""
    checked(f"setns {namespaces!r}", libc.setns(ctypes.c_int(descriptor), ctypes.c_int(namespaces)))


def enter_netns(path: Path) -> None:
    """Move the calling thread into the network namespace of that name for good. Raises OSError.

    A socket keeps the network namespace it was made in, so one process can hold sockets of every pod.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        checked(f"enter the network namespace {path}", libc.setns(descriptor, ctypes.c_int(Namespace.NET)))
    finally:
        os.close(descriptor)

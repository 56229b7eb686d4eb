"""The few system calls that Python 3.11 has no function for, each raising OSError as the kernel means it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from enum import IntFlag


class Namespace(IntFlag):
    """Kinds of Linux namespaces, as clone(2) and setns(2) number them."""

    MOUNT = 0x00020000
    UTS = 0x04000000
    IPC = 0x08000000
    USER = 0x10000000
    PID = 0x20000000
    NET = 0x40000000


class MountFlag(IntFlag):
    """Flags of mount(2)."""

    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEV = 0x4
    NO_EXEC = 0x8
    BIND = 0x1000
    RECURSIVE = 0x4000
    PRIVATE = 0x40000


class MountAttribute(IntFlag):
    """Attributes of mount_setattr(2)."""

    READ_ONLY = 0x1
    NO_SUID = 0x2
    ID_MAPPED = 0x00100000


NO_ATTRIBUTE = MountAttribute(0)

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4

# These three numbers are the same on every architecture: they were given out after 2018.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _call(what: str, function: Callable[..., int], *arguments: object) -> int:
    result = int(function(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _path(path: str | None) -> ctypes.c_char_p:
    return ctypes.c_char_p(None if path is None else os.fsencode(path))


def _syscall(what: str, number: int, *arguments: object) -> int:
    return _call(what, _libc.syscall, ctypes.c_long(number), *arguments)


def unshare(namespaces: Namespace) -> None:
    """Move the calling process (for `PID`: its next child) into new namespaces."""
    _call(f"unshare {namespaces!r}", _libc.unshare, ctypes.c_int(namespaces))


def setns(fd: int, namespaces: Namespace) -> None:
    """Enter the namespaces of a namespace file or of a pidfd."""
    _call(f"setns {namespaces!r}", _libc.setns, ctypes.c_int(fd), ctypes.c_int(namespaces))


def mount(source: str | None, target: str, kind: str | None, flags: MountFlag, options: str = "") -> None:
    """Mount `source` on `target`; see mount(2)."""
    _call(
        f"mount {kind or source or flags!r} on {target}",
        _libc.mount,
        _path(source),
        _path(target),
        _path(kind),
        ctypes.c_ulong(flags),
        _path(options) if options else None,
    )


def clone_tree(path: str) -> int:
    """Take a detached copy of the mounts at and below `path`; returns its file descriptor."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return _syscall(
        f"open_tree {path}", _SYS_OPEN_TREE, ctypes.c_int(_AT_FDCWD), _path(path), ctypes.c_uint(flags)
    )


def attach_tree(tree: int, target: str) -> None:
    """Attach a detached copy of mounts to `target`."""
    _syscall(
        f"move_mount to {target}",
        _SYS_MOVE_MOUNT,
        ctypes.c_int(tree),
        _path(""),
        ctypes.c_int(_AT_FDCWD),
        _path(target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )


def change_tree(
    tree: int | str,
    *,
    add: MountAttribute = NO_ATTRIBUTE,
    remove: MountAttribute = NO_ATTRIBUTE,
    users: int = -1,
) -> None:
    """Change the attributes of every mount at and below a path or a detached copy.

    `users` is the file descriptor of the user namespace whose map `ID_MAPPED` applies.
    """
    attributes = _MountAttr(int(add), int(remove), 0, max(users, 0))
    fd, path = (tree, "") if isinstance(tree, int) else (_AT_FDCWD, tree)
    _syscall(
        f"mount_setattr {tree}",
        _SYS_MOUNT_SETATTR,
        ctypes.c_int(fd),
        _path(path),
        ctypes.c_uint(_AT_RECURSIVE | (_AT_EMPTY_PATH if isinstance(tree, int) else 0)),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )


def _prctl(what: str, option: int, value: object) -> None:
    zero = ctypes.c_ulong(0)
    _call(what, _libc.prctl, ctypes.c_int(option), value, zero, zero, zero)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent dies; forgotten at every change of user."""
    _prctl("prctl PDEATHSIG", _PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number))


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent dies."""
    _prctl("prctl CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def allow_inspection() -> None:
    """Let /proc/<pid> belong to this process's user again; a change of user takes that away."""
    _prctl("prctl DUMPABLE", _PR_SET_DUMPABLE, ctypes.c_ulong(1))


def name_process(name: str) -> None:
    """Set the name (at most 15 bytes) that `ps` and `top` show."""
    _prctl("prctl NAME", _PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def is_unsupported(error: OSError) -> bool:
    """Whether the kernel or the file system lacks the asked feature, as opposed to refusing it."""
    return error.errno in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

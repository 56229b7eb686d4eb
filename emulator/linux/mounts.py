"""Mounts: mount(2) and the calls for trees of mounts that came after it."""

from __future__ import annotations

import ctypes
import errno
import os
from enum import IntFlag

from emulator.linux.calls import checked, libc, syscall, text


class MountFlag(IntFlag):
    """Flags of mount(2)."""

    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEV = 0x4
    NO_EXEC = 0x8
    REMOUNT = 0x20
    BIND = 0x1000
    RECURSIVE = 0x4000
    PRIVATE = 0x40000


class MountAttribute(IntFlag):
    """Attributes of mount_setattr(2)."""

    READ_ONLY = 0x1
    NO_SUID = 0x2
    ID_MAPPED = 0x00100000


NO_FLAG = MountFlag(0)
NO_ATTRIBUTE = MountAttribute(0)

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_MNT_DETACH = 2
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4

_SYS_PIVOT_ROOT = 155 if os.uname().machine == "x86_64" else 41
# These three numbers are the same on every architecture: they were given out after 2018.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def mount(
    source: str | None, target: str, kind: str | None = None, flags: MountFlag = NO_FLAG, options: str = ""
) -> None:
    """Mount `source` on `target`; see mount(2). Raises OSError, which names the target."""
    result = libc.mount(
        text(source), text(target), text(kind), ctypes.c_ulong(flags), text(options) if options else None
    )
    checked(f"mount {kind or source or flags!r} on {target}", result)


def bind(source: str, target: str) -> None:
    """Show `source`, with everything mounted below it, at `target` too. Raises OSError."""
    mount(source, target, flags=MountFlag.BIND | MountFlag.RECURSIVE)


def unmount(target: str) -> None:
    """Take away `target` and all mounts below it, now for names and later for open files. Raises OSError."""
    checked(f"unmount {target}", libc.umount2(text(target), _MNT_DETACH))


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root of this mount namespace and show the previous one at `old`, a directory in it.

    Raises OSError.
    """
    syscall(f"pivot_root {new}", _SYS_PIVOT_ROOT, text(new), text(old))
    os.chdir("/")


def clone_tree(path: str) -> int:
    """Take a detached copy of the mounts at and below `path`; returns its file descriptor. Raises OSError."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return syscall(
        f"open_tree {path}", _SYS_OPEN_TREE, ctypes.c_int(_AT_FDCWD), text(path), ctypes.c_uint(flags)
    )


def attach_tree(tree: int, target: str) -> None:
    """Attach a detached copy of mounts to `target`. Raises OSError."""
    syscall(
        f"move_mount to {target}",
        _SYS_MOVE_MOUNT,
        ctypes.c_int(tree),
        text(""),
        ctypes.c_int(_AT_FDCWD),
        text(target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )


def change_tree(
    tree: int | str,
    *,
    add: MountAttribute = NO_ATTRIBUTE,
    remove: MountAttribute = NO_ATTRIBUTE,
    users: int = -1,
) -> None:
    """Change the attributes of every mount at and below a path or a detached copy (Linux 5.12).

    `users` is the file descriptor of the user namespace whose map `ID_MAPPED` applies. Raises OSError.
    """
    attributes = _MountAttr(int(add), int(remove), 0, max(users, 0))
    fd, path = (tree, "") if isinstance(tree, int) else (_AT_FDCWD, tree)
    syscall(
        f"mount_setattr {tree}",
        _SYS_MOUNT_SETATTR,
        ctypes.c_int(fd),
        text(path),
        ctypes.c_uint(_AT_RECURSIVE | (_AT_EMPTY_PATH if isinstance(tree, int) else 0)),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )


def make_read_only(target: str) -> None:
    """Forbid writing through `target` and all mounts below it. Raises OSError."""
    change_tree(target, add=MountAttribute.READ_ONLY)


def is_unsupported(error: OSError) -> bool:
    """Whether the kernel or the file system lacks the asked feature, as opposed to refusing it."""
    return error.errno in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

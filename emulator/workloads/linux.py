"""The Linux calls that make a container and that Python's standard library lacks.

Standard library only, and quick to import: the spawner and `enter` start with it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from enum import IntEnum, IntFlag


class Namespace(IntFlag):
    """Kinds of namespaces, as `unshare` and `setns` number them."""

    MOUNT = 0x00020000
    UTS = 0x04000000
    IPC = 0x08000000
    PID = 0x20000000
    NET = 0x40000000


class MountFlag(IntFlag):
    """Flags of mount(2)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    REMOUNT = 0x20
    BIND = 0x1000
    REC = 0x4000
    PRIVATE = 0x40000


class Capability(IntEnum):
    """Capabilities by their kernel numbers (capabilities(7)), without their CAP_ prefix."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    LINUX_IMMUTABLE = 9
    NET_BIND_SERVICE = 10
    NET_BROADCAST = 11
    NET_ADMIN = 12
    NET_RAW = 13
    IPC_LOCK = 14
    IPC_OWNER = 15
    SYS_MODULE = 16
    SYS_RAWIO = 17
    SYS_CHROOT = 18
    SYS_PTRACE = 19
    SYS_PACCT = 20
    SYS_ADMIN = 21
    SYS_BOOT = 22
    SYS_NICE = 23
    SYS_RESOURCE = 24
    SYS_TIME = 25
    SYS_TTY_CONFIG = 26
    MKNOD = 27
    LEASE = 28
    AUDIT_WRITE = 29
    AUDIT_CONTROL = 30
    SETFCAP = 31


_MNT_DETACH = 2
_SYS_PIVOT_ROOT = 155 if os.uname().machine == "x86_64" else 41
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)


def unshare(namespaces: Namespace) -> None:
    """Leave the caller's namespaces for new ones. Raises OSError."""
    _check(_libc.unshare(int(namespaces)), "unshare")


def set_namespace(descriptor: int, namespaces: Namespace) -> None:
    """Enter the namespaces that `descriptor` (of a namespace file, or a pidfd) leads to. Raises OSError."""
    _check(_libc.setns(descriptor, int(namespaces)), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError, which names the target."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, target)


def bind(source: str, target: str) -> None:
    """Show `source`, with everything mounted below it, at `target` too."""
    mount(source, target, flags=MountFlag.BIND | MountFlag.REC)


def make_read_only(target: str) -> None:
    """Forbid writing through `target` and all mounts below it (mount_setattr(2), Linux 5.12)."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(target.encode()),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )
    _check(result, target)


def unmount(target: str) -> None:
    """Take away `target` and all mounts below it, now for names and later for open files."""
    _check(_libc.umount2(target.encode(), _MNT_DETACH), target)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root of this mount namespace and show the previous one at `old`, a directory in it."""
    _check(_libc.syscall(ctypes.c_long(_SYS_PIVOT_ROOT), new.encode(), old.encode()), new)
    os.chdir("/")


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent dies. A change of user or capabilities may revoke it."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "PR_SET_PDEATHSIG")


def set_name(name: str) -> None:
    """Set the name that `ps` shows for this thread; the kernel keeps 15 bytes of it."""
    _check(_libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0), "PR_SET_NAME")


def forbid_inspection() -> None:
    """Keep equals from tracing this process or opening what its `/proc` entry leads to."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")


def renounce_privileges() -> None:
    """Set no_new_privs: no exec can give this process or its descendants more rights than they have."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")


def limit_bounding_set(keep: frozenset[int]) -> None:
    """Drop every capability outside `keep` from the bounding set, so that no exec can bring it back."""
    number = 0
    while _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        if number not in keep:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "PR_CAPBSET_DROP")
        number += 1


def limit_capabilities(keep: frozenset[int]) -> None:
    """Hold no capability outside `keep`; nothing is inheritable or ambient."""
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    held = sum(1 << number for number in keep) & _permitted()
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = held & 0xFFFFFFFF, held >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    _check(_libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(data)), "capset")


def _permitted() -> int:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data), "capget")
    _, low, _, _, high, _ = struct.unpack("=6I", data.raw[:24])
    return int(low | high << 32)


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

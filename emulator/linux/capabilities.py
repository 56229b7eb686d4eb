"""Capabilities: which there are, and giving them up for good."""

from __future__ import annotations

import ctypes
import struct
from enum import IntEnum

from emulator.linux.calls import checked, libc

_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522


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


def limit_bounding_set(keep: frozenset[int]) -> None:
    """Drop every capability outside `keep` from the bounding set, so that no exec can bring it back.

    Raises OSError.
    """
    number = 0
    while libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        if number not in keep:
            checked("prctl CAPBSET_DROP", libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))
        number += 1


def limit_capabilities(keep: frozenset[int]) -> None:
    """Hold no capability outside `keep`; nothing is inheritable or ambient. Raises OSError."""
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    held = sum(1 << number for number in keep) & _permitted()
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = held & 0xFFFFFFFF, held >> 32
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    checked("capset", libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(data)))


def _permitted() -> int:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    checked("capget", libc.capget(header, data))
    _, low, _, _, high, _ = struct.unpack("=6I", data.raw[:24])
    return int(low | high << 32)

"""Offloads of interfaces, by the same ioctl that ethtool(8) makes."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterable
from enum import IntEnum

_SIOCETHTOOL = 0x8946
_GET_LINK = 0x0A


class Feature(IntEnum):
    """What `ethtool -K` can switch; the values are the ioctl's commands."""

    TX_CHECKSUM = 0x17  # takes segmentation offload with it
    RECEIVE_OFFLOAD = 0x2C


def switch_off(interface: str, feature: Feature) -> None:
    """Switch an offload of an interface in the caller's netns off. Raises OSError."""
    _ioctl(interface, feature)


def settle_links(interfaces: Iterable[str]) -> None:
    """Have the kernel act on carriers that came up, at once instead of within a second.

    Until it does, a device drops what is sent through it. Asking for the link state is what makes it.
    """
    for interface in interfaces:
        _ioctl(interface, _GET_LINK)


def _ioctl(interface: str, command: int) -> None:
    value = ctypes.create_string_buffer(struct.pack("=II", command, 0), 8)
    request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)

"""Captures as pcapng, the format of Wireshark and tcpdump: one interface a place, with its name.

Blocks and options: IETF draft-ietf-opsawg-pcapng. Written as a stream, so a capture of any length
needs no memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from emulator.probes.capture import Direction, Record

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER = 0x1A2B3C4D
_ETHERNET, _RAW_IP = 1, 101
_ARPHRD_NONE = 0xFFFE
_END, _COMMENT = 0, 1
_IF_NAME, _IF_TSRESOL = 2, 9
_EPB_FLAGS = 2
_NANOSECONDS = b"\x09"


class PcapngWriter:
    """Turns records into pcapng and hands the bytes to `write`, the header at once."""

    def __init__(self, write: Callable[[bytes], object], comment: str = "") -> None:
        self._write = write
        self._interfaces: dict[tuple[str, str], int] = {}
        options = _option(_COMMENT, comment.encode()) if comment else b""
        body = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + options + _option(_END, b"")
        self._write(_block(_SECTION, body))

    def add(self, record: Record, comment: str = "") -> None:
        """Write one packet, with a comment that Wireshark shows beside it."""
        interface = self._interface(record)
        high, low = divmod(record.time, 1 << 32)
        inbound = 1 if record.direction is Direction.IN else 2
        options = _option(_EPB_FLAGS, struct.pack("<I", inbound))
        if comment:
            options += _option(_COMMENT, comment.encode())
        size = len(record.frame)
        head = struct.pack("<IIIII", interface, high, low, size, max(size, record.length))
        self._write(_block(_PACKET, head + _padded(record.frame) + options + _option(_END, b"")))

    def _interface(self, record: Record) -> int:
        key = (record.at, record.interface)
        if key not in self._interfaces:
            self._interfaces[key] = len(self._interfaces)
            name = record.at if record.interface == record.at else f"{record.at} {record.interface}"
            options = _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, _NANOSECONDS)
            link = _RAW_IP if record.hardware == _ARPHRD_NONE else _ETHERNET
            self._write(_block(_INTERFACE, struct.pack("<HHI", link, 0, 0) + options + _option(_END, b"")))
        return self._interfaces[key]


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

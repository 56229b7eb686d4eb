"""Takes up the last place in a conntrack zone: with a connection that nobody has, and that does not end."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_SYN, _ACK = 0x02, 0x10
_ENDS = ("192.0.2.1", "192.0.2.2")
"""Of the range that is kept for documentation (RFC 5737)."""
_PORT = 9
"""discard (RFC 863), at both ends."""
TUPLE = f"ct_nw_src={_ENDS[0]},ct_nw_dst={_ENDS[1]},ct_nw_proto=6,ct_tp_src={_PORT},ct_tp_dst={_PORT}"
"""The connection as `dpctl/flush-conntrack` takes it."""


def handshake() -> Iterator[bytes]:
    """The frames that establish it: Open vSwitch keeps it for a day then."""
    there, back = _ENDS, _ENDS[::-1]
    yield _frame(there, _SYN, 1, 0)
    yield _frame(back, _SYN | _ACK, 1, 2)
    yield _frame(there, _ACK, 2, 2)


def _frame(ends: tuple[str, ...], flags: int, sequence: int, acknowledged: int) -> bytes:
    source, destination = map(socket.inet_aton, ends)
    segment = struct.pack("!HHIIBBHHH", _PORT, _PORT, sequence, acknowledged, 5 << 4, flags, 1024, 0, 0)
    pseudo = source + destination + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(segment))
    segment = segment[:16] + _checksum(pseudo + segment) + segment[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, socket.IPPROTO_TCP, 0)
    head += source + destination
    head = head[:10] + _checksum(head) + head[12:]
    return bytes(12) + struct.pack("!H", 0x0800) + head + segment


def _checksum(data: bytes) -> bytes:
    """Of RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)

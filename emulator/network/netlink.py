"""Route netlink in batches: many requests, one system call.

A `Request` is one message with the reason it is sent; `Netlink.execute` sends a sequence of them
and raises for the first that the kernel refuses. The messages themselves are in `rtnl`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

NETLINK_ROUTE = 0
NETLINK_GENERIC = 16
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1
_NLMSG_ERROR = 2
_NLMSG_DONE = 3

_BATCH = 64
"""Requests in flight: their acknowledgements must fit the socket's receive buffer."""
_RECEIVE = 1 << 17


class NetlinkError(OSError):
    """The kernel refused a request. `str()` says which one, and what the kernel said about it."""

    def __init__(self, number: int, purpose: str, explanation: str) -> None:
        super().__init__(number, f"{purpose}: {explanation or os.strerror(number)}")
        self.purpose = purpose


@dataclass(frozen=True, slots=True)
class Request:
    """One netlink message. Errors of the numbers in `tolerate` mean that there was nothing to do."""

    kind: int
    flags: int
    payload: bytes
    purpose: str
    tolerate: tuple[int, ...] = ()


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in `data`, without the nested and byte-order bits of their kinds."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


class Netlink:
    """A netlink socket. It belongs to the netns that the calling thread is in when it is made."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def execute(self, requests: Sequence[Request]) -> None:
        """Send all requests, in order. Raises NetlinkError for the first one refused; the rest were sent."""
        refused: NetlinkError | None = None
        for start in range(0, len(requests), _BATCH):
            refused = self._execute_batch(requests[start : start + _BATCH])
            if refused:
                raise refused

    def dump(self, kind: int, payload: bytes) -> list[bytes]:
        """The payloads of all objects that a dump request of that kind answers with."""
        self._sequence += 1
        self._send(kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, payload)
        found: list[bytes] = []
        while True:
            for message_kind, flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if message_kind == _NLMSG_ERROR:
                    raise _error_in(flags, body, "list objects")
                if message_kind == _NLMSG_DONE:
                    return found
                found.append(body)

    def _execute_batch(self, batch: Sequence[Request]) -> NetlinkError | None:
        first = self._sequence + 1
        self._sequence += len(batch)
        buffer = b"".join(
            _message(
                request.kind, request.flags | NLM_F_REQUEST | NLM_F_ACK, first + position, request.payload
            )
            for position, request in enumerate(batch)
        )
        self._socket.sendto(buffer, (0, 0))
        missing = len(batch)
        refused: NetlinkError | None = None
        while missing:
            for kind, flags, sequence, body in self._receive():
                if kind != _NLMSG_ERROR or not first <= sequence <= self._sequence:
                    continue
                missing -= 1
                request = batch[sequence - first]
                problem = _error_in(flags, body, request.purpose)
                if problem.errno and problem.errno not in request.tolerate and refused is None:
                    refused = problem
        return refused

    def _send(self, kind: int, flags: int, sequence: int, payload: bytes) -> None:
        self._socket.sendto(_message(kind, flags, sequence, payload), (0, 0))

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        yield from _headed(self._socket.recv(_RECEIVE))


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and payload of each message that the kernel sent in one piece."""
    return ((kind, body) for kind, _, _, body in _headed(data))


def _headed(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags, sequence, 0) + payload


def _error_in(flags: int, body: bytes, purpose: str) -> NetlinkError:
    number = -_ERROR.unpack_from(body)[0]
    explanation = ""
    if flags & _NLM_F_ACK_TLVS:
        quoted = struct.unpack_from("=I", body, 4)[0]
        skipped = _ERROR.size + (_HEADER.size if flags & _NLM_F_CAPPED else (quoted + 3) & ~3)
        for kind, value in attributes(body[skipped:]):
            if kind == _NLMSGERR_ATTR_MSG:
                explanation = value.rstrip(b"\0").decode(errors="replace")
    return NetlinkError(number, purpose, explanation)


ALREADY_THERE = errno.EEXIST
NOT_THERE = (errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENOENT)

"""Socket clients: one attempt each, as an application would make it.

A client says what its socket told it and nothing more; what that means is judged together with the
captures, in `probe`.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import os
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from emulator.probes.observation import HttpReply
from emulator.probes.request import HttpGet, IPAddress, ProbeRequest
from emulator.probes.web import Conversation

_IP_MTU_DISCOVER, _IP_PMTUDISC_DO, _IPV6_MTU_DISCOVER = 10, 2, 23
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_NOTICE = 0.05
"""Seconds for the kernel to tell a socket of an ICMP error that a capture has already seen."""
REPLY_GRACE = 0.25
"""Seconds to go on waiting for a UDP reply once the datagram has reached the endpoint's socket."""

_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE}
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPROTO, errno.ENOPROTOOPT}
_UNREACHABLE |= {errno.EHOSTDOWN, errno.ENONET, errno.EOPNOTSUPP}


class Ending(Enum):
    """What the socket said in the end."""

    ANSWERED = auto()
    SILENT = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    """An ICMP error, or the local kernel: the capture tells which."""
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection, datagram or echo request as its own socket saw it."""

    index: int
    ending: Ending
    source_port: int | None = None
    """The port that the kernel chose; for echo requests their identifier."""
    milliseconds: float | None = None
    message: str = ""
    http: HttpReply | None = None
    reply: bytes | None = None
    exchanges: int = 0
    """HTTP responses that came."""


def make_socket(
    request: ProbeRequest, address: IPAddress, kind: socket.SocketKind, protocol: int = 0
) -> socket.socket:
    """A non-blocking socket with the request's options set. Raises OSError."""
    is_v4 = address.version == 4
    sock = socket.socket(socket.AF_INET if is_v4 else socket.AF_INET6, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        sock.setblocking(False)
        level = socket.IPPROTO_IP if is_v4 else socket.IPPROTO_IPV6
        if kind is socket.SOCK_DGRAM:
            sock.setsockopt(level, _IP_RECVERR if is_v4 else _IPV6_RECVERR, 1)
        if request.ttl is not None:
            sock.setsockopt(level, socket.IP_TTL if is_v4 else socket.IPV6_UNICAST_HOPS, request.ttl)
        if request.dont_fragment:
            sock.setsockopt(level, _IP_MTU_DISCOVER if is_v4 else _IPV6_MTU_DISCOVER, _IP_PMTUDISC_DO)
        if request.source_address is not None or request.source_port is not None:
            own = str(request.source_address or ("0.0.0.0" if is_v4 else "::"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((own, request.source_port or 0))
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(
    index: int,
    sock: socket.socket,
    address: IPAddress,
    request: ProbeRequest,
    refusals: Mapping[int, asyncio.Event],
) -> Attempt:
    """Complete a TCP handshake, and an HTTP exchange where the request asks for one. Closes `sock`.

    The event in `refusals` under the source port tells that an ICMP error was captured: Linux itself
    overlooks one that comes while the connecting call is still under way, and tries again.
    """
    loop = asyncio.get_running_loop()
    started, port = time.perf_counter(), None
    try:
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pending = asyncio.ensure_future(loop.sock_connect(sock, (str(address), request.target.port)))
            await asyncio.wait({pending}, timeout=0)
            port = sock.getsockname()[1]
            if not await _settled(pending, refusals[port], request.timeout):
                return Attempt(index, Ending.UNREACHABLE, port, message="an ICMP error came")
            pending.result()
            elapsed = (time.perf_counter() - started) * 1000
            if request.http is None:
                return Attempt(index, Ending.ANSWERED, port, elapsed)
            reply, count, ending = await _browse(sock, address, request, request.http)
            said = _told(ending, count)
            return Attempt(index, ending, port, elapsed, said, reply, exchanges=count)
    except TimeoutError:
        return Attempt(index, Ending.SILENT, port)
    except http.client.HTTPException as error:
        return Attempt(index, Ending.FAILED, port, message=f"not an HTTP response: {error!r}")
    except OSError as error:
        return Attempt(index, _ending(error), port, message=_text(error))


async def exchange(
    index: int,
    sock: socket.socket,
    address: IPAddress,
    request: ProbeRequest,
    payload: bytes,
    arrived: asyncio.Event,
) -> Attempt:
    """Send one datagram and wait for a reply, not much longer once it has `arrived`. Closes `sock`."""
    started, port = time.perf_counter(), None
    try:
        with sock:
            sock.connect((str(address), request.target.port))
            port = sock.getsockname()[1]
            sock.send(payload)
            reply = await _reply(sock, arrived, request.timeout)
            if reply is None:
                return Attempt(index, Ending.SILENT, port)
            elapsed = (time.perf_counter() - started) * 1000
            return Attempt(index, Ending.ANSWERED, port, elapsed, reply=reply)
    except OSError as error:
        return Attempt(index, _ending(error), port, message=_text(error))


async def _browse(
    sock: socket.socket, address: IPAddress, request: ProbeRequest, get: HttpGet
) -> tuple[HttpReply | None, int, Ending]:
    """Exchange requests and responses; the last response, how many came, and how it ended."""
    conversation = await Conversation.over(sock, get, address, request.target.port)
    reply, count = None, 0
    try:
        while True:
            wanted = "keep-alive" if count + 1 < request.exchanges else "close"
            reply = await asyncio.wait_for(conversation.ask(wanted), request.timeout)
            count += 1
            if count == request.exchanges:
                return reply, count, Ending.ANSWERED
            if conversation.ends_with(reply):
                return reply, count, Ending.FAILED
            if await conversation.is_closed_within(request.interval):
                return reply, count, Ending.REFUSED
    except TimeoutError:
        return reply, count, Ending.SILENT
    except OSError as error:
        return reply, count, _ending(error)
    finally:
        conversation.close()


def _told(ending: Ending, count: int) -> str:
    if ending is Ending.ANSWERED:
        return ""
    if ending is Ending.FAILED:
        return "the server ends its connections after each response"
    return f"HTTP response {count + 1} did not come"


async def _settled(pending: asyncio.Future[None], refused: asyncio.Event, timeout: float) -> bool:
    """Wait for `pending`; False when it was refused and the socket did not notice. Raises TimeoutError."""
    refusal = asyncio.ensure_future(refused.wait())
    either: set[asyncio.Future[Any]] = {pending, refusal}
    try:
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not pending.done() and refusal.done():
            await asyncio.wait({pending}, timeout=_NOTICE)
            return pending.done()
        if not pending.done():
            raise TimeoutError
        return True
    finally:
        for task in either:
            task.cancel()


async def _reply(sock: socket.socket, arrived: asyncio.Event, timeout: float) -> bytes | None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    receive = asyncio.ensure_future(loop.sock_recv(sock, 65_535))
    arrival = asyncio.ensure_future(arrived.wait())
    try:
        await asyncio.wait({receive, arrival}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not receive.done() and arrival.done():
            await asyncio.wait({receive}, timeout=min(REPLY_GRACE, deadline - loop.time()))
        return receive.result() if receive.done() else None
    finally:
        for task in (receive, arrival):
            task.cancel()
        await asyncio.wait({receive, arrival})


class Echo:
    """ICMP echo over one raw socket; every request has an identifier of its own."""

    def __init__(self, sock: socket.socket, address: IPAddress) -> None:
        self._socket = sock
        self._address = address
        self._is_v4 = address.version == 4
        self._base = int.from_bytes(os.urandom(2), "big")
        self._waiting: dict[int, asyncio.Event] = {}
        asyncio.get_running_loop().add_reader(sock.fileno(), self._read)

    async def ask(self, index: int, payload: bytes, timeout: float, refused: asyncio.Event) -> Attempt:
        """Send one echo request; ends early when `refused` is set by a captured ICMP error."""
        identifier = (self._base + index) & 0xFFFF
        answered = self._waiting[identifier] = asyncio.Event()
        started = time.perf_counter()
        try:
            self._socket.sendto(self._message(identifier, payload), (str(self._address), 0))
        except OSError as error:
            return Attempt(index, Ending.FAILED, identifier, message=_text(error))
        waits = {asyncio.ensure_future(answered.wait()), asyncio.ensure_future(refused.wait())}
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if answered.is_set():
            return Attempt(index, Ending.ANSWERED, identifier, (time.perf_counter() - started) * 1000)
        return Attempt(index, Ending.UNREACHABLE if refused.is_set() else Ending.SILENT, identifier)

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _message(self, identifier: int, payload: bytes) -> bytes:
        kind = 8 if self._is_v4 else 128
        message = struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + payload
        if not self._is_v4:  # the kernel fills in ICMPv6 checksums
            return message
        return message[:2] + struct.pack("!H", _checksum(message)) + message[4:]

    def _read(self) -> None:
        try:
            data, sender = self._socket.recvfrom(65_535)
        except OSError:
            return
        if sender[0].partition("%")[0] != str(self._address):
            return
        data = data[(data[0] & 0x0F) * 4 :] if self._is_v4 else data
        kind, _, _, identifier, _ = struct.unpack_from("!BBHHH", data)
        if kind == (0 if self._is_v4 else 129) and identifier in self._waiting:
            self._waiting[identifier].set()


def _ending(error: OSError) -> Ending:
    if error.errno in _REFUSED:
        return Ending.REFUSED
    return Ending.UNREACHABLE if error.errno in _UNREACHABLE else Ending.FAILED


def _text(error: OSError) -> str:
    return error.strerror or str(error)


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

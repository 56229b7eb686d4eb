"""Runs a `Program`: sockets made in the pod's network namespace, served by this process' event loop.

A socket keeps the namespace it was made in. Entering one takes microseconds and concerns the calling
thread only, so it is done in place: nothing else can run on this thread before it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import ipaddress
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

from aiohttp import web

from emulator.linux import namespaces
from emulator.linux.namespaces import Namespace
from emulator.workloads.servers.program import (
    DatagramListener,
    HttpListener,
    Listener,
    Peer,
    Program,
    ProgramError,
    Request,
    Response,
    StreamListener,
)
from emulator.workloads.servers.visits import Visits

_BACKLOG = 1024
_LARGEST_BODY = 16 * 2**20
_LARGEST_DATAGRAM = 65535
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50
_PKTINFO = struct.Struct("=16si")
_CANNOT_LISTEN_ON_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_GRACE = 0.001
"""Seconds for what is under way when a server closes. aiohttp takes zero for "as long as it takes", and a
client whose own pod is gone never says goodbye."""
_NO_SCTP = "this machine's kernel has no SCTP sockets; packets reach the pod all the same"


@contextlib.contextmanager
def inside(netns: Path) -> Iterator[None]:
    """Be in a network namespace for a moment, in which nothing may be awaited. Raises OSError."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.enter_netns(netns)
        try:
            yield
        finally:
            namespaces.setns(here, Namespace.NET)
    finally:
        os.close(here)


class Serving:
    """A program at work. Made by `start`."""

    def __init__(self) -> None:
        self.remarks: tuple[str, ...] = ()
        """What the log of a container should say: ports that this kernel has no sockets for."""
        self._closers: list[Callable[[], None]] = []
        self._web: list[web.Server] = []
        self._conversations: set[asyncio.Future[None]] = set()
        self._visits = Visits()

    @classmethod
    async def start(cls, program: Program, netns: Path) -> Serving:
        """Listen on all of the program's ports. Raises ProgramError when one cannot be had."""
        serving = cls()
        sockets: list[tuple[Listener, socket.socket]] = []
        try:
            with inside(netns):
                for listener in program.listeners:
                    if isinstance(listener, StreamListener) and listener.sctp and not _has_sctp():
                        serving.remarks += (f"not listening on {listener.port}/sctp: {_NO_SCTP}",)
                    else:
                        sockets.append((listener, _listen(listener)))
        except ProgramError:
            for _, opened in sockets:
                opened.close()
            raise
        for listener, opened in sockets:
            await serving._serve(listener, opened)
        return serving

    async def finish(self, seconds: float) -> None:
        """Serve those who are here or on their way, for `seconds` at most."""
        await self._visits.over(seconds)

    async def close(self) -> None:
        """Stop listening and end all conversations."""
        for close in self._closers:
            close()
        for conversation in self._conversations:
            conversation.cancel()
        for server in self._web:
            await server.shutdown(_GRACE)

    async def _serve(self, listener: Listener, opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(listener, DatagramListener):
            loop.add_reader(opened, partial(self._receive, opened, listener))
            self._closers.append(partial(_stop_reading, loop, opened))
            return
        if isinstance(listener, HttpListener):
            http = web.Server(partial(self._answer, listener), access_log=None)
            self._web.append(http)
            server = await loop.create_server(
                partial(self._greet, http), sock=opened, backlog=_BACKLOG, ssl=listener.tls
            )
        else:
            server = await asyncio.start_server(
                partial(self._converse, listener), sock=opened, backlog=_BACKLOG
            )
        self._closers.append(server.close)

    def _greet(self, server: web.Server) -> asyncio.BaseProtocol:
        self._visits.seen()
        return server()

    async def _answer(self, listener: HttpListener, request: web.BaseRequest) -> web.StreamResponse:
        with self._visits.visit():
            return await _answer_request(listener, request)

    def _receive(self, opened: socket.socket, listener: DatagramListener) -> None:
        self._visits.seen()
        _answer_datagrams(opened, listener, self._later)

    def _later(self, sending: Awaitable[None]) -> None:
        """See to an answer that takes its time."""
        task = asyncio.ensure_future(sending)
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    async def _converse(
        self, listener: StreamListener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            with self._visits.visit():
                await listener.handler(reader, writer, _peer(writer.get_extra_info("peername")))
                await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            # The other side left, or the container ends; either way nobody listens any more.
            return
        finally:
            self._conversations.discard(task)
            writer.close()


def _has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError as error:
        return error.errno not in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
    return True


def _listen(listener: Listener) -> socket.socket:
    """A bound socket for `listener`, in the namespace that the thread is in. Raises ProgramError."""
    try:
        if listener.address:
            family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
            return _bound(listener, family, listener.address)
        try:
            return _bound(listener, socket.AF_INET6, "::")
        except OSError as error:
            if error.errno not in _CANNOT_LISTEN_ON_IPV6:
                raise
            return _bound(listener, socket.AF_INET, "0.0.0.0")
    except OSError as error:
        network = "udp" if isinstance(listener, DatagramListener) else "tcp"
        reason = (error.strerror or str(error)).lower()
        where = f"{listener.address}:{listener.port}"
        raise ProgramError(f"listen {network} {where}: bind: {reason}") from error


def _bound(listener: Listener, family: int, address: str) -> socket.socket:
    kind = socket.SOCK_DGRAM if isinstance(listener, DatagramListener) else socket.SOCK_STREAM
    protocol = socket.IPPROTO_SCTP if isinstance(listener, StreamListener) and listener.sctp else 0
    opened = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_DGRAM:
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            else:
                opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            # Lets a restarted server have its port although old connections linger in TIME_WAIT;
            # a second listener is refused all the same.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, listener.port))
        if kind == socket.SOCK_STREAM:
            opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _answer_datagrams(
    opened: socket.socket, listener: DatagramListener, later: Callable[[Awaitable[None]], None]
) -> None:
    """Answer what has arrived, each from the address that it was sent to."""
    while True:
        try:
            data, ancillary, _, sender = opened.recvmsg(_LARGEST_DATAGRAM, socket.CMSG_SPACE(_PKTINFO.size))
        except BlockingIOError:
            return
        except OSError:
            # An ICMP error for an earlier answer; what else is there makes the socket readable again.
            return
        answer = listener.handler(data, _peer(sender))
        source = _from_same_address(ancillary)
        if inspect.isawaitable(answer):
            later(_send_later(opened, answer, source, sender))
        else:
            _send(opened, answer, source, sender)


_Ancillary = list[tuple[int, int, bytes]]


async def _send_later(
    opened: socket.socket, answer: Awaitable[bytes | None], source: _Ancillary, receiver: object
) -> None:
    _send(opened, await answer, source, receiver)


def _send(opened: socket.socket, answer: bytes | None, source: _Ancillary, receiver: object) -> None:
    if answer is not None:
        with contextlib.suppress(OSError):
            opened.sendmsg([answer], source, 0, receiver)  # type: ignore[arg-type]


def _from_same_address(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            address, _ = _PKTINFO.unpack(data[: _PKTINFO.size])
            return [(level, kind, _PKTINFO.pack(address, 0))]
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, local, _ = struct.unpack("=i4s4s", data[:12])
            return [(level, kind, struct.pack("=i4s4s", 0, local, b"\0" * 4))]
    return []


def _stop_reading(loop: asyncio.AbstractEventLoop, opened: socket.socket) -> None:
    loop.remove_reader(opened)
    opened.close()


async def _answer_request(listener: HttpListener, request: web.BaseRequest) -> web.StreamResponse:
    transport = request.transport
    if transport is None:
        return web.Response(status=499)
    request._client_max_size = _LARGEST_BODY
    response = await listener.handler(
        Request(
            method=request.method,
            target=request.raw_path,
            path=request.path,
            query=dict(request.query),
            headers=[
                (name.decode(errors="replace"), text.decode(errors="replace"))
                for name, text in request.raw_headers
            ],
            body=await request.read(),
            client=_peer(transport.get_extra_info("peername")),
            server=_peer(transport.get_extra_info("sockname")),
            version=f"HTTP/{request.version.major}.{request.version.minor}",
        )
    )
    return _web_response(response, listener.server_name)


def _web_response(response: Response, server_name: str) -> web.Response:
    headers = {
        "Content-Type": response.content_type,
        "Server": server_name or "mininetes",
        **response.headers,
    }
    return web.Response(status=response.status, body=response.content, headers=headers)


def _peer(name: tuple[str | int, ...]) -> Peer:
    address = ipaddress.ip_address(str(name[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return Peer(str(mapped or address), int(name[1]))

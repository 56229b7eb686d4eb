"""A steady load: so many requests a second from each of several places, on a connection of its own each.

Requests begin when their turn comes, whatever became of those before: what hangs does not hide what follows.
A request is one TCP connection (with one HTTP exchange where a path is given) or one datagram and its answer.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from emulator.api.objects import JsonObject
from emulator.cluster.outcome import Outcome
from emulator.probes.netns import inside
from emulator.probes.request import IPAddress, Protocol, RequestError

MOST_RATE = 500.0
"""Requests a second of one stream; more would measure this process and not the network."""
MOST_SECONDS = 900.0
"""A load that nobody ends stops by itself."""
_LONGEST_NAME = 63
_PORTS = range(10_000, 30_000)
"""Source ports of datagrams: below those that Linux gives out, and below node ports."""
_FEW = 10
"""Lost requests that are told in full."""

_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.EHOSTUNREACH, errno.ENETUNREACH}


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests of one sort, from one place to one address."""

    source: str
    """The place, as in reports."""
    netns: Path | None
    target: str
    address: IPAddress
    port: int
    protocol: Protocol
    rate: float
    """Requests a second."""
    path: str | None = None
    """What to GET over HTTP; None opens and closes the connection."""
    payload: bytes = b"hostname"
    """What a datagram carries; agnhost answers this one with its pod's name."""
    timeout: float = 3.0
    """Seconds after which a request counts as dropped. TCP tries again after one."""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= MOST_RATE:
            raise RequestError(f"rate must be above 0 and at most {MOST_RATE:g} a second, is {self.rate:g}")
        if self.protocol not in (Protocol.TCP, Protocol.UDP):
            raise RequestError(f"a load is TCP or UDP, not {self.protocol.value}")
        if self.path is not None and self.protocol is not Protocol.TCP:
            raise RequestError("HTTP goes over TCP")


@dataclass(frozen=True, slots=True)
class Request:
    """One request and its fate. Times are Unix times."""

    stream: int
    began: float
    ended: float
    outcome: Outcome
    said: str = ""
    """What was answered (the first line), or why it was lost."""
    source_port: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """All requests of a load that has ended, in the order in which they ended."""

    streams: tuple[Stream, ...]
    requests: tuple[Request, ...]

    def as_json(self, *, records: bool = False) -> JsonObject:
        """The answer of the engine; with `records` every request as
        `[stream, began, ended, outcome, said, source port]`."""
        answer: JsonObject = {
            "apiVersion": "mininetes.io/v1",
            "kind": "Load",
            **_summary(self.requests),
            "streams": [
                {
                    "from": stream.source,
                    "to": stream.target,
                    "address": str(stream.address),
                    "port": f"{stream.port}/{stream.protocol.value}",
                    **_summary([one for one in self.requests if one.stream == index]),
                }
                for index, stream in enumerate(self.streams)
            ],
        }
        if records:
            answer["requests"] = [
                [r.stream, r.began, r.ended, r.outcome.value, r.said, r.source_port] for r in self.requests
            ]
        return answer


def _summary(requests: Sequence[Request]) -> JsonObject:
    answered = [one for one in requests if one.outcome is Outcome.CONNECTED]
    lost = [one for one in requests if one.outcome is not Outcome.CONNECTED]
    times = sorted((one.ended - one.began) * 1000 for one in answered)
    return {
        "sent": len(requests),
        "outcomes": dict(Counter(one.outcome.value for one in requests)),
        "answers": dict(sorted(Counter(one.said for one in answered if one.said).items())),
        "milliseconds": {
            name: round(times[min(len(times) - 1, int(len(times) * share))], 2)
            for name, share in (("p50", 0.5), ("p90", 0.9), ("max", 1.0))
            if times
        },
        "lost": [
            {
                "began": one.began,
                "outcome": one.outcome.value,
                "said": one.said,
                "sourcePort": one.source_port,
            }
            for one in lost[:_FEW]
        ],
    }


class Load:
    """A load under way. Belongs to the event loop that it is started in."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = tuple(streams)
        self._requests: list[Request] = []
        self._ending = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._pacers: list[asyncio.Task[None]] = []
        # Loads that follow each other, too: at a hundred datagrams a second it takes minutes to come round.
        begin = int(time.time() * 100) % len(_PORTS)
        self._ports = cycle([*_PORTS[begin:], *_PORTS[:begin]])
        self._enough: int | None = None
        """How many requests must have their fate before the load may end; None: nobody asks it to."""

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        for index, stream in enumerate(self._streams):
            self._pacers.append(loop.create_task(self._pace(index, stream)))

    async def stop(self, at_least: int = 0) -> Report:
        """Begin no more once `at_least` so many have their fate, and return when all others have theirs."""
        self._enough = at_least
        if len(self._requests) >= at_least:
            self._ending.set()
        await asyncio.gather(*self._pacers)
        if self._under_way:
            await asyncio.wait(self._under_way)
        return Report(self._streams, tuple(self._requests))

    async def _pace(self, index: int, stream: Stream) -> None:
        loop = asyncio.get_running_loop()
        interval, last = 1 / stream.rate, loop.time() + MOST_SECONDS
        # Streams begin one after the other, so that their requests do not come in bursts.
        turn = loop.time() + interval * index / len(self._streams)
        while turn < last:
            try:
                async with asyncio.timeout_at(turn):
                    await self._ending.wait()
                return
            except TimeoutError:
                pass
            task = loop.create_task(self._ask(index, stream))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            # What a busy machine made us miss is not made up for: a burst would be another load.
            turn = max(turn + interval, loop.time())

    def _socket(self, stream: Stream) -> socket.socket:
        """A socket in the stream's namespace. Datagrams take source ports one after the other.

        A port that is taken again within a minute would belong to the old connection, for a switch as for
        any Linux router.
        """
        family = socket.AF_INET if stream.address.version == 4 else socket.AF_INET6
        kind = socket.SOCK_STREAM if stream.protocol is Protocol.TCP else socket.SOCK_DGRAM
        with inside(stream.netns):
            sock = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        while True:
            try:
                sock.bind(("" if family == socket.AF_INET else "::", next(self._ports)))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    sock.close()
                    raise
            else:
                return sock

    async def _ask(self, index: int, stream: Stream) -> None:
        began, port = time.time(), 0
        outcome, said = Outcome.CONNECTED, ""
        try:
            with self._socket(stream) as sock:
                try:
                    async with asyncio.timeout(stream.timeout):
                        said = await (_stream if stream.protocol is Protocol.TCP else _datagram)(sock, stream)
                except TimeoutError:
                    missing = "answer" if _is_connected(sock) else "connection"
                    outcome, said = Outcome.DROPPED, f"no {missing} within {stream.timeout:g} s"
                finally:
                    port = sock.getsockname()[1]
        except OSError as error:
            outcome = Outcome.REJECTED if error.errno in _REFUSED else Outcome.ERROR
            said = error.strerror or str(error)
        self._requests.append(Request(index, began, time.time(), outcome, said, port))
        if self._enough is not None and len(self._requests) >= self._enough:
            self._ending.set()


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


async def _stream(sock: socket.socket, stream: Stream) -> str:
    """The first line of the response's body; raises OSError for one that is cut short."""
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (str(stream.address), stream.port))
    if stream.path is None:
        return ""
    host = f"[{stream.address}]" if stream.address.version == 6 else str(stream.address)
    request = f"GET {stream.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    await loop.sock_sendall(sock, request.encode())
    response = b"".join([piece async for piece in _pieces(loop, sock)])
    head, gap, body = response.partition(b"\r\n\r\n")
    if not gap:
        raise OSError(errno.ECONNRESET, "the connection ended before a response came")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise OSError(errno.EPROTO, f"HTTP status {b''.join(status).decode(errors='replace')}")
    return _first_line(body)


async def _pieces(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> AsyncIterator[bytes]:
    while piece := await loop.sock_recv(sock, 65_536):
        yield piece


async def _datagram(sock: socket.socket, stream: Stream) -> str:
    """What the answer says."""
    sock.connect((str(stream.address), stream.port))
    sock.send(stream.payload)
    return _first_line(await asyncio.get_running_loop().sock_recv(sock, 65_536))


def _first_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines() or [""]
    return lines[0][:_LONGEST_NAME]

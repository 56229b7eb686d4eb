"""Asking another DNS server, from a pod's own network."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

from emulator.cluster.dns import wire
from emulator.cluster.dns.model import Answer, Question
from emulator.workloads.servers.program import Peer
from emulator.workloads.servers.serving import inside

PORT = 53
_SECONDS = 2.0
"""For which an upstream is waited for before the next one is asked."""


class NoAnswerError(OSError):
    """No upstream has answered."""


async def ask(netns: Path, upstreams: Sequence[Peer], question: Question, *, over_tcp: bool) -> Answer:
    """The first answer that one of `upstreams` gives; one that was cut off is asked for again over TCP.

    Raises NoAnswerError.
    """
    reasons = []
    for upstream in upstreams:
        try:
            async with asyncio.timeout(_SECONDS):
                return await _ask(netns, upstream, question, over_tcp=over_tcp)
        except TimeoutError:
            reasons.append(f"{upstream}: i/o timeout")
        except OSError as error:
            reasons.append(f"{upstream}: {error.strerror or error}")
    raise NoAnswerError("; ".join(reasons) or "no upstream")


async def _ask(netns: Path, upstream: Peer, question: Question, *, over_tcp: bool) -> Answer:
    number = secrets.randbelow(1 << 16)
    if not over_tcp:
        answer, is_cut = await _over_udp(netns, upstream, question, number)
        if not is_cut:
            return answer
    return await _over_tcp(netns, upstream, question, number)


async def _over_udp(netns: Path, upstream: Peer, question: Question, number: int) -> tuple[Answer, bool]:
    loop = asyncio.get_running_loop()
    with _socket(netns, upstream, socket.SOCK_DGRAM) as opened:
        await loop.sock_connect(opened, (upstream.address, upstream.port))
        await loop.sock_sendall(opened, wire.ask(question, number))
        while True:
            found = wire.read_answer(await loop.sock_recv(opened, wire.LARGEST), question, number)
            if found is not None:
                return found


async def _over_tcp(netns: Path, upstream: Peer, question: Question, number: int) -> Answer:
    opened = _socket(netns, upstream, socket.SOCK_STREAM)
    try:
        await asyncio.get_running_loop().sock_connect(opened, (upstream.address, upstream.port))
    except BaseException:
        opened.close()
        raise
    reader, writer = await asyncio.open_connection(sock=opened)
    try:
        data = wire.ask(question, number)
        writer.write(len(data).to_bytes(2) + data)
        length = int.from_bytes(await reader.readexactly(2))
        found = wire.read_answer(await reader.readexactly(length), question, number)
    except EOFError:
        found = None
    finally:
        writer.close()
    if found is None:
        raise OSError("no answer to the question")
    return found[0]


def _socket(netns: Path, upstream: Peer, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in upstream.address else socket.AF_INET
    with inside(netns):
        return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

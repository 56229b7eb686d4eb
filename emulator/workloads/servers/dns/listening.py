"""Port 53 over UDP and TCP, for whoever answers queries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from emulator.cluster.dns import wire
from emulator.cluster.dns.model import Answer
from emulator.workloads.servers.program import DatagramListener, Listener, Peer, StreamListener

_IDLE_SECONDS = 10.0
"""For which a TCP connection is kept open without a question (RFC 7766 asks for a few seconds)."""

Answerer = Callable[[wire.Query, Peer, str], bytes | Awaitable[bytes]]
"""Answers a query of a peer that came over `udp` or `tcp`."""


def listeners(port: int, answer: Answerer) -> tuple[Listener, Listener]:
    """UDP and TCP on a port."""
    return DatagramListener(port, partial(_datagram, answer)), StreamListener(port, partial(_stream, answer))


def _datagram(answer: Answerer, data: bytes, peer: Peer) -> bytes | Awaitable[bytes] | None:
    query = wire.read(data)
    if query is None:
        return None
    return _refusal(query) or answer(query, peer, "udp")


async def _stream(
    answer: Answerer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer
) -> None:
    try:
        while True:
            async with asyncio.timeout(_IDLE_SECONDS):
                length = int.from_bytes(await reader.readexactly(2))
                query = wire.read(await reader.readexactly(length))
            if query is None:
                return
            data = _refusal(query) or answer(query, peer, "tcp")
            said = data if isinstance(data, bytes) else await data
            writer.write(len(said).to_bytes(2) + said)
            await writer.drain()
    except TimeoutError:
        return


def _refusal(query: wire.Query) -> bytes:
    """The answer to a message without a question; empty for any other."""
    if query.question is not None:
        return b""
    return wire.reply(query, Answer(query.refusal), wire.SMALLEST_LIMIT)

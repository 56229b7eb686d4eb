"""The engine's side of the worker process that builds packets with Scapy."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_LINE = 64 << 20


class WorkshopError(RuntimeError):
    """The worker could not build the packet, or died."""


class _WorkerDiedError(WorkshopError):
    """The worker ended before it answered."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a place would send by itself: its addresses and the next hop's MAC."""

    mac: str
    ip: str
    next_hop_mac: str
    destination_ip: str
    destination_port: int | None


@dataclass(frozen=True, slots=True)
class CraftedPacket:
    """One packet, ready to send."""

    frames: tuple[bytes, ...]
    """Several where it is fragmented."""
    key: Mapping[str, Any]
    """Header fields by which it is recognised wherever it arrives."""
    answers: tuple[Mapping[str, Any], ...]
    """Header fields of what would answer it; any one of them."""
    ttl: int | None


class Workshop:
    """Keeps the worker running. Loading Scapy takes most of a second: `start` early, use late."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Make sure that the worker runs; a dead one is replaced. Raises OSError."""
        async with self._starting:
            if self._reader is not None and not self._reader.done():
                return
            command = (self._python, "-m", "emulator.probes.worker")
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, limit=_LINE
            )
            self._reader = asyncio.ensure_future(self._read(self._process))

    async def craft(
        self, spec: Mapping[str, Any], origin: Origin, count: int = 1
    ) -> tuple[CraftedPacket, ...]:
        """Build `count` packets from a checked specification. Raises WorkshopError."""
        order = {"spec": dict(spec), "origin": asdict(origin), "count": count}
        try:
            reply = await self._ask(order)
        except _WorkerDiedError:
            # One death may be anybody's doing; a second one is the packet's.
            await self.ended()
            reply = await self._ask(order)
        if "error" in reply:
            raise WorkshopError(f"cannot build {spec.get('packet')}: {reply['error']}")
        return tuple(
            CraftedPacket(
                tuple(bytes.fromhex(frame) for frame in packet["frames"]),
                packet["key"],
                tuple(packet["answers"]),
                packet["ttl"],
            )
            for packet in reply["packets"]
        )

    @property
    def pid(self) -> int | None:
        """The worker's process id; None before it was started."""
        return self._process.pid if self._process is not None else None

    async def ended(self) -> None:
        """Wait until the worker has ended."""
        if self._reader is not None:
            await asyncio.wait({self._reader})

    async def close(self) -> None:
        """End the worker."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        await self.start()
        process, number = self._process, next(self._numbers)
        if process is None or process.stdin is None:
            raise WorkshopError("the packet worker does not run")
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            process.stdin.write(json.dumps({"id": number, **order}).encode() + b"\n")
            await process.stdin.drain()
            reply: dict[str, Any] = await answer
            return reply
        except ConnectionError as error:
            raise _WorkerDiedError(f"the packet worker died: {error}") from error
        finally:
            self._waiting.pop(number, None)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            reply = json.loads(line)
            waiting = self._waiting.get(reply.get("id", 0))
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_WorkerDiedError("the packet worker died"))
        await process.wait()

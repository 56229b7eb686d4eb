"""One run of a container: a real process, or a program of this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from emulator.api.objects import JsonObject
from emulator.workloads.blueprint import Blueprint
from emulator.workloads.containers import Containers, Process, StartError
from emulator.workloads.door import Door
from emulator.workloads.images import Run, Serve
from emulator.workloads.logs import Log
from emulator.workloads.mishaps import Mishaps
from emulator.workloads.servers.program import ClusterAccess, Context, Program, ProgramError
from emulator.workloads.servers.serving import Serving

_START_FAILED = 128
_LARGEST_MESSAGE = 4096
_OUTPUT_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended."""

    status: int
    message: str = ""
    started: bool = True
    """It ran at all."""

    @property
    def reason(self) -> str:
        """As kubelet calls it."""
        if not self.started:
            return "StartError"
        return "Error" if self.status else "Completed"


class Incarnation(Protocol):
    """One run of a container."""

    exited: asyncio.Future[Exit]

    async def start(self) -> None:
        """Bring it up. A run that fails at once has `exited` when this returns."""

    async def process(self) -> Process:
        """Its first process, in which commands can be run. Raises StartError."""

    async def end(self, grace: float) -> None:
        """Ask it to stop, insist after `grace` seconds, and return when it has ended."""


def unconfigured(_pod: JsonObject, _container: str) -> Mapping[str, str]:
    """A `Place.configuration` where no ingress proxy runs."""
    return {}


@dataclass(frozen=True, slots=True)
class Place:
    """Where containers of a pod run, and with what."""

    netns: Path
    node: str
    containers: Containers
    cluster: ClusterAccess
    configuration: Callable[[JsonObject, str], Mapping[str, str]] = unconfigured
    """The files that the ingress proxy in a pod's container is to start with."""
    mishaps: Mishaps = field(default_factory=Mishaps)


class CommandRun:
    """A real process."""

    def __init__(
        self, pod: JsonObject, container: JsonObject, place: Place, blueprint: Blueprint, log: Log
    ) -> None:
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._pod = pod
        self._container = container
        self._place = place
        self._blueprint = blueprint
        self._log = log
        self._process: Process | None = None
        self._door: Door | None = None
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fork it."""
        plan = self._blueprint.plan
        assert isinstance(plan, Run)
        sink = self._log.sink()
        try:
            if plan.has_servers:
                self._door = Door(self._blueprint.door, self._place.netns, self._context)
                await self._door.open()
            self._process = await self._place.containers.run(
                self._blueprint.specification(), self._place.netns, ("/pause",), sink
            )
        except (StartError, OSError) as error:
            self._log.line(str(error))
            if self._door is not None:
                await self._door.close()
            self.exited.set_result(Exit(_START_FAILED, str(error), started=False))
            return
        finally:
            os.close(sink)
        self._process.exited.add_done_callback(self._ended)

    async def process(self) -> Process:
        """Its first process."""
        if self._process is None:
            raise StartError("container not running")
        return self._process

    async def end(self, grace: float) -> None:
        """SIGTERM, then SIGKILL."""
        if self._process is None:
            return
        self._process.signal(signal.SIGTERM)
        await asyncio.wait({self.exited}, timeout=grace)
        self._process.signal(signal.SIGKILL)
        await asyncio.wait({self.exited})

    def _ended(self, exited: asyncio.Future[int]) -> None:
        if self._door is not None:
            self._closing = asyncio.get_running_loop().create_task(self._door.close())
        message = self._blueprint.termination_log.read_text(errors="replace")[:_LARGEST_MESSAGE]
        self.exited.set_result(Exit(exited.result(), message))

    def _context(self, arguments: tuple[str, ...]) -> Context:
        """What a server sees that the command starts."""
        return make_context(
            self._pod,
            self._container,
            self._place,
            self._blueprint,
            self._log,
            arguments=arguments,
            end=self._kill,
            run=self._run,
        )

    def _kill(self, _status: int) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGTERM)

    async def _run(self, argv: Sequence[str]) -> tuple[int, bytes]:
        return await run_and_read(self, self._place.containers, self._blueprint, argv)


class ServedRun:
    """A program of this process. Its first process is made when a command is first run in it."""

    def __init__(
        self, pod: JsonObject, container: JsonObject, place: Place, blueprint: Blueprint, log: Log
    ) -> None:
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._place = place
        self._blueprint = blueprint
        self._log = log
        self._program = Program()
        self._serving: Serving | None = None
        self._holding: asyncio.Task[Process] | None = None
        self._leaving: asyncio.Task[None] | None = None
        plan = blueprint.plan
        assert isinstance(plan, Serve)
        self._plan = plan
        self._context = make_context(
            pod, container, place, blueprint, log, arguments=plan.arguments, end=self._exit, run=self._run
        )

    async def start(self) -> None:
        """Listen on its ports."""
        try:
            self._program = self._plan.program(self._context)
            self._serving = await Serving.start(self._program, self._place.netns)
        except ProgramError as error:
            self._log.line(str(error))
            self.exited.set_result(Exit(error.status, str(error)))
            return
        if self._plan.notice:
            self._log.line(self._plan.notice)
        for line in (*self._program.greeting, *self._serving.remarks):
            self._log.line(line)

    async def process(self) -> Process:
        """Its first process, made on demand."""
        if self.exited.done():
            raise StartError("container not running")
        if self._holding is None or (self._holding.done() and self._holding.exception()):
            self._holding = asyncio.get_running_loop().create_task(self._hold())
        return await asyncio.shield(self._holding)

    async def end(self, grace: float) -> None:
        """Go on serving for as long as the program lingers, finish what is begun, then close."""
        linger = min(self._program.linger, grace)
        await asyncio.wait({self.exited}, timeout=linger)
        if self._serving is not None and not self.exited.done():
            await self._serving.finish(grace - linger)
        await self._leave(self._program.exit_status)

    async def _hold(self) -> Process:
        process = await self._place.containers.run(
            self._blueprint.specification(), self._place.netns, self._plan.title
        )
        process.exited.add_done_callback(lambda _: self._exit(self._program.exit_status))
        return process

    def _exit(self, status: int) -> None:
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._leave(status))

    async def _leave(self, status: int) -> None:
        if self.exited.done():
            return
        self.exited.set_result(Exit(status))
        if self._serving is not None:
            await self._serving.close()
        if self._holding is not None:
            with contextlib.suppress(StartError, OSError):
                process = await self._holding
                process.signal(signal.SIGKILL)
                await asyncio.wait({process.exited})

    async def _run(self, argv: Sequence[str]) -> tuple[int, bytes]:
        return await run_and_read(self, self._place.containers, self._blueprint, argv)


def make_context(
    pod: JsonObject,
    container: JsonObject,
    place: Place,
    blueprint: Blueprint,
    log: Log,
    *,
    arguments: Sequence[str],
    end: Callable[[int], None],
    run: Callable[[Sequence[str]], Awaitable[tuple[int, bytes]]],
) -> Context:
    """What a program of this process sees of the container that it plays in."""
    status = pod.get("status") or {}
    addresses = [entry["ip"] for entry in status.get("podIPs") or ()] or [status.get("podIP")]
    return Context(
        pod=pod["metadata"]["name"],
        namespace=pod["metadata"]["namespace"],
        node=place.node,
        container=container["name"],
        hostname=blueprint.hostname,
        addresses=[address for address in addresses if address],
        arguments=arguments,
        environment=blueprint.environment,
        ports=blueprint.ports,
        netns=place.netns,
        log=log.line,
        exit=end,
        locate=blueprint.locate,
        read=blueprint.read,
        run=run,
        cluster=place.cluster,
    )


async def run_and_read(
    incarnation: Incarnation, containers: Containers, blueprint: Blueprint, argv: Sequence[str]
) -> tuple[int, bytes]:
    """Run a command in a container: its exit status and what it wrote. A cancelled one is killed.

    A command that cannot be run has status 126 or more, and says why.
    """
    source, sink = os.pipe2(os.O_CLOEXEC)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_OUTPUT_LIMIT)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb")
    )
    try:
        try:
            first = await incarnation.process()
            process = await containers.execute(first, blueprint.command(argv), sink)
        except StartError as error:
            return _START_FAILED, str(error).encode()
        finally:
            os.close(sink)
        try:
            output = await reader.read()
            return await asyncio.shield(process.exited), output
        finally:
            process.signal(signal.SIGKILL)
    finally:
        transport.close()

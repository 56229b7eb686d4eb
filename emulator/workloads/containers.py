"""The engine's side of the spawner: containers and commands as objects that can be awaited."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.api.objects import JsonObject
from emulator.workloads.spec import PATH, Command, ContainerSpec, encode

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path[:0] = [sys.argv.pop(1)]; from {module} import main; sys.exit(main())"
_TITLE_ROOM = " " * 400
"""Space in the spawner's arguments, which its forks overwrite with their own titles."""
_READY_SECONDS = 10.0


class StartError(RuntimeError):
    """A container or command could not be started; the message says why."""


class SpawnerLostError(RuntimeError):
    """The spawner died, and every container with it."""


def python_argv(module: str, *arguments: str) -> tuple[str, ...]:
    """Command line that runs `module`, which uses the standard library only, wherever it is started."""
    return (sys.executable, "-ISc", _BOOT.format(module=module), str(_ROOT), *arguments)


class Process:
    """A container's first process, or a command in a container."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = loop.create_future()
        """The exit status: 128 + number when a signal ended it."""
        self._begun: asyncio.Future[int] = loop.create_future()
        self._handle = -1

    @property
    def handle(self) -> int:
        """Its pidfd. Raises StartError once it has ended."""
        if self._handle < 0:
            raise StartError("container not running")
        return self._handle

    @property
    def pid(self) -> int:
        """Its process ID as this process sees it. Raises StartError once it has ended."""
        with open(f"/proc/self/fdinfo/{self.handle}") as info:
            pid = next(int(line.split()[1]) for line in info if line.startswith("Pid:"))
        if pid <= 0:
            raise StartError("container not running")
        return pid

    def signal(self, number: int) -> None:
        """Send it a signal; one that has ended does not mind."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def begin(self, handle: int) -> None:
        """The spawner forked it."""
        self._handle = handle
        if not self._begun.done():
            self._begun.set_result(handle)

    def end(self, status: int) -> None:
        """It is gone."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if not self.exited.done():
            self.exited.set_result(status)
        if not self._begun.done():
            self._begun.set_result(-1)

    async def begun(self) -> None:
        """Wait until it has been forked (it may have ended since)."""
        await asyncio.shield(self._begun)


class Containers:
    """The spawner and everything that runs under it. Made by `open`.

    A spawner that dies takes all containers with it; the next one that is wanted brings a new spawner.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._spawner: _Spawner | None = None
        self._numbers = itertools.count(1)
        self._processes: dict[int, Process] = {}
        self._sending = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(cls, run_directory: Path, busybox_tools: Path, hidden: Path) -> Containers:
        """Start a spawner whose containers may see parts of `run_directory`, and nothing of `hidden`.

        Raises StartError. Programs in `busybox_tools` replace the host's busybox applets of the same name.
        """
        busybox = shutil.which("busybox", path=PATH) or ""
        containers = cls((str(run_directory), busybox, str(busybox_tools), str(hidden)))
        async with containers._sending:
            await containers._connected()
        return containers

    async def run(
        self, spec: ContainerSpec, netns: Path, title: Sequence[str], output: int | None = None
    ) -> Process:
        """Start a container in `netns`, its output going to a descriptor; `title` is what `ps` shows of
        its first process. Raises StartError, OSError."""
        with _opened(netns, os.O_RDONLY) as network, _output(output) as sink:
            verb = "run" if spec.command else "hold"
            request: JsonObject = {verb: next(self._numbers), "title": title}
            return await self._start(request, encode(spec), (network, sink))

    async def execute(
        self, container: Process, command: Command, output: int | None = None, given: int = -1
    ) -> Process:
        """Start a command in a running container. Raises StartError."""
        with _opened(Path("/dev/null"), os.O_RDONLY) as nothing, _output(output) as sink:
            source = given if given >= 0 else nothing
            request: JsonObject = {"exec": next(self._numbers)}
            return await self._start(request, encode(command), (container.handle, source, sink))

    async def close(self) -> None:
        """End every container, and the spawner."""
        self._closed = True
        spawner = self._spawner
        self._lose()
        if spawner is not None:
            await spawner.end()

    async def _start(self, request: JsonObject, specification: bytes, descriptors: Sequence[int]) -> Process:
        process = Process()
        report, reporter = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with _memory(specification) as text:
            try:
                await self._send(request, process, (text, *descriptors, reporter))
            finally:
                os.close(reporter)
        try:
            complaint = await _read_all(report)
        finally:
            os.close(report)
        await process.begun()
        if complaint:
            await process.exited
            raise StartError(complaint.decode(errors="replace"))
        return process

    async def _send(self, message: JsonObject, process: Process, descriptors: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        number = next(iter(message.values()))
        async with self._sending:
            while True:
                spawner = await self._connected()
                self._processes[number] = process
                try:
                    spawner.control.sendmsg([json.dumps(message).encode()], rights)
                    return
                except BlockingIOError:
                    await _writable(spawner.control)
                except OSError:
                    del self._processes[number]
                    self._lose()

    async def _connected(self) -> _Spawner:
        """A spawner that is ready, a new one if need be. Raises StartError."""
        if self._closed:
            raise StartError("the container runtime is closed")
        if self._spawner is None:
            spawner = self._spawner = await _Spawner.start(self._arguments)
            asyncio.get_running_loop().add_reader(spawner.control, self._take)
            try:
                async with asyncio.timeout(_READY_SECONDS):
                    await spawner.ready
            except (TimeoutError, SpawnerLostError) as error:
                if self._spawner is spawner:
                    self._lose()
                await spawner.end()
                raise StartError("the container spawner did not start") from error
        return self._spawner

    def _take(self) -> None:
        if self._spawner is None:
            return
        space = socket.CMSG_SPACE(array("i").itemsize)
        try:
            message, ancillary, _, _ = self._spawner.control.recvmsg(4096, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            message, ancillary = b"", []
        if not message:
            self._lose()
            return
        descriptors = array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        self._dispatch(self._spawner, json.loads(message), descriptors[0] if descriptors else -1)

    def _dispatch(self, spawner: _Spawner, answer: dict[str, int], handle: int) -> None:
        if "started" in answer:
            self._processes[answer["started"]].begin(handle)
        elif "exited" in answer:
            self._processes.pop(answer["exited"]).end(answer["status"])
        elif not spawner.ready.done():
            spawner.ready.set_result(None)

    def _lose(self) -> None:
        """Nothing that the spawner held is alive any more."""
        spawner, self._spawner = self._spawner, None
        if spawner is not None:
            asyncio.get_running_loop().remove_reader(spawner.control)
            spawner.control.close()
            if not spawner.ready.done():
                spawner.ready.set_exception(SpawnerLostError())
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.end(128 + signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _Spawner:
    """One life of the spawner."""

    process: asyncio.subprocess.Process
    control: socket.socket
    ready: asyncio.Future[None]

    @classmethod
    async def start(cls, arguments: Sequence[str]) -> _Spawner:
        """Start it; it is `ready` a moment later."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *python_argv("emulator.workloads.spawner", str(theirs.fileno()), *arguments),
                _TITLE_ROOM,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        return cls(process, ours, asyncio.get_running_loop().create_future())

    async def end(self) -> None:
        """Kill it, and with it all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _output(descriptor: int | None) -> Iterator[int]:
    if descriptor is not None:
        yield descriptor
        return
    with _opened(Path("/dev/null"), os.O_WRONLY) as nothing:
        yield nothing


@contextlib.contextmanager
def _memory(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("specification")
    try:
        os.write(descriptor, content)
        yield descriptor
    finally:
        os.close(descriptor)


async def _writable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    writable: asyncio.Future[None] = loop.create_future()
    loop.add_writer(connection, _settle, writable)
    try:
        await writable
    finally:
        loop.remove_writer(connection)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _read_all(descriptor: int) -> bytes:
    """Everything that comes out of a pipe until its last writer is gone."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[bytes] = loop.create_future()
    chunks: list[bytes] = []

    def read() -> None:
        try:
            chunk = os.read(descriptor, 4096)
        except BlockingIOError:
            return
        chunks.append(chunk)
        if not chunk and not ended.done():
            ended.set_result(b"".join(chunks))

    loop.add_reader(descriptor, read)
    try:
        return await ended
    finally:
        loop.remove_reader(descriptor)

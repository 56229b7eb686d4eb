"""A container that runs HAProxy with a configuration which is brought up to date from outside.

HAProxy's master takes a new configuration without closing a socket: it starts a new worker on the same
listening sockets, and the old one finishes what it has begun. What happens is told, not waited for: the
master says over a datagram socket (`sd_notify`) that it is ready, and each old worker says on the master's
command line that it takes no new connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emulator.api.objects import JsonObject
from emulator.workloads.blueprint import PROXY_CONFIGURATION, Blueprint
from emulator.workloads.containers import StartError
from emulator.workloads.incarnations import CommandRun, Place, run_and_read
from emulator.workloads.logs import Log

Files = Mapping[str, str]
"""Name relative to the configuration's directory → content."""
Configuration = Callable[[JsonObject, str], Files]
"""The files that a pod's container is to start with."""

_MAIN = "haproxy.cfg"
_CURRENT, _NEXT = "current", "next"
_NOTIFY, _MASTER = "notify", "master.sock"

_KILLED = 128
"""Exit status of commands that a signal ended, or that could not be started any more."""
_PATIENCE = 20.0
"""Seconds for HAProxy to read a configuration; it takes a tenth of one on an idle machine."""


class ProxyRun(CommandRun):
    """One run of HAProxy."""

    def __init__(
        self, pod: JsonObject, container: JsonObject, place: Place, blueprint: Blueprint, log: Log
    ) -> None:
        super().__init__(pod, container, place, blueprint, log)
        assert blueprint.proxy is not None
        self._home = blueprint.proxy
        self._files: Files = {}
        self._generation = 0
        self._turn = asyncio.Lock()
        self._told: _Notices | None = None

    async def start(self) -> None:
        """Start it with the configuration of this moment; returns when it serves."""
        async with self._turn:
            self._files = self._place.configuration(self._pod, self._container["name"])
            shutil.rmtree(self._home, ignore_errors=True)
            for name in ("etc", "run"):
                (self._home / name).mkdir(parents=True)
                (self._home / name).chmod(0o755 if name == "etc" else 0o777)
            self._point(_CURRENT, self._write(self._files))
            self._told = _Notices(self._home / "run" / _NOTIFY)
            await super().start()
            if self.exited.done():
                self._told.close()
                return
            self.exited.add_done_callback(lambda _: self._told.close() if self._told else None)
            await self._until_ready()

    async def configure(self, files: Files) -> str:
        """Put a configuration in force; returns when no connection meets the old one any more.

        Returns what is wrong with it, empty when nothing is: then the one before stays in force.
        """
        async with self._turn:
            if files == self._files or self.exited.done() or self._told is None:
                return ""
            directory = self._write(files)
            self._point(_NEXT, directory)
            check = ("haproxy", "-c", "-f", f"{PROXY_CONFIGURATION}/{_NEXT}/{_MAIN}")
            status, said = await run_and_read(self, self._place.containers, self._blueprint, check)
            if status >= _KILLED:
                # The container ends, and its commands with it.
                await asyncio.wait({self.exited}, timeout=_PATIENCE)
            if self.exited.done():
                return ""
            if status:
                shutil.rmtree(directory, ignore_errors=True)
                complaint = said.decode(errors="replace").strip()
                self._log.line(f"refused: {complaint}")
                return complaint or f"haproxy -c ended with status {status}"
            before = (self._home / "etc" / _CURRENT).resolve()
            self._point(_CURRENT, directory)
            self._told.forget()
            process = await self.process()
            process.signal(signal.SIGUSR2)
            await self._until_ready()
            await self._until_old_workers_stop()
            shutil.rmtree(before, ignore_errors=True)
            self._files = files
            return ""

    async def end(self, grace: float) -> None:
        """Finish what has begun and take nothing new, for at most `grace` seconds."""
        with contextlib.suppress(StartError):
            (await self.process()).signal(signal.SIGUSR1)
            await asyncio.wait({self.exited}, timeout=grace)
        await super().end(0.0)

    async def _until_ready(self) -> None:
        assert self._told is not None
        ready = asyncio.ensure_future(self._told.ready.wait())
        waiting: set[asyncio.Future[Any]] = {ready, self.exited}
        await asyncio.wait(waiting, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def _until_old_workers_stop(self) -> None:
        """Workers of earlier generations that still have connections take no new ones.

        They have been told by then, and answer only after they have obeyed.
        """
        master = self._home / "run" / _MASTER
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_PATIENCE):
                for worker in _old_workers(await _ask(master, "show proc")):
                    answer = await _ask(master, f"@!{worker} show info")
                    while "\nStopping: 0" in answer:
                        answer = await _ask(master, f"@!{worker} show info")

    def _write(self, files: Files) -> Path:
        self._generation += 1
        directory = self._home / "etc" / f"generation-{self._generation}"
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        # HAProxy may run as another user, whatever the umask here is.
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return directory

    def _point(self, name: str, directory: Path) -> None:
        """Let `name` mean a generation, from one moment to the next."""
        fresh = self._home / "etc" / f".{name}"
        fresh.symlink_to(directory.name)
        fresh.replace(self._home / "etc" / name)


class _Notices:
    """What HAProxy's master says of itself."""

    def __init__(self, path: Path) -> None:
        self.ready = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with _short(path) as address:
            self._socket.bind(address)
        path.chmod(0o666)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def forget(self) -> None:
        """Whatever has been said so far is about the past."""
        self._read()
        self.ready.clear()

    def close(self) -> None:
        """Stop listening."""
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                words = self._socket.recv(4096).decode(errors="replace").splitlines()
            except OSError:
                return
            if "RELOADING=1" in words:
                self.ready.clear()
            if "READY=1" in words:
                self.ready.set()


async def _ask(master: Path, command: str) -> str:
    """One command of the master's command line; its answer ends with an empty line. Raises OSError."""
    with _short(master) as address:
        reader, writer = await asyncio.open_unix_connection(address)
    try:
        writer.write(f"{command}\n".encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            piece = await reader.read(4096)
            if not piece:
                break
            answer += piece
        return answer.decode(errors="replace")
    finally:
        writer.close()


def _old_workers(processes: str) -> Iterator[str]:
    """The process IDs under `# old workers` in what `show proc` says."""
    section = ""
    for line in processes.splitlines():
        words = line.split()
        if line.startswith("#"):
            section = line
        elif section == "# old workers" and words[1:2] == ["worker"]:
            yield words[0]


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """An address for a Unix socket, which is at most 107 bytes long; a pod's path may be longer."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)

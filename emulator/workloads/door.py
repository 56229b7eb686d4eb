"""The door through which a container's command line asks for a server of the table.

`sh -c "echo hi > /usr/share/nginx/html/index.html; nginx -g 'daemon off;'"` is a real shell, but nginx
is played here: `tools/server.py`, which containers find under the servers' names, connects to this
socket, says its command line, and keeps the connection for as long as it wants to be served.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from emulator.workloads.images import server_named
from emulator.workloads.servers.program import Context, ProgramError
from emulator.workloads.servers.serving import Serving

INSIDE = "/run/mininetes.sock"


class Door:
    """A listening socket in the file system, and the programs played for those who came in."""

    def __init__(self, path: Path, netns: Path, context: Callable[[tuple[str, ...]], Context]) -> None:
        self._path = path
        self._netns = netns
        self._context = context
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        # The address of a Unix socket is at most 107 bytes long, a pod's path may be longer.
        directory = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._server = await asyncio.start_unix_server(
                self._enter, f"/proc/self/fd/{directory}/{self._path.name}"
            )
        finally:
            os.close(directory)
        self._path.chmod(0o666)

    async def close(self) -> None:
        """End everything that was played for the container."""
        if self._server is not None:
            self._server.close()
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        serving: Serving | None = None
        try:
            words = [str(word) for word in json.loads(await reader.readline())]
            serving = await self._play(words, writer)
            if serving is not None:
                await reader.read()
        except (OSError, ValueError):
            # Who says no command line, or leaves, gets no program.
            return
        finally:
            self._visits.discard(visit)
            writer.close()
            if serving is not None:
                await serving.close()

    async def _play(self, words: list[str], writer: asyncio.StreamWriter) -> Serving | None:
        server = server_named(words[0])
        if server is None:
            writer.write(b"no such program\n")
            return None
        try:
            serving = await Serving.start(server.program(self._context(tuple(words[1:]))), self._netns)
        except ProgramError as error:
            writer.write(f"{error}\n".encode())
            return None
        writer.write(b"\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        return serving

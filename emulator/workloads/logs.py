"""What containers write, kept in files of the run directory as plain text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

LARGEST = 10 * 2**20
"""Bytes that a log may hold before its older half is dropped, as kubelet rotates at 10 MiB."""
_CHUNK = 1 << 16


class Log:
    """The log of one run of a container."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1
        self._size = 0
        self._dropped = 0
        self._grown: set[asyncio.Event] = set()
        self._pipes: set[int] = set()
        self._closed = False

    def write(self, text: bytes) -> None:
        """Append what a container wrote just now."""
        if self._closed or not text:
            return
        if self._file < 0:
            self._open()
        if self._size + len(text) > LARGEST:
            self._drop_older_half()
        os.write(self._file, text)
        self._size += len(text)
        self._tell()

    def line(self, text: str) -> None:
        """Append a line."""
        self.write(f"{text}\n".encode())

    def sink(self) -> int:
        """The writing end of a pipe into this log, for a process to write to; the caller closes it."""
        source, sink = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(source, False)
        self._pipes.add(source)
        asyncio.get_running_loop().add_reader(source, self._pump, source)
        return sink

    def close(self) -> None:
        """No more will be written: what is still in pipes is taken, followers see the end."""
        for pipe in tuple(self._pipes):
            while pipe in self._pipes and self._pump(pipe):
                pass
            self._release(pipe)
        if not self._closed:
            self._closed = True
            if self._file >= 0:
                os.close(self._file)
            self._tell()

    def text(self, start: int = 0) -> bytes:
        """All that it holds from byte `start` on."""
        if start >= self._size:
            return b""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read()

    async def follow(self) -> AsyncIterator[bytes]:
        """All that it holds, then what is added, until it is closed."""
        position = self._dropped
        grown = asyncio.Event()
        self._grown.add(grown)
        try:
            while True:
                grown.clear()
                text = self.text(max(0, position - self._dropped))
                position = self._dropped + self._size
                if text:
                    yield text
                elif self._closed:
                    return
                else:
                    await grown.wait()
        finally:
            self._grown.discard(grown)

    def _open(self) -> None:
        """Make the file; most containers never write."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)

    def _pump(self, pipe: int) -> bool:
        """Take what a pipe holds; False when it holds nothing more."""
        try:
            text = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return False
        if not text:
            self._release(pipe)
            return False
        self.write(text)
        return True

    def _release(self, pipe: int) -> None:
        if pipe in self._pipes:
            self._pipes.discard(pipe)
            asyncio.get_running_loop().remove_reader(pipe)
            os.close(pipe)

    def _drop_older_half(self) -> None:
        kept = self.text(max(0, self._size - LARGEST // 2))
        kept = kept[kept.find(b"\n") + 1 :]
        self._dropped += self._size - len(kept)
        os.ftruncate(self._file, 0)
        os.write(self._file, kept)
        self._size = len(kept)

    def _tell(self) -> None:
        for grown in self._grown:
            grown.set()

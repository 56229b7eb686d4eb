"""The store's memory on disk: one JSON line a write, rewritten as a whole when it has grown.

A line reaches the kernel before the write is acknowledged, so the death of the process loses nothing. (The
death of the machine may: a cluster does not outlive it anyway.) A last line cut short by a kill is dropped on
opening.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from emulator.api.objects import JsonObject, Key

_COMPACT_ABOVE = 4 * 1024 * 1024  # bytes; and only when at least half of the file is history


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal held: the objects as last written, and the last resourceVersion."""

    objects: tuple[JsonObject, ...] = ()
    resource_version: int = 0


@dataclass(slots=True)
class _Replay:
    """Reads lines into the newest state."""

    objects: dict[Key, JsonObject] = field(default_factory=dict)
    resource_version: int = 0
    valid_bytes: int = 0

    def read(self, data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                entry = None
            if entry is None:
                return
            key = Key(*entry["key"])
            if "object" in entry:
                self.objects[key] = entry["object"]
            else:
                self.objects.pop(key, None)
            self.resource_version = max(self.resource_version, entry["rv"])
            self.valid_bytes += len(line)


class Journal:
    """An append-only file of writes. Raises OSError when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._live = 0
        self._fd = -1

    def open(self) -> Recovered:
        """Read what is there, cut off a torn last line, and get ready to append."""
        replay = _Replay()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            replay.read(self._path.read_bytes())
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, replay.valid_bytes)
        self._size = self._live = replay.valid_bytes
        return Recovered(tuple(replay.objects.values()), replay.resource_version)

    def append(self, key: Key, obj: JsonObject | None, resource_version: int) -> None:
        """Record that `key` is now `obj` (None: deleted)."""
        line = _line(key, obj, resource_version)
        written = 0
        while written < len(line):
            written += os.write(self._fd, line[written:])
        self._size += len(line)

    @property
    def wants_compaction(self) -> bool:
        """Whether more than half of a big file is history."""
        return self._size > max(_COMPACT_ABOVE, 2 * self._live)

    def compact(self, objects: Iterable[tuple[Key, JsonObject]], resource_version: int) -> None:
        """Replace the file by one that holds only `objects`; a kill meanwhile leaves the old file in
        force."""
        lines = [_line(key, obj, int(obj["metadata"]["resourceVersion"])) for key, obj in objects]
        # Deletions advance the version too: without this mark a reopened store would hand out old ones again.
        lines.append(_line(Key("", "", ""), None, resource_version))
        data = b"".join(lines)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(data)
        fd = os.open(fresh, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.replace(fresh, self._path)
        os.close(self._fd)
        self._fd = fd
        self._size = self._live = len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _line(key: Key, obj: JsonObject | None, resource_version: int) -> bytes:
    entry: JsonObject = {"rv": resource_version, "key": list(key)}
    if obj is not None:
        entry["object"] = obj
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"

"""The control socket: one JSON object a line in each direction, one request a connection.

{"do": "status"}                   -> {"services": {name: {"state", "pid", "restarts", "lastExit", "status"}}}
{"do": "wait", "service": name}    -> {"state": ...}, as soon as it is ready, or has crashed often;
                                      with "restarts": n, not before its n-th restart
{"do": "restart", "service": name} -> {"state": ..., "pid": ...}: the process is told to end, and comes back
{"do": "stop"}                     -> {}
anything wrong                     -> {"error": text}
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emulator.sandbox.supervisor import Life, State, Supervisor

Message = dict[str, Any]

HOPELESS = 4
"""Crashes in a row after which those who wait for a unit are told so."""

_LONGEST_REQUEST = 65536
_BACKLOG = 512


class Conversation:
    """The serving end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._buffer = b""
        self.ended = False
        self.waits_for = ""
        self.restarts = 0

    def receive(self) -> Message | None:
        """The request, once it has arrived in full; sets `ended` when none will come."""
        try:
            data = self._connection.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self._buffer += data
        line, found, _rest = self._buffer.partition(b"\n")
        if not found:
            self.ended = not data or len(self._buffer) > _LONGEST_REQUEST
            return None
        try:
            request = json.loads(line)
        except ValueError:
            return {}
        return request if isinstance(request, dict) else {}

    def send(self, message: Message) -> None:
        """Send the answer; an asker who is gone is no error."""
        with suppress(OSError):
            self._connection.send(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def status(supervisor: Supervisor) -> Message:
    """The answer to `status`."""
    return {"services": {name: _describe(life) for name, life in supervisor.lives.items()}}


def waited(life: Life, restarts: int) -> Message | None:
    """The answer to `wait` (after so many restarts), or None as long as there is reason to wait."""
    if life.restarts < restarts:
        return None
    if life.settled or life.state is State.FAILED or life.crashes >= HOPELESS:
        return _describe(life)
    return None


def _describe(life: Life) -> Message:
    return {
        "state": life.state.value,
        "pid": life.pid,
        "restarts": life.restarts,
        "lastExit": life.last_exit,
        "status": life.status,
    }


def ask(path: Path, request: Message, *, timeout: float) -> Message:
    """Send one request to the control socket and return the answer.

    `timeout` is in seconds. Raises OSError (TimeoutError among them) when nobody answers.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        with _address(path) as address:
            connection.connect(address)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("r") as answers:
            line = answers.readline()
    if not line:
        raise ConnectionResetError(f"{path}: the sandbox ended")
    answer: Message = json.loads(line)
    return answer


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """A short name for a path that may be longer than a socket address can hold."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen(path: Path) -> socket.socket:
    """A listening Unix socket that only its owner may connect to; the path is taken over if it exists."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(FileNotFoundError):
        path.unlink()
    previous = os.umask(0o177)
    try:
        with _address(path) as address:
            listener.bind(address)
    finally:
        os.umask(previous)
    listener.listen(_BACKLOG)
    return listener

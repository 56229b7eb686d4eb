"""The serving end of the control socket (`emulator.sandbox.control` tells what may be said)."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

from emulator.sandbox.control import Message
from emulator.sandbox.supervisor import Life, State, Supervisor

HOPELESS = 4
"""Crashes in a row after which those who wait for a unit are told so."""

_LONGEST_REQUEST = 65536


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

"""Two small tools with which the processes of a start wait for each other."""

from __future__ import annotations

import json
import os
import select
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rendezvous:
    """One end of a conversation between a process and its child, one short message at a time."""

    end: socket.socket

    @classmethod
    def pair(cls) -> tuple[Rendezvous, Rendezvous]:
        """The two ends; each process closes the one that is not its own."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def say(self, message: bytes) -> None:
        """Send; raises BrokenPipeError when the other end is gone."""
        self.end.send(message)

    def hear(self) -> bytes:
        """Wait for the next message; raises EOFError when the other end is gone."""
        message = self.end.recv(256)
        if not message:
            raise EOFError("the other process is gone")
        return message

    def hear_from(self, speaker: int) -> bytes:
        """Wait for the next message of the process with pidfd `speaker`. Raises EOFError when it is dead."""
        poll = select.poll()
        for fd in (self.end.fileno(), speaker):
            poll.register(fd, select.POLLIN)
        poll.poll()
        try:
            message = self.end.recv(256, socket.MSG_DONTWAIT)
        except BlockingIOError:
            message = b""
        if not message:
            raise EOFError("the other process is gone")
        return message

    def close(self) -> None:
        """Close this end."""
        self.end.close()


class Lines:
    """JSON objects, one a line, read from a descriptor as they come."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.ended = False
        self._buffer = b""

    def read(self) -> list[dict[str, Any]]:
        """Whole lines that have arrived; waits when nothing has. Sets `ended` at the end."""
        data = os.read(self.fd, 65536)
        self.ended = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]


def write_line(fd: int, message: dict[str, Any]) -> None:
    """Write one object as one line."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]

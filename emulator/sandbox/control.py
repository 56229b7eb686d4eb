"""The control socket: one JSON object a line in each direction, one request a connection.

{"do": "status"}                   -> {"services": {name: {"state", "pid", "restarts", "lastExit", "status"}}}
{"do": "wait", "service": name}    -> {"state": ...}, as soon as it is ready, or has crashed often;
                                      with "restarts": n, not before its n-th restart
{"do": "restart", "service": name} -> {"state": ..., "pid": ...}: the process is told to end, and comes back
{"do": "hold", "service": name}    -> {"state": ..., "pid": ...}: the process is killed, and stays down until
{"do": "release", "service": name} -> {"state": ..., "pid": ...}: it is started
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

Message = dict[str, Any]

_BACKLOG = 512


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

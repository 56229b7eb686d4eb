"""Asking ovs-vswitchd itself, over its control socket (the protocol of ovs-appctl)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEFAULT_RUNDIR = "/var/run/openvswitch"


class ControlError(RuntimeError):
    """ovs-vswitchd refused a command."""


def process() -> int:
    """The id of the ovs-vswitchd that runs in OVS_RUNDIR. Raises OSError or ValueError when none does."""
    return int((_directory() / "ovs-vswitchd.pid").read_text())


def control_socket() -> Path:
    """Its control socket. Raises OSError or ValueError when none runs."""
    return _directory() / f"ovs-vswitchd.{process()}.ctl"


def command(name: str, *arguments: str, seconds: float = 5.0) -> str:
    """Run a command of ovs-appctl(8) and return its output.

    Raises ControlError when it is refused, OSError or ValueError when nobody answers.
    """
    with asked(name, *arguments, seconds=seconds) as answer:
        return answer()


@contextmanager
def asked(name: str, *arguments: str, seconds: float = 5.0) -> Iterator[Callable[[], str]]:
    """Send a command, and give a function that waits for its output; raises what `command` raises."""
    request = json.dumps({"id": 0, "method": name, "params": arguments}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(control_socket()))
        connection.sendall(request)

        def answer() -> str:
            found = _read(connection)
            if found.get("error") is not None:
                raise ControlError(str(found["error"]).strip())
            return str(found["result"])

        yield answer


def _directory() -> Path:
    return Path(os.environ.get("OVS_RUNDIR", DEFAULT_RUNDIR))


def _read(connection: socket.socket) -> dict[str, object]:
    """One JSON value: the daemon keeps the connection open after it."""
    text = ""
    while True:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("ovs-vswitchd closed the connection")
        text += piece.decode()
        try:
            found: dict[str, object] = json.loads(text)
        except json.JSONDecodeError:
            continue
        return found

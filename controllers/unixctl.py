"""Asking ovs-vswitchd itself, over its control socket (the protocol of ovs-appctl)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DEFAULT_RUNDIR = "/var/run/openvswitch"
_UNDER_WAY = 16
"""Commands that are sent ahead of their answers."""


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


def commands(name: str, wanted: Sequence[Sequence[str]], *, seconds: float = 5.0) -> Iterator[str]:
    """Run one command with several lists of arguments over one connection; their outputs in order.

    A few are under way at a time, so that the daemon has something to do while an answer is read. Raises
    what `command` raises.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(control_socket()))
        answers = _values(connection)
        for number, arguments in enumerate(wanted):
            request = {"id": number, "method": name, "params": list(arguments)}
            connection.sendall(json.dumps(request).encode())
            if number >= _UNDER_WAY:
                yield _result(next(answers))
        for _ in wanted[-_UNDER_WAY:]:
            yield _result(next(answers))


@contextmanager
def asked(name: str, *arguments: str, seconds: float = 5.0) -> Iterator[Callable[[], str]]:
    """Send a command, and give a function that waits for its output; raises what `command` raises."""
    request = json.dumps({"id": 0, "method": name, "params": arguments}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(str(control_socket()))
        connection.sendall(request)

        yield lambda: _result(next(_values(connection)))


def _result(answer: dict[str, object]) -> str:
    if answer.get("error") is not None:
        raise ControlError(str(answer["error"]).strip())
    return str(answer["result"])


def _directory() -> Path:
    return Path(os.environ.get("OVS_RUNDIR", DEFAULT_RUNDIR))


def _values(connection: socket.socket) -> Iterator[dict[str, object]]:
    """JSON values as they come: the daemon keeps the connection open after each."""
    decoder, text = json.JSONDecoder(), ""
    while True:
        piece = connection.recv(1 << 18)
        if not piece:
            raise ConnectionError("ovs-vswitchd closed the connection")
        text += piece.decode()
        while text:
            try:
                found, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break
            text = text[end:].lstrip()
            yield found

#!/usr/bin/env python3
"""Stands for a server program (nginx, redis-server, ...) that a command line inside a container starts.

The engine plays the program for as long as this process is connected to it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import NoReturn

_DOOR = "/run/mininetes.sock"
_BACKGROUND = ("nginx", "apache2ctl", "apachectl")
"""Programs that return to the shell and serve on, unless told otherwise."""
_FOREGROUND = ("daemon off", "FOREGROUND")
_QUESTIONS = ("-t", "-v", "-V", "-s", "--version", "--help")


def main() -> int:
    """Ask for the program, and stay until it or this process ends."""
    name = os.path.basename(sys.argv[0])
    if any(word in _QUESTIONS for word in sys.argv[1:2]):
        print(f"{name}: played by the emulator", file=sys.stderr)
        return 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda _number, _frame: _leave(0))
    door = socket.socket(socket.AF_UNIX)
    door.connect(_DOOR)
    door.sendall(json.dumps([name, *sys.argv[1:]]).encode() + b"\n")
    refusal = door.makefile("rb").readline().decode().strip()
    if refusal:
        print(f"{name}: {refusal}", file=sys.stderr)
        return 1
    if name in _BACKGROUND and not any(word in " ".join(sys.argv) for word in _FOREGROUND) and os.fork():
        return 0
    door.recv(1)
    return 0


def _leave(status: int) -> NoReturn:
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())

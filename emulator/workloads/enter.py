"""Runs a command inside a running container: `enter PID SPECIFICATION COMMAND...`, from within the sandbox.

Standard streams, and so a terminal, are the caller's. The command has the container's namespaces,
environment, directory and rights; the exit status is its own.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from emulator.linux import namespaces, processes
from emulator.linux.namespaces import Namespace
from emulator.workloads.confinement import CANNOT_EXECUTE, NOT_FOUND, run
from emulator.workloads.spec import Command, decode_command

_CONTAINER = Namespace.MOUNT | Namespace.UTS | Namespace.IPC | Namespace.NET
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main() -> int:
    """Enter, run the command and return its status."""
    pid, specification, *argv = sys.argv[1:]
    command = replace(decode_command(Path(specification).read_bytes()), argv=tuple(argv))
    try:
        handle = os.pidfd_open(int(pid))
        namespaces.setns(handle, Namespace.PID)
    except OSError:
        print("the container does not run any more", file=sys.stderr)
        return 1
    child = os.fork()
    if child == 0:
        _become(command, handle)
    return _wait(child)


def _become(command: Command, handle: int) -> NoReturn:
    """Enter the rest of the container and turn into the command."""
    status = CANNOT_EXECUTE
    try:
        namespaces.setns(handle, _CONTAINER)
        os.close(handle)
        run(command)
    except OSError as error:
        status = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_EXECUTE
        reason = "executable file not found" if status == NOT_FOUND else error.strerror
        print(f'exec: "{command.argv[0]}": {reason}', file=sys.stderr)
    finally:
        os._exit(status)


def _wait(child: int) -> int:
    """Pass signals on until the command ends."""

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    return processes.shell_status(os.waitpid(child, 0)[1])

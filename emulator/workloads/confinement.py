"""How a forked process becomes a container's first process, or a command in a container."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from emulator.linux import capabilities, namespaces, processes
from emulator.linux.capabilities import Capability
from emulator.linux.namespaces import Namespace
from emulator.workloads.rootfs import Template
from emulator.workloads.spec import Command, ContainerSpec, Credentials

_FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_OVERSEER = Credentials(capabilities=frozenset({int(Capability.KILL)}))
NOT_FOUND = 127
CANNOT_EXECUTE = 126


def become(title: str, furnish: Callable[[], NoReturn], watch: Callable[[int], NoReturn]) -> NoReturn:
    """Be the first process of a container until it ends.

    The caller is the first process of a new PID namespace, in the container's network namespace.
    `furnish` builds the container in a child process, `watch` is what this one does with that child:
    it stays for as long as the container, so it touches as little of the spawner's memory as it can.
    """
    namespaces.unshare(Namespace.MOUNT | Namespace.UTS | Namespace.IPC)
    child = os.fork()
    if child == 0:
        furnish()
    processes.name_process(title.rpartition("/")[2])
    processes.forbid_inspection()
    _confine(_OVERSEER)
    _close_all()
    watch(child)


def furnish(spec: ContainerSpec, template: Template, output: int, report: int) -> NoReturn:
    """Build the container, and become its command where it has one. Raises OSError when it cannot be made."""
    socket.sethostname(spec.hostname)
    template.enter(spec)
    if spec.command is None:
        os._exit(0)
    os.makedirs(spec.command.directory, exist_ok=True)
    given = os.pipe2(os.O_CLOEXEC)[0] if spec.open_stdin else os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        exec_command(spec.command, given, output, report)
    except OSError as error:
        os.write(report, _explain(spec.command, error).encode())
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_EXECUTE)


def watch_over(child: int) -> NoReturn:
    """Forward signals to `child`, reap its orphans, and end as it ends."""

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    os._exit(_status_of(child))


def outlive(child: int) -> NoReturn:
    """When `child` has built the container, reap whatever ends in it until somebody asks it to stop."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(0)

    status = _status_of(child)
    if status:
        os._exit(status)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, leave)
    while True:
        signal.pause()


def exec_command(command: Command, given: int, output: int, report: int) -> NoReturn:
    """Replace this process by `command`, confined. The caller is inside the container's namespaces.

    `report` stays open until the exec succeeds. Raises OSError when it does not.
    """
    os.dup2(given, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # From here on other processes of the container may look into this one.
    _close_all(keep=report)
    os.setsid()
    run(command)


def run(command: Command) -> NoReturn:
    """Replace this process by `command`, confined, with its standard streams as they are. Raises OSError."""
    if command.credentials.uid:
        for stream in (1, 2):
            _hand_over(stream, command.credentials.uid)
    os.chdir(command.directory)
    _confine(command.credentials)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, *_FORWARDED):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(command.argv[0], command.argv, dict(command.env))


def _confine(credentials: Credentials) -> None:
    """Give up every right that `credentials` does not name."""
    capabilities.limit_bounding_set(credentials.capabilities)
    if credentials.uid or credentials.gid or credentials.groups:
        os.setgroups(credentials.groups)
        os.setresgid(credentials.gid, credentials.gid, credentials.gid)
        os.setresuid(credentials.uid, credentials.uid, credentials.uid)
    capabilities.limit_capabilities(credentials.capabilities)
    processes.renounce_privileges()


def _hand_over(stream: int, uid: int) -> None:
    """Let a command that is not root open `/dev/stdout` again."""
    try:
        os.fchown(stream, uid, -1)
    except OSError:
        # A terminal of somebody else's stays theirs; only reopening it by name is lost.
        return


def _close_all(keep: int = 2) -> None:
    """Close every descriptor but the standard ones (which no container shares) and `keep`."""
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))


def _status_of(child: int) -> int:
    """Reap until `child` ends; its status, 128 + number when a signal ended it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return processes.shell_status(status)


def _explain(command: Command, error: OSError) -> str:
    program = command.argv[0]
    if isinstance(error, FileNotFoundError) and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH'
    return f'exec: "{error.filename or program}": {(error.strerror or str(error)).lower()}'

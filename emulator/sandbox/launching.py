"""Launching: the order for a sandbox, the launcher that carries it out, and the wait until it is ready."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from emulator.sandbox import openvswitch, places
from emulator.sandbox.errors import SandboxError
from emulator.sandbox.openvswitch import Datapath
from emulator.sandbox.order import Order, python_argv
from emulator.sandbox.places import Process, Record
from emulator.sandbox.sandbox import PROJECT, STOP_PATIENCE, Sandbox, await_end, await_event, environment
from emulator.sandbox.services import ServiceSpec, Unit

LAUNCH_PATIENCE = 30.0
"""Seconds that a sandbox may take until Open vSwitch answers."""

_CHANNEL = 3
_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def launch(
    name: str,
    run_dir: Path | None = None,
    services: Sequence[ServiceSpec] = (),
    *,
    datapath: Datapath = Datapath.NETDEV,
    offload: bool = False,
    code: Sequence[Path] = (),
    timeout: float = LAUNCH_PATIENCE,
) -> Sandbox:
    """Start a sandbox; returns when its first process runs and Open vSwitch answers.

    It dies with this process unless `Sandbox.detach` is called. `run_dir` is by default the one that
    `find(name)` looks in. `code` names further directories of the host that services read. `timeout` is in
    seconds. Raises SandboxError.
    """
    where = run_dir or places.run_directory(name)
    known = Record.load(where)
    if known is not None and known.running():
        raise places.name_taken(name)
    base = openvswitch.units(datapath, offload=offload)
    order = Order(
        name=places.check_name(name),
        run_dir=str(where.absolute()),
        socket=str(places.socket_path(name)),
        interpreter=_bare_interpreter(),
        project=str(PROJECT),
        units=(*base, *(Unit.of(service) for service in services)),
        needed=tuple(unit.name for unit in base),
        code=tuple(map(str, (PROJECT, *_interpreter_trees(), *code))),
        homes=(os.path.expanduser("~"), str(places.state_home())),
        env=environment(name),
        keeper=Process.of(os.getpid()),
    )
    ours, theirs = socket.socketpair()
    launcher = _spawn(python_argv(order.interpreter, "launcher", order.project, str(_CHANNEL)), theirs)
    try:
        ours.sendall(order.dump().encode() + b"\n")
        await_event(ours, "ready", time.monotonic() + timeout)
    except BaseException:
        ours.close()
        with suppress(ProcessLookupError):
            os.kill(launcher.pid, signal.SIGTERM)
        await_end(launcher, time.monotonic() + STOP_PATIENCE)
        raise
    record = Record.load(where)
    if record is None or not record.running():
        raise SandboxError(f"cluster {name!r} ended as soon as it was ready")
    return Sandbox(record, where, ours)


def _spawn(argv: list[str], channel: socket.socket) -> Process:
    """Start a process that keeps none of this one's descriptors but the channel."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
    actions = [*null, (os.POSIX_SPAWN_DUP2, channel.fileno(), _CHANNEL)]
    pid = os.posix_spawn(
        argv[0], argv, dict(os.environ), file_actions=actions, setsid=True, setsigdef=_SIGNALS
    )
    channel.close()
    return Process.of(pid)


def _bare_interpreter() -> str:
    """The interpreter behind a virtual environment: the launcher needs nothing but the standard library."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _interpreter_trees() -> list[Path]:
    """Directories that the interpreter and its packages are in, where the system's own do not hold them."""
    prefixes = {Path(os.path.realpath(prefix)) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    return [prefix for prefix in prefixes if not prefix.is_relative_to("/usr")]

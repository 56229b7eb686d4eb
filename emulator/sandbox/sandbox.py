"""Sandboxes as the rest of the program sees them: launch, find, enter, stop."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from emulator.sandbox import control, openvswitch, places
from emulator.sandbox.errors import SandboxError
from emulator.sandbox.filesystem import RUN
from emulator.sandbox.openvswitch import Datapath
from emulator.sandbox.order import Order, python_argv
from emulator.sandbox.pipes import Lines, write_line
from emulator.sandbox.places import Process, Record
from emulator.sandbox.services import ServiceSpec, Unit

LAUNCH_PATIENCE = 30.0
STOP_PATIENCE = 10.0
CONTROL_PATIENCE = 5.0

_PROJECT = Path(__file__).resolve().parents[2]
_CHANNEL = 3
_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Sandbox:
    """A running sandbox."""

    def __init__(self, record: Record, run_dir: Path, channel: socket.socket | None = None) -> None:
        self._record = record
        self._channel = channel
        self.name = record.name
        self.run_dir = run_dir
        self.socket = Path(record.socket)

    @property
    def pid(self) -> int:
        """The host's id of the sandbox's first process."""
        return self._record.init.pid

    def __repr__(self) -> str:
        return f"<Sandbox {self.name} pid={self.pid}>"

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def alive(self) -> bool:
        """Whether its first process runs."""
        return self._record.init.alive()

    def detach(self) -> None:
        """Let it live on when this process, which launched it, ends."""
        if self._channel is not None:
            write_line(self._channel.fileno(), {"do": "detach"})
            _converse(self._channel, "detached", time.monotonic() + CONTROL_PATIENCE)
            self._channel.close()
            self._channel = None

    def services(self) -> dict[str, dict[str, Any]]:
        """State, pid (as seen inside), restarts and last exit of every unit."""
        answer: dict[str, dict[str, Any]] = self._ask({"do": "status"}, CONTROL_PATIENCE)["services"]
        return answer

    def wait(self, service: str, timeout: float, *, restarts: int = 0) -> None:
        """Wait until a service is ready, and has been restarted at least `restarts` times.

        `timeout` is in seconds. Raises TimeoutError, or SandboxError with its log when it keeps crashing.
        """
        answer = self._ask({"do": "wait", "service": service, "restarts": restarts}, timeout)
        if answer["state"] not in ("ready", "done"):
            message = f"{service} crashes at its start (exit code {answer['lastExit']})"
            raise SandboxError(message, log=self.log(service))

    def restart(self, service: str) -> None:
        """Tell a service's process to end; it is started again."""
        self._ask({"do": "restart", "service": service}, CONTROL_PATIENCE)

    def log(self, service: str, lines: int = 20) -> str:
        """The last lines that a service wrote."""
        try:
            text = (self.run_dir / "var" / "log" / f"{service}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "".join(text.splitlines(keepends=True)[-lines:])

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        try:
            answer = control.ask(self.run_dir / "control.sock", request, timeout=timeout)
        except TimeoutError:
            raise
        except OSError as error:
            raise SandboxError(f"cluster {self.name!r} has ended ({error})") from None
        if "error" in answer:
            raise SandboxError(answer["error"])
        return answer

    def command(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> list[str]:
        """The command for this host that runs `argv` in the sandbox, as its root, in `/`.

        `env` is added to the environment that services have; nothing of the caller's is passed on but TERM.
        """
        variables = {**environment(self.name), "TERM": os.environ.get("TERM", "dumb"), **(env or {})}
        credentials = ["--preserve-credentials"] if self._record.keep_credentials else []
        namespaces = ["--user", "--mount", "--net", "--pid", "--uts", "--ipc"]
        assignments = [f"{key}={value}" for key, value in variables.items()]
        return [
            "nsenter",
            f"--target={self.pid}",
            *namespaces,
            *credentials,
            "--",
            "env",
            "-i",
            *assignments,
            *argv,
        ]

    def enter(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
        """Run `argv` in the sandbox on this process's standard streams; returns its exit code."""
        if not self.alive():
            raise SandboxError(f"cluster {self.name!r} has ended")
        return subprocess.call(self.command(argv, env))

    def stop(self) -> None:
        """End it and wait until its processes and files are gone. Stopping what has ended is no error."""
        with suppress(SandboxError, TimeoutError):
            self._ask({"do": "stop"}, CONTROL_PATIENCE)
        deadline = time.monotonic() + STOP_PATIENCE
        if not _await_end(self._record.janitor, deadline):
            with suppress(ProcessLookupError):
                os.kill(self._record.launcher.pid, signal.SIGKILL)
            _await_end(self._record.janitor, time.monotonic() + STOP_PATIENCE)
        _await_end(self._record.launcher, deadline)
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _await_end(process: Process, deadline: float) -> bool:
    """Wait for a process to end; whether it did. Reaps it where it is a child of this one."""
    try:
        fd = process.open()
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ended = bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(fd)
    if ended:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
    return ended


def environment(name: str) -> dict[str, str]:
    """The environment of every process of a cluster."""
    return {
        "PATH": f"{sysconfig.get_path('scripts')}:{_PATH}",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(_PROJECT),
        "MININETES_NAME": name,
        "MININETES_RUN": RUN,
        "MININETES_SOCKET": f"{RUN}/api.sock",
        **openvswitch.ENVIRONMENT,
    }


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
    base = openvswitch.units(datapath, offload=offload)
    order = Order(
        name=places.check_name(name),
        run_dir=str(where.absolute()),
        socket=str(places.socket_path(name)),
        interpreter=_bare_interpreter(),
        project=str(_PROJECT),
        units=(*base, *(Unit.of(service) for service in services)),
        needed=tuple(unit.name for unit in base),
        code=tuple(map(str, (_PROJECT, *_interpreter_trees(), *code))),
        homes=(os.path.expanduser("~"), str(places.state_home())),
        env=environment(name),
        keeper=Process.of(os.getpid()),
    )
    ours, theirs = socket.socketpair()
    launcher = _spawn(python_argv(order.interpreter, "launcher", order.project, str(_CHANNEL)), theirs)
    try:
        ours.sendall(order.dump().encode() + b"\n")
        _converse(ours, "ready", time.monotonic() + timeout)
    except BaseException:
        ours.close()
        with suppress(ProcessLookupError):
            os.kill(launcher.pid, signal.SIGTERM)
        _await_end(launcher, time.monotonic() + STOP_PATIENCE)
        raise
    record = Record.load(where)
    if record is None or not record.running():
        raise SandboxError(f"cluster {name!r} ended as soon as it was ready")
    return Sandbox(record, where, ours)


def find(name: str) -> Sandbox | None:
    """The running sandbox of that name that belongs to this user."""
    run_dir = places.run_directory(name)
    record = Record.load(run_dir)
    if record is None:
        return None
    if not record.running():
        record.forget(run_dir)
        return None
    return Sandbox(record, run_dir)


def all() -> list[Sandbox]:
    """Every running sandbox of this user, by name."""
    try:
        names = sorted(entry.name for entry in places.state_home().iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    return [sandbox for name in names if (sandbox := find(name)) is not None]


def _spawn(argv: list[str], channel: socket.socket) -> Process:
    """Start a process that keeps none of this one's descriptors but the channel."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
    actions = [*null, (os.POSIX_SPAWN_DUP2, channel.fileno(), _CHANNEL)]
    pid = os.posix_spawn(
        argv[0], argv, dict(os.environ), file_actions=actions, setsid=True, setsigdef=_SIGNALS
    )
    channel.close()
    return Process.of(pid)


def _converse(channel: socket.socket, wanted: str, deadline: float) -> None:
    """Wait until the launcher reports the wanted event; raises SandboxError at the first other one."""
    lines = Lines(channel.fileno())
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while not lines.ended:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise SandboxError("the sandbox was not ready in time")
        for message in lines.read():
            if message["event"] == wanted:
                return
            raise SandboxError(message["message"], hint=message.get("hint", ""), log=message.get("log", ""))
    raise SandboxError("the launcher ended without a word", hint="run: mininetes doctor")


def _bare_interpreter() -> str:
    """The interpreter behind a virtual environment: the launcher needs nothing but the standard library."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _interpreter_trees() -> list[Path]:
    """Directories that the interpreter and its packages are in, where the system's own do not hold them."""
    prefixes = {Path(os.path.realpath(prefix)) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    return [prefix for prefix in prefixes if not prefix.is_relative_to("/usr")]

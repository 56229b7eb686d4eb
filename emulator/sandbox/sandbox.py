"""Sandboxes as the rest of the program sees them: find, enter, ask, stop."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from emulator.sandbox import control, openvswitch, places
from emulator.sandbox.errors import SandboxError
from emulator.sandbox.pipes import Lines, write_line
from emulator.sandbox.places import RUN, Process, Record

STOP_PATIENCE = 10.0
"""Seconds that a sandbox may take to end before its launcher is killed."""
CONTROL_PATIENCE = 5.0
"""Seconds that the first process may take to answer."""

PROJECT = Path(__file__).resolve().parents[2]
"""The directory that the project's packages are in."""

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
            await_event(self._channel, "detached", time.monotonic() + CONTROL_PATIENCE)
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

    def hold(self, service: str) -> None:
        """Kill a service's process, and keep it down until `release`: a crash that nobody mends."""
        self._ask({"do": "hold", "service": service}, CONTROL_PATIENCE)

    def release(self, service: str) -> None:
        """Start a service that is held."""
        self._ask({"do": "release", "service": service}, CONTROL_PATIENCE)

    def log(self, service: str, lines: int = 20) -> str:
        """The last lines that a service wrote."""
        logs = self.run_dir / "var" / "log"
        path = logs / f"{service}.log"
        # Written from inside: a link there must not make this process read a file of the host.
        if path.resolve() != logs.absolute() / path.name:
            return ""
        try:
            text = path.read_text(errors="replace")
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
        if not await_end(self._record.janitor, deadline):
            with suppress(ProcessLookupError):
                os.kill(self._record.launcher.pid, signal.SIGKILL)
            await_end(self._record.janitor, time.monotonic() + STOP_PATIENCE)
        await_end(self._record.launcher, deadline)
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def await_end(process: Process, deadline: float) -> bool:
    """Wait for a process to end; whether it did. Reaps it where it is a child of this one."""
    ended = True
    with suppress(ProcessLookupError):
        fd = process.open()
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
        "PATH": f"{os.path.dirname(sys.executable)}:{_PATH}",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(PROJECT),
        "MININETES_NAME": name,
        "MININETES_RUN": RUN,
        "MININETES_SOCKET": f"{RUN}/api.sock",
        **openvswitch.ENVIRONMENT,
    }


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


def await_event(channel: socket.socket, wanted: str, deadline: float) -> None:
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

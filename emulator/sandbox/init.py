"""The first process of a sandbox: starts the units, reaps and restarts what dies, answers requests.

The janitor starts it with the descriptor of its configuration (`InitConfig`) as the only argument. It
ends, and the kernel ends everything else in the sandbox with it, when it is told to stop or when the launcher
or the janitor outside is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emulator.linux.processes import reaped
from emulator.linux.supervision import NOTIFY_SOCKET
from emulator.sandbox import listeners
from emulator.sandbox.answers import Conversation, status, waited
from emulator.sandbox.control import Message, listen
from emulator.sandbox.order import unit_from
from emulator.sandbox.places import RUN
from emulator.sandbox.services import Ready, Unit
from emulator.sandbox.supervisor import Life, State, Supervisor

CONTROL_SOCKET = f"{RUN}/control.sock"
API_SOCKET = f"{RUN}/api.sock"
LOGS = f"{RUN}/log"
STOP_PATIENCE = 1.0
"""Seconds that services have to end by themselves at a stop."""

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_FIRST_LISTENER = 3
_TAIL = 15
_NOT_FOUND = 127
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True)
class InitConfig:
    """What the launcher tells the first process; descriptors are inherited ones."""

    name: str
    units: tuple[Unit, ...]
    needed: tuple[str, ...]
    """Units that must be ready before the sandbox is."""
    env: dict[str, str]
    report: int
    lifelines: tuple[int, ...]
    """Pipes that reach their end when the launcher or the janitor is gone."""
    control: int
    api: int

    def dump(self) -> str:
        """The configuration as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> InitConfig:
        """Read what `dump` wrote."""
        fields = json.loads(text)
        units = tuple(unit_from(unit) for unit in fields.pop("units"))
        needed, lifelines = tuple(fields.pop("needed")), tuple(fields.pop("lifelines"))
        return cls(units=units, needed=needed, lifelines=lifelines, **fields)


class Init:
    """The event loop of the first process."""

    def __init__(self, config: InitConfig) -> None:
        self._config = config
        self._supervisor = Supervisor(config.units)
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._notify = {
            unit.name: self._notify_socket(unit.name) for unit in config.units if unit.ready is Ready.NOTIFY
        }
        self._listeners = (_high(config.api), _high(listen(Path(API_SOCKET)).detach()))
        self._conversations: dict[int, Conversation] = {}
        self._announced = False
        self._stop_at: float | None = None

    def run(self) -> None:
        """Serve until the sandbox is to end."""
        for fd in self._config.lifelines:
            self._watch(fd, _end)
        self._watch_signals()
        for control in (socket.socket(fileno=self._config.control), listen(Path(CONTROL_SOCKET))):
            control.setblocking(False)
            self._watch(control.fileno(), lambda control=control: self._accept(control))  # type: ignore[misc]
        while True:
            self._start_due()
            self._announce()
            for fd, _events in self._poll.poll(self._patience()):
                if handler := self._handlers.get(fd):
                    handler()
            if self._stop_at is not None and (self._all_ended() or time.monotonic() >= self._stop_at):
                _end()

    def _watch(self, fd: int, handler: Callable[[], None]) -> None:
        self._poll.register(fd, select.POLLIN)
        self._handlers[fd] = handler

    def _unwatch(self, fd: int) -> None:
        self._poll.unregister(fd)
        del self._handlers[fd]

    def _watch_signals(self) -> None:
        waker, wakened = socket.socketpair()
        waker.setblocking(False)
        wakened.setblocking(False)
        signal.set_wakeup_fd(waker.detach(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        self._watch(wakened.fileno(), lambda: self._on_signals(wakened.recv(4096)))

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.stop()
        self._reap()

    def _patience(self) -> float | None:
        """Milliseconds until something is due; None for ever."""
        deadlines = [when for when in (self._supervisor.deadline(), self._stop_at) if when is not None]
        if not deadlines:
            return None
        return max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1

    # -- units

    def _start_due(self) -> None:
        if self._stop_at is not None:
            return
        while units := self._supervisor.due(time.monotonic()):
            for unit in units:
                self._start(unit)

    def _start(self, unit: Unit) -> None:
        env = {**self._config.env, **unit.env}
        log = f"{LOGS}/{unit.name}.log"
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        if unit.name in self._notify:
            env[NOTIFY_SOCKET] = _notify_path(unit.name)
        if unit.listens:
            places = range(_FIRST_LISTENER, _FIRST_LISTENER + len(self._listeners))
            actions += [
                (os.POSIX_SPAWN_DUP2, fd, place) for fd, place in zip(self._listeners, places, strict=True)
            ]
            env[listeners.VARIABLE] = ":".join(map(str, places))
        try:
            pid = os.posix_spawnp(
                unit.argv[0], unit.argv, env, file_actions=actions, setsid=True, setsigdef=_IGNORED_BY_PYTHON
            )
        except OSError as error:
            with open(log, "a") as file:
                print(f"{unit.argv[0]}: {error.strerror}", file=file)
            self._supervisor.started(unit.name, 0, time.monotonic())
            self._on_exit(self._supervisor.lives[unit.name], _NOT_FOUND)
            return
        self._supervisor.started(unit.name, pid, time.monotonic())

    def _reap(self) -> None:
        for pid, end in reaped():
            if life := self._supervisor.named(pid):
                self._on_exit(life, os.waitstatus_to_exitcode(end))

    def _on_exit(self, life: Life, code: int) -> None:
        unit = life.unit
        if unit.ready is Ready.DAEMON and life.state is State.STARTING and code == 0:
            with suppress(OSError, ValueError), open(unit.pid_file) as file:
                self._adopt(unit, int(file.read()))
                return
        self._supervisor.exited(unit.name, code, time.monotonic())
        if not self._announced and unit.name in self._config.needed and code != 0:
            self._report({"event": "failed", **_describe_failure(unit, code)})
            _end()

    def _adopt(self, unit: Unit, pid: int) -> None:
        self._supervisor.adopted(unit.name, pid)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            # It died, and was reaped, before its pid file was read.
            self._supervisor.exited(unit.name, -signal.SIGKILL, time.monotonic())

    def _announce(self) -> None:
        if not self._announced and all(self._supervisor.lives[name].settled for name in self._config.needed):
            self._announced = True
            self._report({"event": "ready"})
        for fd, conversation in list(self._conversations.items()):
            life = self._supervisor.lives.get(conversation.waits_for)
            if life is not None and (answer := waited(life, conversation.restarts)):
                conversation.send(answer)
                self._close(fd)

    def _report(self, message: dict[str, object]) -> None:
        with suppress(OSError):
            os.write(self._config.report, json.dumps(message).encode() + b"\n")

    def _all_ended(self) -> bool:
        return not any(life.pid for life in self._supervisor.lives.values())

    def stop(self) -> None:
        """Ask every unit to end, and end when they have or when patience ends."""
        if self._stop_at is not None:
            return
        self._stop_at = time.monotonic() + STOP_PATIENCE
        for life in self._supervisor.lives.values():
            if life.pid:
                os.kill(life.pid, signal.SIGTERM)

    # -- sockets

    def _notify_socket(self, name: str) -> socket.socket:
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(_notify_path(name))
        receiver.setblocking(False)
        self._watch(receiver.fileno(), lambda: self._on_notification(name, receiver))
        return receiver

    def _on_notification(self, name: str, receiver: socket.socket) -> None:
        self._supervisor.notified(name, receiver.recv(4096).decode(errors="replace").splitlines())

    def _accept(self, control: socket.socket) -> None:
        with suppress(BlockingIOError):
            connection, _ = control.accept()
            fd = connection.fileno()
            self._conversations[fd] = Conversation(connection)
            self._watch(fd, lambda: self._converse(fd))

    def _converse(self, fd: int) -> None:
        conversation = self._conversations[fd]
        request = conversation.receive()
        if request is not None and (answer := self._answer(conversation, request)) is not None:
            conversation.send(answer)
            self._close(fd)
        elif conversation.ended:
            self._close(fd)

    def _answer(self, conversation: Conversation, request: Message) -> Message | None:
        """What to say at once; None when the answer has to wait for an event."""
        match request.get("do"):
            case "status":
                return status(self._supervisor)
            case "stop":
                self.stop()
                return {}
            case "wait" | "restart" | "hold" | "release" as verb:
                life = self._supervisor.lives.get(str(request.get("service")))
                if life is None:
                    return {"error": f"there is no service {request.get('service')!r}"}
                if verb == "restart":
                    return self._restart(life)
                if verb in ("hold", "release"):
                    return self._set_held(life, verb)
                conversation.waits_for = life.unit.name
                restarts = request.get("restarts")
                conversation.restarts = restarts if isinstance(restarts, int) else 0
                return None
            case verb:
                return {"error": f"unknown request {verb!r}"}

    def _restart(self, life: Life) -> Message:
        if not life.pid:
            return {"error": f"{life.unit.name} does not run"}
        os.kill(life.pid, signal.SIGTERM)
        return {"state": life.state.value, "pid": life.pid}

    def _set_held(self, life: Life, verb: str) -> Message:
        if verb == "release":
            self._supervisor.release(life.unit.name)
        else:
            self._supervisor.hold(life.unit.name)
            if life.pid:
                os.kill(life.pid, signal.SIGKILL)
        return {"state": life.state.value, "pid": life.pid}

    def _close(self, fd: int) -> None:
        self._unwatch(fd)
        self._conversations.pop(fd).close()


def _end() -> None:
    # The kernel kills what is left; there is nothing here that a regular exit would save.
    os._exit(0)


def _describe_failure(unit: Unit, code: int) -> dict[str, object]:
    log = []
    for path in (f"{LOGS}/{unit.name}.log", unit.pid_file.removesuffix(".pid") + ".log"):
        with suppress(OSError), open(path, errors="replace") as file:
            log += file.readlines()[-_TAIL:]
    ending = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    message = f"{unit.name} did not start ({ending})"
    return {"message": message, "log": "".join(log), "hint": "run: mininetes doctor"}


def _notify_path(name: str) -> str:
    return f"{RUN}/notify/{name}.sock"


def _high(fd: int) -> int:
    """A copy of `fd` that is out of the way of the numbers given to services."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def main(arguments: Sequence[str]) -> None:
    """Set up what belongs to the fresh namespaces, then serve.

    The argument is the descriptor that the configuration is read from.
    """
    with open(int(arguments[0])) as file:
        config = InitConfig.load(file.read())
    for fd in (config.report, config.control, config.api, *config.lifelines):
        os.set_inheritable(fd, False)
    os.umask(0o022)
    os.chdir("/")
    socket.sethostname(config.name)
    _raise_loopback()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Init(config).run()

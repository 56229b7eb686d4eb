"""The launcher: the process on the host that holds a sandbox. It ends when the sandbox does, and the reverse.

Started by `emulator.sandbox.launch` with the descriptor of a socket, from which it reads its order and to
which it reports, both as lines of JSON. Until it hears `{"do": "detach"}` the sandbox dies with the process
that ordered it.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.linux import processes
from emulator.sandbox import janitor
from emulator.sandbox.errors import SandboxError
from emulator.sandbox.identity import Identity, identify, map_outer
from emulator.sandbox.order import Order
from emulator.sandbox.pipes import Lines, Rendezvous, write_line
from emulator.sandbox.places import Process, Record, boot_id, lock

_OPEN_FILES = 1 << 20


@dataclass(frozen=True)
class _Held:
    """The janitor, seen from the launcher."""

    pid: int
    pidfd: int
    lifeline: int
    report: int


class Launcher:
    """The event loop of the launcher."""

    def __init__(self, order: Order, identity: Identity, channel: Lines, held: _Held) -> None:
        self._order = order
        self._identity = identity
        self._channel = channel
        self._held = held
        self._keeper = order.keeper.open()
        self._init = 0
        self._ready = False
        self._poll = select.poll()

    def run(self) -> None:
        """Serve until the sandbox has ended and its files are gone."""
        report = Lines(self._held.report)
        stop, wakened = socket.socketpair()
        stop.setblocking(False)
        signal.set_wakeup_fd(stop.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)
        for fd in (self._keeper, self._held.pidfd, self._held.report, self._channel.fd, wakened.fileno()):
            self._poll.register(fd, select.POLLIN)
        while True:
            for fd, _events in self._poll.poll():
                if fd == self._held.report:
                    self._on_report(report)
                elif fd == self._channel.fd:
                    self._on_channel()
                elif fd == self._held.pidfd:
                    self._on_janitor_death(report)
                    return
                else:  # the keeper died, or a signal came
                    self._end()

    def _end(self) -> None:
        """Have the janitor end the sandbox; what follows is its death."""
        for fd in (self._keeper, self._channel.fd):
            with suppress(KeyError):
                self._poll.unregister(fd)
        with suppress(OSError):
            os.write(self._held.lifeline, janitor.FAREWELL)

    def _on_report(self, report: Lines) -> None:
        for message in report.read():
            match message["event"]:
                case "init":
                    self._init = message["pid"]
                case "ready":
                    self._on_ready()
                case "failed":
                    self._tell(message)
                    self._end()
        if report.ended:
            self._poll.unregister(report.fd)

    def _on_ready(self) -> None:
        self._ready = True
        record = Record(
            name=self._order.name,
            socket=self._order.socket,
            boot=boot_id(),
            init=Process.of(self._init),
            launcher=Process.of(os.getpid()),
            janitor=Process.of(self._held.pid),
            keep_credentials=self._identity.root == 0,
        )
        record.save(Path(self._order.run_dir))
        self._tell({"event": "ready"})

    def _on_channel(self) -> None:
        for message in self._channel.read():
            if message.get("do") == "detach":
                self._poll.unregister(self._keeper)
                self._tell({"event": "detached"})
        if self._channel.ended:
            self._poll.unregister(self._channel.fd)

    def _on_janitor_death(self, report: Lines) -> None:
        if not report.ended:
            self._on_report(report)
        _, status = os.waitpid(self._held.pid, 0)
        if not self._ready:
            self._tell({"event": "failed", "message": "the sandbox ended while it was starting"})
        if status != 0:
            self._sweep_instead()

    def _sweep_instead(self) -> None:
        """Do what the janitor can no longer do, in a child that takes the janitor's rights."""
        ours, theirs = Rendezvous.pair()
        child = os.fork()
        if child == 0:
            try:
                ours.close()
                janitor.become_preparer(self._identity, theirs)
                janitor.sweep(Path(self._order.run_dir), Path(self._order.socket), keep_logs=self._ready)
            finally:
                os._exit(0)
        theirs.close()
        _map_on_request(ours, child, self._identity)
        os.waitpid(child, 0)

    def _tell(self, message: dict[str, Any]) -> None:
        with suppress(OSError):
            write_line(self._channel.fd, message)


def _map_on_request(rendezvous: Rendezvous, child: int, identity: Identity) -> None:
    """Write the maps of the child's outer namespace once it asks; that it died instead shows elsewhere."""
    with suppress(EOFError, BrokenPipeError):
        if identity.outer is not None:
            rendezvous.hear()
            map_outer(child, identity.outer)
            rendezvous.say(b"g")


def _start_janitor(order: Order, identity: Identity, channel: int) -> _Held:
    alive, lifeline = os.pipe()
    report, reporter = os.pipe()
    ours, theirs = Rendezvous.pair()
    pid = os.fork()
    if pid == 0:
        try:
            for fd in (lifeline, report, channel):
                os.close(fd)
            ours.close()
            janitor.work(order, identity, janitor.Ends(theirs, alive, reporter))
        except BaseException as error:  # the last frame of a forked process: nothing may pass it
            write_line(reporter, _bug(error))
            os._exit(1)
        os._exit(0)
    for fd in (alive, reporter):
        os.close(fd)
    theirs.close()
    held = _Held(pid, os.pidfd_open(pid), lifeline, report)
    _map_on_request(ours, pid, identity)
    return held


def main(arguments: Sequence[str]) -> None:
    """Hold one sandbox; the one argument is the descriptor of the channel to whoever wants it."""
    channel = Lines(int(arguments[0]))
    processes.name_process("mn-launcher")
    order = _read_order(channel)
    try:
        lock(Path(order.run_dir))
        _raise_limits()
        identity = identify()
        Launcher(order, identity, channel, _start_janitor(order, identity, channel.fd)).run()
    except (SandboxError, OSError) as error:
        hint = error.hint if isinstance(error, SandboxError) else "run: mininetes doctor"
        with suppress(OSError):
            write_line(channel.fd, {"event": "failed", "message": str(error), "hint": hint})
    except BaseException as error:
        with suppress(OSError):
            write_line(channel.fd, _bug(error))
        raise


def _bug(error: BaseException) -> dict[str, Any]:
    return {"event": "failed", "message": repr(error), "log": traceback.format_exc()}


def _read_order(channel: Lines) -> Order:
    while not channel.ended:
        for message in channel.read():
            return Order.load(message)
    raise SystemExit("the process that wanted a sandbox is gone")


def _raise_limits() -> None:
    """Take as many open files as allowed: a cluster of 1,000 pods needs more than the usual 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(hard, _OPEN_FILES) if os.geteuid() == 0 else hard
    with suppress(PermissionError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))

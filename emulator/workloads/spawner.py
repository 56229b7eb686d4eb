"""The process from which containers are forked, and which dies with the engine.

Forking the engine itself would copy its large address space for each container; this process
imports the standard library only. It is the first process of a PID namespace of its own: when it
dies, for whatever reason, the kernel kills every container.

It speaks over a Unix socket, one JSON text a message. Requests, with descriptors:

* `{"run": ID, "title": WORDS}` + specification, network namespace, output, report: start a container;
* `{"hold": ID, "title": WORDS}` + the same: start one without a command, which waits to be told to end;
* `{"exec": ID}` + specification, pidfd of a container, input, output, report: run a command in one.

Answers: `{"started": ID}` + a pidfd, then `{"exited": ID, "status": CODE}`. A process that cannot
become what its specification says writes the reason to the report descriptor; a report that ends
without a word is success.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import NoReturn

from emulator.linux import namespaces, processes
from emulator.linux.namespaces import Namespace
from emulator.workloads.confinement import become, exec_command, furnish, outlive, watch_over
from emulator.workloads.rootfs import Template
from emulator.workloads.spec import decode_command, decode_container

UNUSABLE = 128
"""Exit status of a container that could not be made."""
_MAX_MESSAGE = 4096
_MAX_DESCRIPTORS = 8
_CONTAINER = Namespace.MOUNT | Namespace.UTS | Namespace.IPC | Namespace.NET


class Spawner:
    """Forks containers and commands, and tells how they ended."""

    def __init__(self, control: socket.socket, template: Template) -> None:
        self._control = control
        self._template = template
        self._running: dict[int, int] = {}
        self._line = processes.CommandLine()
        self._own_pids = os.pidfd_open(os.getpid())
        self._line.show(("mininetes: container spawner",))

    def serve(self) -> None:
        """Answer requests until the engine closes its end of the socket."""
        wake, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == wake:
                    os.read(wake, 4096)
                    self._reap()
                elif not self._take():
                    return

    def _take(self) -> bool:
        message, descriptors = _receive(self._control)
        if not message:
            return False
        request = json.loads(message)
        try:
            if "exec" in request:
                self._exec(request["exec"], descriptors)
            elif "run" in request:
                self._run(request["run"], request["title"], descriptors, watch_over)
            else:
                self._run(request["hold"], request["title"], descriptors, outlive)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _run(
        self, number: int, title: Sequence[str], descriptors: Sequence[int], watch: Callable[[int], NoReturn]
    ) -> None:
        specification, netns, output, report = descriptors

        def container() -> NoReturn:
            self._line.show(title)
            namespaces.setns(netns, Namespace.NET)
            become(title[0], build, watch)

        def build() -> NoReturn:
            try:
                furnish(decode_container(_contents(specification)), self._template, output, report)
            except OSError as error:
                os.write(report, str(error).encode())
                os._exit(UNUSABLE)

        namespaces.unshare(Namespace.PID)
        self._fork(number, container, report)

    def _exec(self, number: int, descriptors: Sequence[int]) -> None:
        specification, container, given, output, report = descriptors

        def command() -> NoReturn:
            namespaces.setns(container, _CONTAINER)
            exec_command(decode_command(_contents(specification)), given, output, report)

        try:
            namespaces.setns(container, Namespace.PID)
        except OSError as error:
            os.write(report, str(error).encode())
            self._answer({"exited": number, "status": UNUSABLE})
            return
        self._fork(number, command, report)

    def _fork(self, number: int, body: Callable[[], NoReturn], report: int) -> None:
        """Fork into the PID namespace chosen before, and come back to our own for the next fork."""
        pid = os.fork()
        if pid == 0:
            _finish(body, report)
        namespaces.setns(self._own_pids, Namespace.PID)
        self._running[pid] = number
        handle = os.pidfd_open(pid)
        self._answer({"started": number}, handle)
        os.close(handle)

    def _reap(self) -> None:
        for pid, status in processes.reaped():
            number = self._running.pop(pid, None)
            if number is not None:
                self._answer({"exited": number, "status": processes.shell_status(status)})

    def _answer(self, message: dict[str, int], *descriptors: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
        self._control.sendmsg([json.dumps(message).encode()], rights)


def _finish(body: Callable[[], NoReturn], report: int) -> NoReturn:
    """Run `body` in a fresh fork, which must never return into the spawner's loop."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        body()
    except BaseException as error:
        os.write(report, str(error).encode())
    finally:
        os._exit(UNUSABLE)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array("i").itemsize)
    message, ancillary, _, _ = control.recvmsg(_MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data)
    return message, list(descriptors)


def _contents(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def main() -> int:
    """`spawner CONTROL-DESCRIPTOR RUN-DIRECTORY BUSYBOX TOOLS HIDDEN`: serve until the engine ends."""
    control, (run_directory, busybox, tools, hidden) = int(sys.argv[1]), sys.argv[2:6]
    processes.die_with_parent()
    namespaces.unshare(Namespace.PID | Namespace.MOUNT)
    pid = os.fork()
    if pid:
        os.close(control)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    processes.die_with_parent()
    os.set_inheritable(control, False)
    with socket.socket(fileno=control) as connection:
        spawner = Spawner(connection, Template.make(run_directory, busybox, tools, (hidden,)))
        connection.send(b'{"ready": 0}')
        gc.disable()
        gc.freeze()
        spawner.serve()
    os._exit(0)

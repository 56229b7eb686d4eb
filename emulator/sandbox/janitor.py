"""The janitor: makes a sandbox, outlives whoever dies, and removes what a sandbox leaves in the file system.

It is a child of the launcher. Each watches the other: the kernel removes all processes, interfaces and
mounts of a sandbox by itself when the first process dies, but files on the host need a living process. The
janitor keeps the rights of the preparing step, since files in the run directory may belong to any user of
the sandbox.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emulator.linux import namespaces, processes
from emulator.linux.namespaces import Namespace
from emulator.sandbox.builder import build, serve
from emulator.sandbox.control import listen
from emulator.sandbox.errors import SandboxError
from emulator.sandbox.filesystem import plan
from emulator.sandbox.identity import Identity, become_root
from emulator.sandbox.init import InitConfig
from emulator.sandbox.order import Order, python_argv
from emulator.sandbox.pipes import Rendezvous, write_line

FAREWELL = b"."
"""Said through the lifeline by a launcher that ends the sandbox on purpose."""

_KEPT_AFTER_A_CRASH = ("log", "ovs")
_WRITABLE_BY_INIT = ("", "log", "notify", "ovs")


@dataclass(frozen=True)
class Ends:
    """The janitor's ends of what it shares with the launcher."""

    launcher: Rendezvous
    """For the maps of an ordinary user's outer namespace."""
    lifeline: int
    """Ends with the launcher."""
    report: int
    """Lines of JSON to the launcher, from the janitor, the builder and the first process."""


def become_preparer(identity: Identity, launcher: Rendezvous) -> None:
    """Take the rights of the preparing step; the launcher, asked by a message, writes the maps if need be."""
    if identity.outer is not None:
        namespaces.unshare(Namespace.USER)
        processes.allow_inspection()
        launcher.say(b"m")
        launcher.hear()
        become_root()
        processes.allow_inspection()


def work(order: Order, identity: Identity, ends: Ends) -> None:
    """The janitor's whole life, in a child of the launcher."""
    processes.name_process("mn-janitor")
    os.setsid()
    # The sandbox's users have to pass what is made from here on; the run directory itself is for its owner.
    os.umask(0o022)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    keep_logs = False
    try:
        become_preparer(identity, ends.launcher)
        processes.adopt_orphans()
        empty(Path(order.run_dir))
        keep_logs = _hold(order, identity, ends)
    except (OSError, EOFError, SandboxError) as error:
        with suppress(OSError):
            hint = error.hint if isinstance(error, SandboxError) else "run: mininetes doctor"
            write_line(ends.report, {"event": "failed", "message": str(error), "hint": hint})
    finally:
        sweep(Path(order.run_dir), Path(order.socket), keep_logs=keep_logs)


def _hold(order: Order, identity: Identity, ends: Ends) -> bool:
    """Start the first process and see it through; returns whether it or the launcher died unbidden."""
    run_dir = Path(order.run_dir)
    _make_directories(run_dir / "var", identity.root)
    api = _listen_for_clients(Path(order.socket))
    control = listen(run_dir / "control.sock")
    pid = _start(order, identity, ends, api, control)
    init = os.pidfd_open(pid)
    api.close()
    control.close()
    write_line(ends.report, {"event": "init", "pid": pid})
    os.close(ends.report)
    poll = select.poll()
    poll.register(ends.lifeline, select.POLLIN)
    poll.register(init, select.POLLIN)
    first, _ = poll.poll()[0]
    expected = True
    if first == ends.lifeline:
        expected = os.read(ends.lifeline, 1) == FAREWELL
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(init, signal.SIGKILL)
        os.waitpid(pid, 0)
    else:
        expected = os.waitpid(pid, 0)[1] == 0
    return not expected


def _start(order: Order, identity: Identity, ends: Ends, api: socket.socket, control: socket.socket) -> int:
    """Run the builder; returns the id of the first process. Raises ChildProcessError when there is none."""
    alive, life = os.pipe()
    config = InitConfig(
        order.name,
        order.units,
        order.needed,
        order.env,
        ends.report,
        (ends.lifeline, alive),
        control.fileno(),
        api.fileno(),
    )
    memory = os.memfd_create("mininetes-init")
    os.write(memory, config.dump().encode())
    os.lseek(memory, 0, os.SEEK_SET)
    inherited = (memory, ends.report, ends.lifeline, alive, control.fileno(), api.fileno())
    ours, theirs = Rendezvous.pair()
    builder = os.fork()
    if builder == 0:
        ours.close()
        os.close(life)
        code = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            for fd in inherited:
                os.set_inheritable(fd, True)
            steps = plan(order.code, f"{order.run_dir}/var", order.homes)
            argv = python_argv(order.interpreter, "init", order.project, str(memory))
            build(steps, identity, theirs, argv, order.env)
            code = 0
        except (OSError, EOFError) as error:
            with suppress(OSError):
                write_line(
                    ends.report, {"event": "failed", "message": str(error), "hint": "run: mininetes doctor"}
                )
        finally:
            os._exit(code)
    theirs.close()
    os.close(alive)
    os.close(memory)
    try:
        return serve(builder, ours, identity.inner)
    except EOFError:
        os.waitpid(builder, 0)
        raise ChildProcessError("the namespaces could not be made") from None


def _make_directories(var: Path, root: int) -> None:
    for name in _WRITABLE_BY_INIT:
        (var / name).mkdir(mode=0o755)
        if root:
            os.chown(var / name, root, root)


def _listen_for_clients(path: Path) -> socket.socket:
    """Bind the socket of the REST front, owned by the launching user, where nobody else can write."""
    while True:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.parent.stat()
        if owner.st_uid != os.geteuid() or owner.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SandboxError(
                f"{path.parent} belongs to somebody else or can be written by others",
                hint="set XDG_RUNTIME_DIR to a directory of your own",
            )
        try:
            return listen(path)
        except FileNotFoundError:
            continue  # another cluster's janitor found the directory empty and removed it


def empty(run_dir: Path) -> None:
    """Remove everything in a run directory."""
    for entry in run_dir.iterdir():
        _remove(entry)


def sweep(run_dir: Path, socket_path: Path, *, keep_logs: bool) -> None:
    """Remove a sandbox's files; after a crash its logs stay in the run directory."""
    with suppress(OSError):
        socket_path.unlink()
    for entry in run_dir.iterdir():
        if not (keep_logs and entry.name == "var"):
            _remove(entry)
    if keep_logs and (run_dir / "var").is_dir():
        for entry in (run_dir / "var").iterdir():
            if entry.name not in _KEPT_AFTER_A_CRASH:
                _remove(entry)
    for directory in (run_dir, run_dir.parent, socket_path.parent):
        if directory == run_dir or directory.name.startswith("mininetes"):
            with suppress(OSError):
                directory.rmdir()


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        with suppress(OSError):
            entry.unlink()

"""Killing and stopping what runs in a cluster."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator import Cluster

PATIENCE = 30.0


def descendants(pid: int) -> Iterator[int]:
    """A process and everything below it, as the host counts them."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from descendants(int(child))


def with_words(cluster: Cluster, words: str) -> int:
    """The host's id of the cluster's innermost process whose command line starts with or holds `words`."""
    found = [pid for pid in descendants(cluster.sandbox.pid) if words in _command_line(pid)]
    assert found, f"no process of {cluster.name} says {words!r}"
    return found[-1]


def of_service(cluster: Cluster, service: str) -> int:
    """The host's id of a supervised process."""
    wanted = cluster.sandbox.services()[service]["pid"]
    for pid in descendants(cluster.sandbox.pid):
        if _id_inside(pid) == wanted:
            return pid
    raise AssertionError(f"{service} does not run")


def end(pid: int) -> None:
    """`kill -9`; returns when the process is dead."""
    fd = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), f"process {pid} does not die"
    finally:
        os.close(fd)


def kill(cluster: Cluster, service: str) -> int:
    """`kill -9` a supervised process; returns how often it was restarted before."""
    restarts = int(cluster.sandbox.services()[service]["restarts"])
    end(of_service(cluster, service))
    return restarts


def kill_and_await(cluster: Cluster, service: str) -> None:
    """`kill -9` a supervised process, and wait until another one does its work."""
    cluster.sandbox.wait(service, PATIENCE, restarts=kill(cluster, service) + 1)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that neither runs nor dies meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _id_inside(pid: int) -> int:
    """The process's id in the sandbox."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return int(ids[1]) if len(ids) > 1 else 0

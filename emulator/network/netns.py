"""Named network namespaces: made, entered and removed by threads of this process.

A thread that enters a netns ends there; no thread that the caller owns ever moves.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from emulator.linux import mounts, namespaces
from emulator.linux.mounts import MountFlag
from emulator.linux.namespaces import Namespace
from emulator.network.names import NETNS_DIRECTORY

_OWN_NETNS = "/proc/thread-self/ns/net"
_THREADS = 2

_Result = TypeVar("_Result")

SYSCTLS: Mapping[str, tuple[str, ...]] = {
    # Addresses are ours alone: no router advertisement, no link-local address adds another.
    "net/ipv6/conf/default/accept_ra": ("0",),
    "net/ipv6/conf/default/addr_gen_mode": ("1",),
    # A place with two addresses of a family is asked for one and may answer with the other.
    "net/ipv4/conf/all/rp_filter": ("0",),
    "net/ipv4/conf/default/rp_filter": ("0",),
    "net/ipv4/ip_forward": ("0",),
    # What container runtimes set for pods: any port, and ping without a raw socket.
    "net/ipv4/ip_unprivileged_port_start": ("0",),
    "net/ipv4/ping_group_range": ("0 2147483647", "0 65535", "0 0"),
}
"""Settings of every netns before its first interface comes, each with the values to try in turn.

The last has several because a user namespace knows only the groups that are mapped into it."""

SWITCH_SYSCTLS: Mapping[str, tuple[str, ...]] = {
    # Or the kernel would speak IPv6 through the ports of bridges, into pods and onto links.
    "net/ipv6/conf/default/disable_ipv6": ("1",),
    "net/ipv4/ip_forward": ("0",),
}
"""Settings of the netns that Open vSwitch runs in, before ports are made there."""


def existing() -> frozenset[str]:
    """The names of all named namespaces."""
    try:
        unmounted = NETNS_DIRECTORY.stat().st_dev
    except FileNotFoundError:
        return frozenset()
    with os.scandir(NETNS_DIRECTORY) as entries:
        return frozenset(entry.name for entry in entries if os.stat(entry.path).st_dev != unmounted)


def create(names: Sequence[str]) -> None:
    """Make namespaces of those names, loopback down. Raises OSError."""
    NETNS_DIRECTORY.mkdir(parents=True, exist_ok=True)
    in_threads([partial(_create, name) for name in names])


def remove(names: Iterable[str]) -> None:
    """Take the names away; a namespace goes when its last process does. Content when there is none."""
    for name in names:
        path = NETNS_DIRECTORY / name
        with contextlib.suppress(OSError):
            mounts.unmount(str(path))
        path.unlink(missing_ok=True)


def inside(tasks: Sequence[tuple[Path, Callable[[], _Result]]]) -> list[_Result]:
    """Call each function in the netns of its path, by several threads; results in the tasks' order.

    Raises the first exception of the first failing task when all have ended.
    """
    return in_threads([partial(_enter, path, call) for path, call in tasks])


def in_threads(calls: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """Make the calls in threads that may change their namespaces, and return the results in order."""
    results: dict[int, _Result] = {}
    errors: dict[int, BaseException] = {}

    def work(first: int) -> None:
        for position in range(first, len(calls), _THREADS):
            try:
                results[position] = calls[position]()
            except BaseException as error:
                errors[position] = error
                return

    threads = [
        threading.Thread(target=work, args=(n,), daemon=True) for n in range(min(_THREADS, len(calls)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[position] for position in range(len(calls))]


def leave() -> None:
    """Take the calling thread into a new, nameless netns."""
    namespaces.unshare(Namespace.NET)


def _create(name: str) -> None:
    path = NETNS_DIRECTORY / name
    path.touch(exist_ok=True)
    leave()
    settle(SYSCTLS)
    mounts.mount(_OWN_NETNS, str(path), flags=MountFlag.BIND)


def _enter(path: Path, call: Callable[[], _Result]) -> _Result:
    namespaces.enter_netns(path)
    return call()


def settle(sysctls: Mapping[str, tuple[str, ...]]) -> None:
    """Write sysctls of the calling thread's netns: for each the first value that the kernel takes."""
    for key, values in sysctls.items():
        for value in values:
            with contextlib.suppress(OSError), open(f"/proc/sys/{key}", "w", encoding="ascii") as file:
                file.write(value)
                file.flush()
                break

"""tc(8), in batches."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator

from emulator.network.errors import NetworkError
from emulator.network.names import NETNS_DIRECTORY


def run(netns: str | None, lines: Iterable[str]) -> None:
    """Run commands in a named netns (None: the caller's own) until one is refused. Raises NetworkError."""
    batch = "".join(f"{line}\n" for line in lines)
    done = _tc(netns, ["-batch", "-"], batch)
    if done.returncode:
        raise NetworkError(f"tc refused {batch.strip()!r}: {done.stderr.strip()}")


def clear(netns: str | None, interface: str) -> None:
    """Take an interface's queueing discipline away; content when there is none, or no interface any more."""
    _tc(netns, ["qdisc", "del", "dev", interface, "root"], "")


def show(netns: str | None) -> str:
    """The queueing disciplines of all interfaces of a netns, as JSON. Raises NetworkError."""
    done = _tc(netns, ["-json", "qdisc", "show"], "")
    if done.returncode:
        raise NetworkError(f"tc does not show the queueing disciplines: {done.stderr.strip()}")
    return done.stdout


def redirections(interface: str, handle: str, target: str) -> Iterator[list[str]]:
    """Ways to send all that leaves by an interface to another one's queue, of which kernels have one or both.

    Past the filter gets what has the handle as its priority (SO_PRIORITY), and is sent as ever.
    """
    root = f"qdisc replace dev {interface} root handle {handle} htb"
    rule = f"filter add dev {interface} parent {handle} protocol all prio 1"
    for classifier in ("u32 match u32 0 0", "matchall"):
        yield [root, f"{rule} {classifier} action mirred egress redirect dev {target}"]


def _tc(netns: str | None, words: list[str], batch: str) -> subprocess.CompletedProcess[str]:
    # Not `tc -netns`: it mounts /sys anew, which a sandbox may not.
    enter = ["nsenter", f"--net={NETNS_DIRECTORY / netns}"] if netns else []
    argv = [*enter, "tc", *words]
    try:
        return subprocess.run(argv, input=batch, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NetworkError("links are impaired by tc (package iproute2), which is not installed") from error

"""Rate, delay and loss of links, by tc."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emulator.cluster.wiring import Link, LinkEnd
from emulator.network import netns, rtnl
from emulator.network.errors import NetemUnavailable, NetworkError
from emulator.network.names import NETNS_DIRECTORY, netns_name
from emulator.network.netlink import Netlink, NetlinkError

_SMALLEST_BURST = 15_000
"""Bytes: ten full frames, or one segment train would never fit the bucket."""
_REFILLS = 100
"""Refills a second that the slowest kernel timer manages; the bucket holds what passes between two."""
_QUEUE_MILLISECONDS = 50
_NETEM_PACKETS = 10_000


@dataclass(frozen=True, slots=True)
class _Command:
    netns: str | None
    line: str


def is_shaped(link: Link) -> bool:
    """Whether the link has a rate, a delay or a loss."""
    return _wants_netem(link) or link.rate is not None


def refuse_impossible(links: Sequence[Link]) -> None:
    """Raise NetemUnavailable when a link has a delay or a loss and this kernel cannot make one."""
    wanting = [link for link in links if _wants_netem(link)]
    if wanting and not has_netem():
        ends = " - ".join(end.place for end in wanting[0].ends)
        raise NetemUnavailable(
            f"the link {ends} has a delay or a loss, but this kernel cannot emulate them (no sch_netem); "
            "take delay and loss out of the topology, or use a kernel with CONFIG_NET_SCH_NETEM"
        )


def has_netem() -> bool:
    """Whether the kernel has the netem queueing discipline; tried in a netns made for it."""
    return netns.in_threads([_try_netem])[0]


def shape(links: Sequence[Link]) -> None:
    """Put the links' rate, delay and loss into force, each way. Raises NetworkError."""
    commands = [command for link in links for command in _commands(link)]
    for place in sorted({command.netns for command in commands}, key=str):
        lines = "".join(f"{command.line}\n" for command in commands if command.netns == place)
        _run(place, lines)


def _try_netem() -> bool:
    netns.leave()
    try:
        with Netlink() as netlink:
            netlink.execute([rtnl.add_qdisc(rtnl.LOOPBACK_INDEX, "netem")])
    except NetlinkError as error:
        # An unknown discipline is not found; a known one misses its parameters.
        return error.errno not in (errno.ENOENT, errno.EOPNOTSUPP)
    return True


def _wants_netem(link: Link) -> bool:
    return bool(link.delay or link.loss)


def _commands(link: Link) -> Iterator[_Command]:
    for end in link.ends:
        place = None if end.bridge else netns_name(end.place)
        for line in _lines(link, end):
            yield _Command(place, line)


def _lines(link: Link, end: LinkEnd) -> Iterator[str]:
    parent = "root handle 1:"
    if link.rate is not None:
        burst = max(_SMALLEST_BURST, link.rate // 8 // _REFILLS)
        limits = f"rate {link.rate}bit burst {burst} latency {_QUEUE_MILLISECONDS}ms"
        yield f"qdisc replace dev {end.interface} {parent} tbf {limits}"
        parent = "parent 1: handle 10:"
    if _wants_netem(link):
        effects = f" delay {link.delay}us" if link.delay else ""
        effects += f" loss {link.loss * 100:.6f}%" if link.loss else ""
        yield f"qdisc replace dev {end.interface} {parent} netem limit {_NETEM_PACKETS}{effects}"


def _run(place: str | None, lines: str) -> None:
    # Not `tc -netns`: it mounts /sys anew, which a sandbox may not.
    enter = ["nsenter", f"--net={NETNS_DIRECTORY / place}"] if place else []
    argv = [*enter, "tc", "-batch", "-"]
    try:
        done = subprocess.run(argv, input=lines, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NetworkError(
            "links have a rate, a delay or a loss, which needs tc (package iproute2)"
        ) from error
    if done.returncode:
        raise NetworkError(f"tc refused {lines.strip()!r}: {done.stderr.strip()}")

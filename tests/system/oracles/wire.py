"""What passes on wires, and the names of its headers in both families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from scapy.packet import Packet

from emulator import Cluster
from emulator.network.names import netns_path
from tests.system.hygiene import inside

Headers = Mapping[str, Any]
Record = Mapping[str, Any]

L3 = {4: "ip", 6: "ipv6"}
TTL = {4: "ip.ttl", 6: "ipv6.hlim"}
ICMP = {4: "icmp", 6: "icmpv6"}
TIME_EXCEEDED = {4: ("icmp", 11, 0), 6: ("icmpv6", 3, 0)}
PORT_UNREACHABLE = {4: ("icmp", 3, 3), 6: ("icmpv6", 1, 4)}
HEADER_BYTES = {4: 20, 6: 40}
"""Of IP, without options."""
ECHO_BYTES = 8
"""Of an echo request's header, as of UDP's."""


_INJECT = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind((sys.argv[1], 0))
    for frame in sys.argv[2:]:
        wire.send(bytes.fromhex(frame))
"""


def inject(cluster: Cluster, place: str, *frames: Packet) -> None:
    """Put frames on a wire: that of a pod, or that of a port of a bridge, towards the bridge."""
    enter = ["nsenter", f"--net={netns_path(place)}"] if "/" in place else []
    interface = "eth0" if enter else place
    inside(cluster, *enter, "python3", "-c", _INJECT, interface, *(bytes(frame).hex() for frame in frames))


class Tape:
    """A capture under way."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records

    def until(self, is_last: Callable[[Headers], bool]) -> list[Record]:
        """Everything captured before the first packet that `is_last` accepts, which has to come."""
        return list(takewhile(lambda record: not is_last(record["headers"]), self._records))

    def through(self, is_last: Callable[[Headers], bool]) -> list[Record]:
        """The same, with that packet."""
        found = []
        for record in self._records:
            found.append(record)
            if is_last(record["headers"]):
                break
        return found


@contextmanager
def recorded(cluster: Cluster, places: Sequence[str]) -> Iterator[Tape]:
    """Capture at several places at once, armed from the start."""
    stream = cluster.capture(places)
    armed = next(stream)
    assert armed["armed"] == list(places)
    try:
        yield Tape(stream)
    finally:
        stream.close()  # type: ignore[attr-defined]


def bare_or_inside(headers: Headers, **fields: Any) -> bool:
    """Whether a packet, or the one that it carries in VXLAN, has these fields (`tcp_sport` is tcp.sport)."""
    wanted = {name.replace("_", ".", 1): value for name, value in fields.items()}
    return any(
        all(headers.get(prefix + name) == value for name, value in wanted.items())
        for prefix in ("", "inner.")
    )


def refusal(report: Mapping[str, Any]) -> tuple[str, int, int]:
    """Protocol, type and code of the one kind of ICMP error that a probe got."""
    (only,) = report["rejections"]
    return only["kind"], only["type"], only["code"]


def quoted(headers: Headers) -> dict[str, Any]:
    """The packet that an ICMP error quotes, without its link layer."""
    return {
        name.removeprefix("quoted."): value for name, value in headers.items() if name.startswith("quoted.")
    }


def beyond_the_link(headers: Headers) -> dict[str, Any]:
    """A packet without its link layer."""
    return {name: value for name, value in headers.items() if not name.startswith("eth.")}

"""Packets seen at interfaces, from packet sockets with a filter in the kernel.

A tap is armed when its `open` returns: whatever is sent afterwards is in its socket's queue as soon as
it has passed the interface. Reading the queue until it is empty therefore yields every packet that
came before something the caller has already seen, without any waiting.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial

from emulator.linux.calls import checked, libc
from emulator.probes import bpf
from emulator.probes.headers import Datagram, Headers, datagram, decode
from emulator.probes.netns import within
from emulator.probes.request import Site

HANDSHAKE_SNAP = 192
FULL_SNAP = 65_535

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_SO_TIMESTAMPNS = 35
_BUFFER = 8 << 20
_PACKET_OUTGOING = 4
_BATCH = 256


class Direction(StrEnum):
    """Whether a packet came to the watched namespace or left it."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True)
class Record:
    """One captured packet."""

    at: str
    """The place that was watched."""
    interface: str
    direction: Direction
    time: int
    """Nanoseconds since 1970, stamped by the kernel."""
    frame: bytes
    """From the link-layer header on, cut to the tap's snap length."""
    hardware: int = 1
    """ARPHRD type of the interface."""
    length: int = 0
    """The packet's whole length in bytes, where `frame` was cut."""

    @cached_property
    def headers(self) -> Headers:
        """The headers by name."""
        return decode(self.frame, self.hardware)

    @cached_property
    def datagram(self) -> Datagram | None:
        """The outermost IP packet."""
        return datagram(self.headers)

    def as_json(self) -> dict[str, object]:
        """The record as the command line and reports print it."""
        return {
            "at": self.at,
            "interface": self.interface,
            "direction": self.direction.value,
            "time": self.time / 1e9,
            "headers": self.headers,
        }


class Tap:
    """A packet socket on one site that hands each packet to `receive`."""

    def __init__(self, site: Site, sock: socket.socket, receive: Callable[[Record], None], snap: int) -> None:
        self.site = site
        self.lost = 0
        """Packets that the kernel dropped because the queue was full, known after `close`."""
        self._socket = sock
        self._receive = receive
        self._snap = snap
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read, _BATCH)

    @classmethod
    async def open(
        cls, site: Site, program: bpf.Program, receive: Callable[[Record], None], snap: int = HANDSHAKE_SNAP
    ) -> Tap:
        """Watch `site`; armed on return. Raises OSError when the place or interface does not exist."""
        sock = await within(site.netns, partial(packet_socket, site.interface, program))
        return cls(site, sock, receive, snap)

    def take(self) -> None:
        """Hand over what has passed the interface up to now, but not more than a batch."""
        self._read(_BATCH)

    def drain(self) -> None:
        """Hand over everything that has passed the interface up to now."""
        self._read(None)

    def close(self) -> None:
        """Drain and stop. The socket itself is closed behind the caller's back: the kernel takes 10 ms."""
        self._loop.remove_reader(self._socket.fileno())
        self.drain()
        self.lost = losses(self._socket)
        threading.Thread(target=self._socket.close, name="close-tap", daemon=True).start()

    def _read(self, most: int | None) -> None:
        while most is None or most > 0:
            try:
                frame, ancillary, _, address = self._socket.recvmsg(self._snap, 128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the interface or its namespace went away: nothing more will come
                self._loop.remove_reader(self._socket.fileno())
                return
            interface, _, kind, hardware, _ = address
            direction = Direction.OUT if kind == _PACKET_OUTGOING else Direction.IN
            stamp, length = _details(ancillary)
            self._receive(Record(self.site.place, interface, direction, stamp, frame, hardware, length))
            if most is not None:
                most -= 1


def losses(sock: socket.socket) -> int:
    """Packets that a capture has lost since it was asked last, because its queue was full."""
    found: int = struct.unpack("=II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
    return found


def packet_socket(interface: str, program: bpf.Program) -> socket.socket:
    """Capture at an interface of this thread's namespace, empty for all of them. Raises OSError."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        sock.setblocking(False)
        bpf.attach(sock, program)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        _bind(sock, socket.if_nametoindex(interface) if interface else 0)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, index: int) -> None:
    """Bind to an interface, or with 0 to all of them, which `socket.bind` has no words for."""
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(_ETH_P_ALL), index, 0, 0, 0, b"")
    checked("bind a packet socket", libc.bind(sock.fileno(), address, len(address)))


def _details(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    """Time stamp and whole length of a packet, from its control messages."""
    stamp, length = 0, 0
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("=qq", data[:16])
            stamp = seconds * 1_000_000_000 + nanoseconds
        elif level == _SOL_PACKET and kind == _PACKET_AUXDATA:
            length = struct.unpack_from("=II", data)[1]
    return stamp or time.time_ns(), length

"""The way of frames through the relay, for one end of a link.

What leaves by the interface is redirected to a TAP device of the relay's (an HTB discipline that has one
filter with the action mirred). The relay sends it on by the same interface with a priority that means *past
the filter*. So the interface, its addresses, its routes and its port stay what they are, whatever is
impaired; captures there show what the relay let out, as they do with netem; and when the relay dies, frames
stop at the interface until it is back. The kernel cuts oversized segments before a TAP gets them, so a frame
is what goes over a wire.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from emulator.network import netns, rtnl, tc
from emulator.network.errors import NetworkError
from emulator.network.names import NETNS_DIRECTORY
from emulator.network.netlink import Netlink
from emulator.network.relay.channel import Channel
from emulator.network.relay.orders import Order

T = TypeVar("T")

_TUN = "/dev/net/tun"
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_OWN_NETNS = Path("/proc/thread-self/ns/net")
_FIRST_HANDLE = 0x1000 + os.getpid() % 0x70 * 0x100
"""A predecessor's discipline of the same handle would keep its filters, so it is this process' own.

It is half of a socket's priority, which is a signed number.
"""
_LARGEST_FRAME = 1 << 16
_AT_A_TIME = 64
"""Frames read from one end before another gets its turn."""


class Crossing:
    """One end of a link, impaired. `number` is one that no other crossing has."""

    def __init__(self, order: Order, number: int) -> None:
        """Raises OSError (also when the interface is not there) and NetworkError."""
        self.order = order
        self.number = number
        self.channel = Channel(order.impairment, order.seed)
        self._waiting: list[tuple[float, int, bytes]] = []
        self._delivered = 0
        self._tap, self._wire, self._index = self._inside(self._open)
        try:
            self._redirect()
        except BaseException:
            tc.clear(order.netns, order.interface)
            self.close()
            raise

    def fileno(self) -> int:
        """Readable when frames want to cross."""
        return self._tap

    @property
    def is_sound(self) -> bool:
        """Whether the interface is still the one that it was made for."""
        try:
            return self._inside(self._look_up) == self._index
        except OSError:
            return False

    def change(self, order: Order) -> None:
        """From now on follow another order for the same end; what is on its way stays so."""
        if order != self.order:
            self.order = order
            self.channel = Channel(order.impairment, order.seed)

    def take(self, now: float) -> None:
        """Take in frames that want to cross. Raises OSError when the interface has gone."""
        for _ in range(_AT_A_TIME):
            try:
                frame = os.read(self._tap, _LARGEST_FRAME)
            except BlockingIOError:
                return
            for due, copy in self.channel.offer(frame, now, len(self._waiting)):
                if due <= now and not self._waiting:
                    self._send(copy)
                else:
                    self._delivered += 1
                    heapq.heappush(self._waiting, (due, self._delivered, copy))

    def deliver(self, now: float) -> float | None:
        """Send what is due; returns when the next frame is, if there is one."""
        while self._waiting and self._waiting[0][0] <= now:
            self._send(heapq.heappop(self._waiting)[2])
        return self._waiting[0][0] if self._waiting else None

    def close(self) -> None:
        """Let go of everything; what is on its way arrives at once."""
        while self._waiting:
            self._send(heapq.heappop(self._waiting)[2])
        os.close(self._tap)
        self._wire.close()

    def _send(self, frame: bytes) -> None:
        try:
            self._wire.send(frame)
        except OSError:
            # Too large, no room, or down: a wire loses a frame then.
            self.channel.count.overflowed += 1

    def _inside(self, call: Callable[[], T]) -> T:
        name = self.order.netns
        return netns.inside([(NETNS_DIRECTORY / name if name else _OWN_NETNS, call)])[0]

    def _look_up(self) -> int:
        return socket.if_nametoindex(self.order.interface)

    def _open(self) -> tuple[int, socket.socket, int]:
        index = self._look_up()
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, self._handle << 16)
        wire.bind((self.order.interface, 0))
        tap = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", self._name.encode(), _IFF_TAP | _IFF_NO_PI))
            netns.settle({f"net/ipv6/conf/{self._name}/disable_ipv6": ("1",)})
            with Netlink() as netlink:
                netlink.execute([rtnl.set_up(self._name, up=True)])
        except BaseException:
            os.close(tap)
            wire.close()
            raise
        return tap, wire, index

    @property
    def _handle(self) -> int:
        return _FIRST_HANDLE + self.number

    @property
    def _name(self) -> str:
        return f"relay{self.number}"

    def _redirect(self) -> None:
        refused: NetworkError | None = None
        for lines in tc.redirections(self.order.interface, f"{self._handle:x}:", self._name):
            try:
                return tc.run(self.order.netns, lines)
            except NetworkError as error:
                refused = refused or error
        raise refused or NetworkError("nothing redirects")

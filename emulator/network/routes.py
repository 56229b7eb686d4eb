"""The routes that a namespace's kernel knows from BIRD, and word of every change to them."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from emulator.cluster.advertisement import Routes
from emulator.cluster.wiring import IPAddress, IPNetwork
from emulator.network import netns, rtnl
from emulator.network.netlink import NETLINK_ROUTE, Netlink, attributes

_RTMGRP_LINK, _RTMGRP_IPV4_ROUTE, _RTMGRP_IPV6_ROUTE = 0x1, 0x40, 0x400
_RTM_GETROUTE = 26
_RTPROT_BIRD = 12
_RTA_DST, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_TABLE = 1, 5, 9, 15
_RTNH_F_DEAD, _RTNH_F_LINKDOWN = 1, 16
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEXT_HOP = struct.Struct("=HBBi")
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class RouteMonitor:
    """Two sockets in a router's namespace: one hears that something changed, the other asks what there is."""

    news: socket.socket
    """Readable after a change of routes or links."""
    netlink: Netlink

    @classmethod
    def open(cls, path: Path) -> RouteMonitor:
        """Listen in the namespace at `path`. Blocks for a moment; raises OSError."""
        (found,) = netns.inside([(path, cls._here)])
        return found

    @classmethod
    def _here(cls) -> RouteMonitor:
        news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        news.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE))
        news.setblocking(False)
        return cls(news, Netlink())

    def drain(self) -> None:
        """Forget the news up to now; what they say is asked for anew."""
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    self.news.recv(_PIECE)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise

    def routes(self) -> Routes:
        """The routes of the main table that BIRD has written, with the next hops that are alive."""
        found: dict[IPNetwork, frozenset[IPAddress]] = {}
        for family in (socket.AF_INET, socket.AF_INET6):
            for body in self.netlink.dump(_RTM_GETROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
                read = _read(body)
                if read is not None:
                    found[read[0]] = found.get(read[0], frozenset()) | read[1]
        return found

    def carriers(self) -> Mapping[str, bool]:
        """Whether each interface has a cable that is alive."""
        return {name: link.running for name, link in rtnl.links(self.netlink).items()}


def _read(body: bytes) -> tuple[IPNetwork, frozenset[IPAddress]] | None:
    family, length, _, _, table, protocol, _, _, flags = _ROUTE.unpack_from(body)
    values = dict(attributes(body[_ROUTE.size :]))
    if _RTA_TABLE in values:
        (table,) = struct.unpack("=I", values[_RTA_TABLE])
    if protocol != _RTPROT_BIRD or table != rtnl.MAIN_TABLE:
        return None
    nothing = bytes(4 if family == socket.AF_INET else 16)
    network = ip_network((values.get(_RTA_DST, nothing), length))
    hops: set[IPAddress] = set()
    if _RTA_GATEWAY in values and _alive(flags):
        hops.add(ip_address(values[_RTA_GATEWAY]))
    hops.update(_next_hops(values.get(_RTA_MULTIPATH, b"")))
    return network, frozenset(hops)


def _next_hops(data: bytes) -> Iterator[IPAddress]:
    while len(data) >= _NEXT_HOP.size:
        length, flags, _, _ = _NEXT_HOP.unpack_from(data)
        values = dict(attributes(data[_NEXT_HOP.size : length]))
        if _RTA_GATEWAY in values and _alive(flags):
            yield ip_address(values[_RTA_GATEWAY])
        data = data[(length + 3) & ~3 :]


def _alive(flags: int) -> bool:
    return not flags & (_RTNH_F_DEAD | _RTNH_F_LINKDOWN)

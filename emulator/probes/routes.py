"""How a network namespace would send: interface, gateway and addresses, asked of the kernel."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from emulator.probes.request import IPAddress

_RTM_GETROUTE, _NLM_F_REQUEST, _NLMSG_ERROR = 26, 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_VIA = 1, 4, 5, 7, 18
_RTN_LOCAL = 2
_SIOCGIFHWADDR = 0x8927


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one destination."""

    interface: str
    mac: str
    """The interface's own."""
    source: IPAddress | None
    """The address that the kernel would send from; None when the interface has none of the family."""
    gateway: IPAddress | None
    """None when the destination is on the link."""
    is_local: bool
    """Whether the destination is the namespace's own address."""


def route_to(destination: IPAddress) -> Route:
    """The route of the calling thread's network namespace. Raises OSError when there is none."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as netlink:
        netlink.send(_question(destination))
        answer = netlink.recv(65_535)
    length, kind = struct.unpack_from("=IH", answer)
    if kind == _NLMSG_ERROR:
        code = -struct.unpack_from("=i", answer, 16)[0]
        raise OSError(code, f"no route to {destination}: {os.strerror(code)}")
    route_kind = answer[16 + 7]
    attributes = dict(_attributes(answer[28:length]))
    interface = socket.if_indextoname(struct.unpack("=I", attributes[_RTA_OIF])[0])
    via = attributes.get(_RTA_GATEWAY) or attributes.get(_RTA_VIA, b"")[2:]
    own = attributes.get(_RTA_PREFSRC)
    return Route(
        interface,
        mac_of(interface),
        ip_address(own) if own else None,
        ip_address(via) if via else None,
        route_kind == _RTN_LOCAL,
    )


def mac_of(interface: str) -> str:
    """The MAC address of an interface of the calling thread's namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16s24x", interface.encode())
        return fcntl.ioctl(sock, _SIOCGIFHWADDR, request)[18:24].hex(":")


def _question(destination: IPAddress) -> bytes:
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    address = destination.packed
    body = struct.pack("=BBBBBBBBI", family, len(address) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += struct.pack("=HH", 4 + len(address), _RTA_DST) + address
    return struct.pack("=IHHII", 16 + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + body


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind, data[4:length]
        data = data[(length + 3) & ~3 :]

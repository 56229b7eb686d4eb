"""What the kernel lists of the netns that the calling thread is in, by route netlink."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

from emulator.cluster.wiring import IPAddress, IPInterface
from emulator.network import rtnl
from emulator.network.kernel.facts import Hop, Lookup, RouteKey, Way
from emulator.network.netlink import Netlink, attributes

_RTM_GETADDR, _RTM_GETROUTE, _RTM_GETNEIGH, _RTM_GETRULE = 22, 26, 30, 34
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_MULTIPATH, _RTA_TABLE = (
    1,
    4,
    5,
    6,
    7,
    9,
    15,
)
_NDA_DST, _NDA_LLADDR = 1, 2
_FRA_DST, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE, _FRA_IP_PROTO, _FRA_DPORT_RANGE = 1, 3, 6, 15, 22, 24
_RTPROT_KERNEL, _RTPROT_BIRD = 2, 12
_NUD_PERMANENT = 0x80
_AF_BRIDGE = 7
_RTM_F_CLONED = 0x200
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_NEXT_HOP = struct.Struct("=HBBi")
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Entry:
    """A neighbour that an interface was told of: its MAC address, and its address or the tunnel's far end."""

    index: int
    mac: str
    address: IPAddress


def addresses(netlink: Netlink) -> Iterator[tuple[int, IPInterface]]:
    """The addresses of all interfaces, with their indices; IPv6's link-local ones left out."""
    for family in _FAMILIES.values():
        for body in netlink.dump(_RTM_GETADDR, _ADDRESS.pack(family, 0, 0, 0, 0)):
            _, length, _, _, index = _ADDRESS.unpack_from(body)
            values = dict(attributes(body[_ADDRESS.size :]))
            packed = values.get(_IFA_LOCAL) or values[_IFA_ADDRESS]
            interface = ip_interface((packed, length))
            if not (interface.version == 6 and interface.is_link_local):
                yield index, interface


def routes(netlink: Netlink, names: dict[int, str]) -> Iterator[tuple[RouteKey, Way]]:
    """The routes of all tables but the local one that neither the kernel nor BIRD has made."""
    for version, family in _FAMILIES.items():
        for body in netlink.dump(_RTM_GETROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            _, length, _, _, table, protocol, _, _, flags = _ROUTE.unpack_from(body)
            values = dict(attributes(body[_ROUTE.size :]))
            table = _number(values, _RTA_TABLE) or table
            if table == rtnl.LOCAL_TABLE or protocol in (_RTPROT_KERNEL, _RTPROT_BIRD):
                continue
            if flags & _RTM_F_CLONED:
                continue
            nothing = bytes(4 if version == 4 else 16)
            destination = ip_network((values.get(_RTA_DST, nothing), length))
            source = values.get(_RTA_PREFSRC)
            way = Way(tuple(_hops(values, names)), ip_address(source) if source else None)
            yield RouteKey(destination, table, _number(values, _RTA_PRIORITY)), way


def neighbours(netlink: Netlink) -> Iterator[Entry]:
    """The neighbours that were told for good, of all interfaces."""
    for family in _FAMILIES.values():
        yield from _entries(netlink, family)


def tunnel_ends(netlink: Netlink) -> Iterator[Entry]:
    """The forwarding entries of VXLAN devices."""
    return _entries(netlink, _AF_BRIDGE)


def rules(netlink: Netlink) -> Iterator[rtnl.PortRule | Lookup]:
    """All routing rules."""
    for version, family in _FAMILIES.items():
        for body in netlink.dump(_RTM_GETRULE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            _, length, _, _, table, _, _, _, _ = _ROUTE.unpack_from(body)
            values = dict(attributes(body[_ROUTE.size :]))
            table = _number(values, _FRA_TABLE) or table
            priority = _number(values, _FRA_PRIORITY)
            if {_FRA_DST, _FRA_IP_PROTO, _FRA_DPORT_RANGE, _FRA_IIFNAME} <= values.keys():
                first, last = struct.unpack("=HH", values[_FRA_DPORT_RANGE])
                destination = ip_network((values[_FRA_DST], length))
                (protocol,) = values[_FRA_IP_PROTO]
                yield rtnl.PortRule(priority, table, destination, protocol, range(first, last + 1))
            else:
                yield Lookup(version, priority, table)


def _entries(netlink: Netlink, family: int) -> Iterator[Entry]:
    for body in netlink.dump(_RTM_GETNEIGH, _NEIGHBOUR.pack(family, 0, 0, 0, 0)):
        _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
        values = dict(attributes(body[_NEIGHBOUR.size :]))
        if state & _NUD_PERMANENT and _NDA_DST in values and _NDA_LLADDR in values:
            yield Entry(index, values[_NDA_LLADDR].hex(":"), ip_address(values[_NDA_DST]))


def _hops(values: dict[int, bytes], names: dict[int, str]) -> Iterator[Hop]:
    if _RTA_OIF in values:
        index = _number(values, _RTA_OIF)
        yield _hop(values, names, index)
    data = values.get(_RTA_MULTIPATH, b"")
    while len(data) >= _NEXT_HOP.size:
        length, _, _, index = _NEXT_HOP.unpack_from(data)
        yield _hop(dict(attributes(data[_NEXT_HOP.size : length])), names, index)
        data = data[(length + 3) & ~3 :]


def _hop(values: dict[int, bytes], names: dict[int, str], index: int) -> Hop:
    gateway = values.get(_RTA_GATEWAY)
    return Hop(names.get(index, f"interface {index}"), ip_address(gateway) if gateway else None)


def _number(values: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(values.get(kind, b""), "little" if struct.pack("=H", 1)[0] else "big")

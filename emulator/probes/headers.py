"""Packet headers as flat data, decoded by hand: `{"ip.src": "10.244.1.3", "tcp.dport": 5432}`.

Field names are Scapy's. The packet inside VXLAN has the prefix `inner.`, the one that an ICMP error
quotes has `quoted.`. Captures use this decoder while generators use Scapy's builder, so that one
checks the other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Headers = dict[str, int | str]

_FIELDS_OF = {
    "eth": ("src", "dst", "type"),
    "vlan": ("id",),
    "arp": ("op", "hwsrc", "psrc", "hwdst", "pdst"),
    "ip": ("src", "dst", "ttl", "proto", "len", "id", "tos", "chksum", "flags", "frag"),
    "ipv6": ("src", "dst", "hlim", "nh", "plen", "tc", "fl", "frag", "more", "id"),
    "tcp": ("sport", "dport", "seq", "ack", "window", "chksum", "flags"),
    "udp": ("sport", "dport", "len", "chksum"),
    "sctp": ("sport", "dport", "tag", "chksum", "chunk", "init"),
    "vxlan": ("flags", "vni"),
    "icmp": ("type", "code", "chksum", "id", "seq", "mtu"),
    "icmpv6": ("type", "code", "chksum", "id", "seq", "mtu"),
    "nd": ("target", "flags", "sll", "tll"),
    "ra": ("hlim", "flags", "lifetime"),
    "payload": ("len",),
}
FIELDS = frozenset(f"{layer}.{name}" for layer, names in _FIELDS_OF.items() for name in names) | {
    "l4",
    "payload",
    "malformed",
}
"""Every field name, without the prefixes `inner.` and `quoted.`."""

_VXLAN_PORT = 4789
_FLAGS = "FSRPAUECN"
_EXTENSIONS = {0, 43, 60}
_FRAGMENT = 44
_ARPHRD_NONE = 0xFFFE
_PAYLOAD_SHOWN = 256


@dataclass(frozen=True, slots=True)
class Datagram:
    """What identifies a packet at one place; ports are None where the protocol has none."""

    protocol: str
    source: str
    destination: str
    ttl: int
    source_port: int | None
    destination_port: int | None


def decode(frame: bytes, hardware: int = 1) -> Headers:
    """The headers of a captured frame; a packet cut short yields what it holds, and `malformed`.

    `hardware` is the interface's ARPHRD type; tunnel interfaces without Ethernet start at IP.
    """
    fields: Headers = {}
    try:
        if hardware == _ARPHRD_NONE:
            _ip(frame, fields, "")
        else:
            _ethernet(frame, fields, "")
    except (struct.error, IndexError, ValueError):
        fields["malformed"] = 1
    return fields


def datagram(headers: Mapping[str, int | str], prefix: str = "") -> Datagram | None:
    """The IP packet in `headers` (`prefix` picks `quoted.` or `inner.`), or None when it holds none."""
    for name, hops in (("ip", "ttl"), ("ipv6", "hlim")):
        source = headers.get(f"{prefix}{name}.src")
        if source is None:
            continue
        protocol = str(headers.get(f"{prefix}l4", ""))
        ports = (headers.get(f"{prefix}{protocol}.{end}") for end in ("sport", "dport"))
        sport, dport = (int(port) if port is not None else None for port in ports)
        destination, left = str(headers[f"{prefix}{name}.dst"]), int(headers[f"{prefix}{name}.{hops}"])
        return Datagram(protocol, str(source), destination, left, sport, dport)
    return None


def _mac(octets: bytes) -> str:
    return octets.hex(":")


def _ethernet(data: bytes, out: Headers, at: str) -> None:
    destination, source, kind = struct.unpack_from("!6s6sH", data)
    out[f"{at}eth.src"], out[f"{at}eth.dst"] = _mac(source), _mac(destination)
    offset = 14
    if kind == 0x8100:
        tag, kind = struct.unpack_from("!HH", data, 14)
        out[f"{at}vlan.id"] = tag & 0xFFF
        offset = 18
    out[f"{at}eth.type"] = kind
    if kind == 0x0806:
        _arp(data[offset:], out, at)
    elif kind in (0x0800, 0x86DD):
        _ip(data[offset:], out, at)


def _arp(data: bytes, out: Headers, at: str) -> None:
    _, _, _, _, operation, hwsrc, psrc, hwdst, pdst = struct.unpack_from("!HHBBH6s4s6s4s", data)
    out[f"{at}arp.op"] = operation
    out[f"{at}arp.hwsrc"], out[f"{at}arp.psrc"] = _mac(hwsrc), str(IPv4Address(psrc))
    out[f"{at}arp.hwdst"], out[f"{at}arp.pdst"] = _mac(hwdst), str(IPv4Address(pdst))


def _ip(data: bytes, out: Headers, at: str) -> None:
    if data[0] >> 4 == 4:
        _ipv4(data, out, at)
    else:
        _ipv6(data, out, at)


def _ipv4(data: bytes, out: Headers, at: str) -> None:
    first, tos, length, ident, fragment, ttl, protocol, checksum, source, destination = struct.unpack_from(
        "!BBHHHBBH4s4s", data
    )
    out[f"{at}ip.src"], out[f"{at}ip.dst"] = str(IPv4Address(source)), str(IPv4Address(destination))
    out[f"{at}ip.ttl"], out[f"{at}ip.proto"], out[f"{at}ip.len"] = ttl, protocol, length
    out[f"{at}ip.id"], out[f"{at}ip.tos"], out[f"{at}ip.chksum"] = ident, tos, checksum
    out[f"{at}ip.flags"] = "+".join(n for n, bit in (("DF", 0x4000), ("MF", 0x2000)) if fragment & bit)
    out[f"{at}ip.frag"] = fragment & 0x1FFF
    payload = data[(first & 0x0F) * 4 : max(length, 20)] if length else data[(first & 0x0F) * 4 :]
    _transport(protocol, payload, out, at, is_later_fragment=bool(fragment & 0x1FFF))


def _ipv6(data: bytes, out: Headers, at: str) -> None:
    word, length, following, hops, source, destination = struct.unpack_from("!IHBB16s16s", data)
    out[f"{at}ipv6.src"], out[f"{at}ipv6.dst"] = str(IPv6Address(source)), str(IPv6Address(destination))
    out[f"{at}ipv6.hlim"], out[f"{at}ipv6.nh"], out[f"{at}ipv6.plen"] = hops, following, length
    out[f"{at}ipv6.tc"], out[f"{at}ipv6.fl"] = word >> 20 & 0xFF, word & 0xFFFFF
    payload, later = data[40 : 40 + length] if length else data[40:], False
    while following in _EXTENSIONS or following == _FRAGMENT:
        if following == _FRAGMENT:
            following, _, position, ident = struct.unpack_from("!BBHI", payload)
            out[f"{at}ipv6.frag"], out[f"{at}ipv6.more"] = position >> 3, position & 1
            out[f"{at}ipv6.id"] = ident
            payload, later = payload[8:], position >> 3 > 0
        else:
            following, words = payload[0], payload[1]
            payload = payload[8 + words * 8 :]
    _transport(following, payload, out, at, is_later_fragment=later)


def _transport(protocol: int, data: bytes, out: Headers, at: str, *, is_later_fragment: bool) -> None:
    name = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}.get(protocol, str(protocol))
    out[f"{at}l4"] = name
    if is_later_fragment:
        return
    if name == "tcp":
        _tcp(data, out, at)
    elif name == "udp":
        _udp(data, out, at)
    elif name == "sctp":
        _sctp(data, out, at)
    elif name == "icmp":
        _icmp(data, out, at)
    elif name == "icmpv6":
        _icmpv6(data, out, at)


def _payload(data: bytes, out: Headers, at: str) -> None:
    out[f"{at}payload.len"] = len(data)
    if data:
        out[f"{at}payload"] = data[:_PAYLOAD_SHOWN].decode("ascii", "backslashreplace")


def _tcp(data: bytes, out: Headers, at: str) -> None:
    out[f"{at}tcp.sport"], out[f"{at}tcp.dport"], out[f"{at}tcp.seq"] = struct.unpack_from("!HHI", data)
    ack, offset, window, checksum = struct.unpack_from("!IHHH", data, 8)
    out[f"{at}tcp.ack"], out[f"{at}tcp.window"], out[f"{at}tcp.chksum"] = ack, window, checksum
    out[f"{at}tcp.flags"] = "".join(name for bit, name in enumerate(_FLAGS) if offset >> bit & 1)
    _payload(data[(offset >> 12) * 4 :], out, at)


def _udp(data: bytes, out: Headers, at: str) -> None:
    sport, dport, length, checksum = struct.unpack_from("!HHHH", data)
    out[f"{at}udp.sport"], out[f"{at}udp.dport"] = sport, dport
    out[f"{at}udp.len"], out[f"{at}udp.chksum"] = length, checksum
    if dport == _VXLAN_PORT and not at:
        flags, vni = struct.unpack_from("!B3xI", data, 8)
        out["vxlan.flags"], out["vxlan.vni"] = flags, vni >> 8
        _ethernet(data[16:], out, "inner.")
    else:
        _payload(data[8 : max(length, 8)], out, at)


def _sctp(data: bytes, out: Headers, at: str) -> None:
    """The common header and the type of the first chunk (RFC 9260); 1 is INIT, 2 INIT ACK."""
    out[f"{at}sctp.sport"], out[f"{at}sctp.dport"], out[f"{at}sctp.tag"] = struct.unpack_from("!HHI", data)
    (out[f"{at}sctp.chksum"],) = struct.unpack_from("<I", data, 8)
    out[f"{at}sctp.chunk"] = data[12]
    if data[12] in (1, 2):
        (out[f"{at}sctp.init"],) = struct.unpack_from("!I", data, 16)


def _icmp(data: bytes, out: Headers, at: str) -> None:
    kind, code, checksum, first, second = struct.unpack_from("!BBHHH", data)
    out[f"{at}icmp.type"], out[f"{at}icmp.code"], out[f"{at}icmp.chksum"] = kind, code, checksum
    if kind in (0, 8):
        out[f"{at}icmp.id"], out[f"{at}icmp.seq"] = first, second
        _payload(data[8:], out, at)
    elif kind in (3, 4, 5, 11, 12):
        if (kind, code) == (3, 4):
            out[f"{at}icmp.mtu"] = second
        _quote(data[8:], out, at)


def _icmpv6(data: bytes, out: Headers, at: str) -> None:
    kind, code, checksum, word = struct.unpack_from("!BBHI", data)
    out[f"{at}icmpv6.type"], out[f"{at}icmpv6.code"], out[f"{at}icmpv6.chksum"] = kind, code, checksum
    if kind in (128, 129):
        out[f"{at}icmpv6.id"], out[f"{at}icmpv6.seq"] = word >> 16, word & 0xFFFF
        _payload(data[8:], out, at)
    elif kind in (1, 2, 3, 4):
        if kind == 2:
            out[f"{at}icmpv6.mtu"] = word
        _quote(data[8:], out, at)
    elif kind in (135, 136):
        if kind == 136:
            flags = (("R", 31), ("S", 30), ("O", 29))
            out[f"{at}nd.flags"] = "".join(name for name, bit in flags if word >> bit & 1)
        out[f"{at}nd.target"] = str(IPv6Address(data[8:24]))
        _nd_options(data[24:], out, at)
    elif kind == 134:
        out[f"{at}ra.hlim"], out[f"{at}ra.flags"] = word >> 24, word >> 16 & 0xFF
        out[f"{at}ra.lifetime"] = word & 0xFFFF
        _nd_options(data[16:], out, at)


def _nd_options(data: bytes, out: Headers, at: str) -> None:
    while len(data) >= 8 and data[1]:
        kind, size = data[0], data[1] * 8
        if kind in (1, 2):
            out[f"{at}nd.{'sll' if kind == 1 else 'tll'}"] = _mac(data[2:8])
        data = data[size:]


def _quote(data: bytes, out: Headers, at: str) -> None:
    """The packet that an ICMP error is about; often cut after eight bytes of its transport header."""
    if at == "quoted.":
        return
    try:
        _ip(data, out, "quoted.")
    except (struct.error, IndexError):
        out.setdefault("quoted.l4", "")

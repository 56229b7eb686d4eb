"""The few header fields by which a sweep recognises packets, and the packets that no socket makes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import ip_address

from emulator.probes.bpf import ARP, ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP, UDP

MARK = 16
"""Bytes at the beginning of a UDP payload that tell whose it is."""
_ETHERNET = 14
_INIT, _INIT_ACK, _ABORT = 1, 2, 6
_PROTOCOL_UNREACHABLE = {(ICMP, 3, 2), (ICMPV6, 4, 1)}


class Sort(Enum):
    """What a packet is to a sweep."""

    OPENING = auto()
    """A SYN, a datagram or an INIT; `token` recognises it behind translated addresses."""
    ANSWER = auto()
    """An INIT ACK; `token` is the opening's."""
    ABORT = auto()
    """An SCTP ABORT; `token` is the opening's."""
    ICMP_ERROR = auto()
    """`port` is the source port of the packet that it is about."""
    DELIVERED = auto()
    """An ICMP error by which the destination itself says that it does not speak the protocol."""
    ECHO = auto()
    """`token` is (identifier, number) of an echo request."""
    ECHO_REPLY = auto()
    ARP_REQUEST = auto()
    ARP_REPLY = auto()


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One packet."""

    sort: Sort
    protocol: int = 0
    port: int = 0
    """The source port of the opening that it is, or is about."""
    remote: tuple[bytes, int] = (b"", 0)
    """Where that opening goes: address and port. Linux gives one source port to several connections."""
    token: object = None
    peer: bytes = b""
    """Of an ARP packet the other side's IPv4 address: asked for, or answering."""


def glimpse(frame: bytes) -> Glimpse | None:
    """What `frame` is, from its Ethernet header on; None for everything that is of no interest."""
    try:
        ethertype = int.from_bytes(frame[12:14], "big")
        if ethertype == ARP:
            return _arp(frame[_ETHERNET:])
        if ethertype in (IPV4, IPV6):
            protocol, source, target, rest = _ip(frame[_ETHERNET:])
            return _inner(protocol, source, target, rest)
    except (struct.error, IndexError):
        return None
    return None


def _ip(packet: bytes) -> tuple[int, bytes, bytes, bytes]:
    """Protocol, source, destination, and what follows."""
    if packet[0] >> 4 == 4:
        return packet[9], packet[12:16], packet[16:20], packet[(packet[0] & 15) * 4 :]
    return packet[6], packet[8:24], packet[24:40], packet[40:]


def _inner(protocol: int, source: bytes, target: bytes, rest: bytes) -> Glimpse | None:
    if protocol in (ICMP, ICMPV6):
        return _icmp(protocol, source, rest)
    port, other = struct.unpack_from("!HH", rest)
    remote = (target, other)
    if protocol == TCP:
        is_syn = rest[13] & 0x12 == 0x02
        return Glimpse(Sort.OPENING, TCP, port, remote, rest[4:8]) if is_syn else None
    if protocol == UDP:
        return Glimpse(Sort.OPENING, UDP, port, remote, rest[8 : 8 + MARK])
    if protocol == SCTP:
        chunk, tag = rest[12], rest[4:8]
        if chunk == _INIT:
            return Glimpse(Sort.OPENING, SCTP, port, remote, rest[16:20])
        if chunk in (_INIT_ACK, _ABORT):
            sort = Sort.ANSWER if chunk == _INIT_ACK else Sort.ABORT
            return Glimpse(sort, SCTP, other, (source, port), tag)
    return None


def _icmp(protocol: int, source: bytes, rest: bytes) -> Glimpse | None:
    kind, code = rest[0], rest[1]
    if kind in ((8,) if protocol == ICMP else (128,)):
        return Glimpse(Sort.ECHO, protocol, token=struct.unpack_from("!HH", rest, 4))
    if kind in ((0,) if protocol == ICMP else (129,)):
        return Glimpse(Sort.ECHO_REPLY, protocol, token=struct.unpack_from("!HH", rest, 4))
    is_error = kind in (3, 11) if protocol == ICMP else kind in (1, 3, 4)
    if not is_error:
        return None
    about, _, target, quoted = _ip(rest[8:])
    own = target == source and (protocol, kind, code) in _PROTOCOL_UNREACHABLE
    port, other = struct.unpack_from("!HH", quoted)
    return Glimpse(Sort.DELIVERED if own else Sort.ICMP_ERROR, about, port, (target, other))


def _arp(packet: bytes) -> Glimpse | None:
    operation = int.from_bytes(packet[6:8], "big")
    if operation == 1:
        return Glimpse(Sort.ARP_REQUEST, peer=packet[24:28])
    return Glimpse(Sort.ARP_REPLY, peer=packet[14:18]) if operation == 2 else None


def arp_request(mac: bytes, own: str, wanted: str) -> bytes:
    """A frame that asks everyone for the link-layer address of `wanted`."""
    head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", ARP, 1, IPV4, 6, 4, 1)
    return head + mac + ip_address(own).packed + b"\0" * 6 + ip_address(wanted).packed


def echo_request(version: int, identifier: int, number: int) -> bytes:
    """An ICMP echo request; for IPv6 the kernel computes the checksum."""
    message = struct.pack("!BBHHH", 8 if version == 4 else 128, 0, 0, identifier, number)
    if version == 6:
        return message
    total = sum(struct.unpack("!4H", message))
    return message[:2] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + message[4:]


def sctp_init(source_port: int, port: int, tag: bytes) -> bytes:
    """An SCTP INIT (RFC 9260, section 3.3.2) with its checksum; `tag` is four bytes, not zero."""
    chunk = struct.pack("!BBH4sIHH4s", _INIT, 0, 20, tag, 65_536, 1, 1, tag)
    head = struct.pack("!HHI", source_port, port, 0)
    checksum = _crc32c(head + b"\0" * 4 + chunk)
    return head + struct.pack("<I", checksum) + chunk


def _crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC = tuple(_crc_entry(number) for number in range(256))

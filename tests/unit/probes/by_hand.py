"""Packets made by hand, without Scapy and without the decoder under test."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

ETHERNET = bytes.fromhex("0a5800000002 0a5800000001")
CLIENT, SERVER = IPv4Address("10.244.1.3"), IPv4Address("10.244.2.4")
CLIENT6, SERVER6 = IPv6Address("fd00:10:244:1::3"), IPv6Address("fd00:10:244:2::4")


def ipv4(protocol: int, payload: bytes, ttl: int = 62, fragment: int = 0x4000) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, ttl, protocol, 0)
    return head + CLIENT.packed + SERVER.packed + payload


def ipv6(following: int, payload: bytes) -> bytes:
    return (
        struct.pack("!IHBB", 6 << 28, len(payload), following, 63) + CLIENT6.packed + SERVER6.packed + payload
    )


def tcp(flags: int = 0x02, sport: int = 40000, dport: int = 5432, seq: int = 99) -> bytes:
    return struct.pack("!HHIIHHHH", sport, dport, seq, 0, 5 << 12 | flags, 64240, 0, 0)


def udp(payload: bytes, sport: int = 40000, dport: int = 53) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def frame(packet: bytes, kind: int = 0x0800) -> bytes:
    return ETHERNET + struct.pack("!H", kind) + packet

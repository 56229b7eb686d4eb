"""The filters, run by a small interpreter over hand-made packets."""

from __future__ import annotations

import struct

import pytest

from emulator.probes import bpf

from .by_hand import ipv4, ipv6, tcp, udp

NET = 0x100000000 - 0x100000
PROTOCOL = 0x100000000 - 0x1000
SNAP = 192


def accepted(program: bpf.Program, packet: bytes, kind: int) -> int:
    """What the kernel would keep of `packet`, whose network header is at its start."""
    code = list(struct.iter_unpack("=HBBI", bpf.assemble(program)))
    accumulator = index = place = 0
    while True:
        operation, then, otherwise, k = code[place]
        place += 1
        at = k - NET if k >= NET else k
        if operation == 0x06:
            return int(k)
        if operation == 0x05:
            place += k
        elif operation in (0x15, 0x45):
            holds = accumulator == k if operation == 0x15 else accumulator & k
            place += then if holds else otherwise
        elif operation == 0x01:
            index = k
        elif operation == 0x07:
            index = accumulator
        elif operation == 0x54:
            accumulator &= k
        elif operation == 0x64:
            accumulator <<= k
        elif operation == 0x28 and k == PROTOCOL:
            accumulator = kind
        else:
            start = at + (index if operation in (0x48, 0x50) else 0)
            size = 2 if operation in (0x28, 0x48) else 1
            if start + size > len(packet):
                return 0
            accumulator = int.from_bytes(packet[start : start + size], "big")


IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
SYN, ACK, RST = tcp(0x02), tcp(0x10), tcp(0x14)
FRAGMENT_HEADER = struct.pack("!BBHI", 6, 0, 0, 1)


@pytest.mark.parametrize(
    ("kind", "packet", "tcp_wants", "udp_wants", "icmp_wants"),
    [
        (IPV4, ipv4(6, SYN), True, False, False),
        (IPV4, ipv4(6, RST), True, False, False),
        (IPV4, ipv4(6, ACK), False, False, False),
        (IPV4, ipv4(6, SYN, fragment=185), False, False, False),
        (IPV4, ipv4(17, udp(b"x")), False, True, False),
        (IPV4, ipv4(17, udp(b"x", dport=4789)), False, False, False),
        (IPV4, ipv4(1, bytes(8)), True, True, True),
        (IPV4, ipv4(132, bytes(8)), False, False, False),
        (IPV6, ipv6(6, SYN), True, False, False),
        (IPV6, ipv6(6, ACK), False, False, False),
        (IPV6, ipv6(17, udp(b"x")), False, True, False),
        (IPV6, ipv6(17, udp(b"x", dport=4789)), False, False, False),
        (IPV6, ipv6(58, bytes(8)), True, True, True),
        (IPV6, ipv6(44, FRAGMENT_HEADER + SYN), True, True, True),
        (ARP, bytes(28), True, True, True),
        (0x88CC, bytes(60), False, False, False),
        (IPV4, b"\x45", False, False, False),
    ],
)
def test_what_is_captured(
    kind: int, packet: bytes, tcp_wants: bool, udp_wants: bool, icmp_wants: bool
) -> None:
    for make, wanted in (
        (bpf.tcp_handshakes, tcp_wants),
        (bpf.datagrams, udp_wants),
        (bpf.echoes, icmp_wants),
    ):
        assert accepted(make(SNAP), packet, kind) == (SNAP if wanted else 0), make.__name__


def test_everything() -> None:
    assert accepted(bpf.everything(64), b"", 0) == 64

"""Classic BPF programs for packet sockets, from a small assembler.

Loads are relative to the network header (`SKF_NET_OFF`), so that one program fits Ethernet, loopback
and tunnel interfaces alike.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from dataclasses import dataclass

_SO_ATTACH_FILTER = 26
_NET_OFF = 0x100000000 - 0x100000  # SKF_NET_OFF
_AD_PROTOCOL = 0x100000000 - 0x1000  # SKF_AD_OFF + SKF_AD_PROTOCOL

_LD_H_ABS, _LD_B_ABS, _LD_B_IND, _LD_H_IND = 0x28, 0x30, 0x50, 0x48
_LDX_IMM, _TAX, _AND_K, _LSH_K, _JA, _JEQ, _JSET, _RET = 0x01, 0x07, 0x54, 0x64, 0x05, 0x15, 0x45, 0x06

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132
_SYN_RST = 0x06
_VXLAN = 4789


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction; jumps name the label to go to (empty: the next step)."""

    code: int
    k: int = 0
    then: str = ""
    otherwise: str = ""
    label: str = ""


Program = tuple[Step, ...]


def assemble(program: Program) -> bytes:
    """The program as an array of `struct sock_filter`. Raises KeyError for an unknown label."""
    places = {step.label: index for index, step in enumerate(program) if step.label}
    code = bytearray()
    for index, step in enumerate(program):
        then, otherwise = (places[name] - index - 1 if name else 0 for name in (step.then, step.otherwise))
        if step.code == _JA:
            code += struct.pack("=HBBI", step.code, 0, 0, then)
        else:
            code += struct.pack("=HBBI", step.code, then, otherwise, step.k)
    return bytes(code)


def attach(sock: socket.socket, program: Program) -> None:
    """Let `sock` receive only what `program` accepts. Raises OSError."""
    code = ctypes.create_string_buffer(assemble(program))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


def everything(snap: int) -> Program:
    """Accept every packet, cut to `snap` bytes."""
    return (Step(_RET, snap),)


def tcp_handshakes(snap: int) -> Program:
    """TCP segments with SYN or RST, ICMP of both families, ARP, and IPv6 with extension headers."""
    return _by_protocol(snap, TCP)


def datagrams(snap: int) -> Program:
    """UDP but VXLAN, ICMP of both families, ARP, and IPv6 with extension headers."""
    return _by_protocol(snap, UDP)


def echoes(snap: int) -> Program:
    """ICMP of both families, ARP, and IPv6 with extension headers."""
    return _by_protocol(snap, ICMP)


def _by_protocol(snap: int, protocol: int) -> Program:
    wanted = {TCP: "tcp", UDP: "udp"}.get(protocol, "no")
    return (
        Step(_LD_H_ABS, _AD_PROTOCOL),
        Step(_JEQ, ARP, then="yes"),
        Step(_JEQ, IPV6, then="ipv6"),
        Step(_JEQ, IPV4, otherwise="no"),
        Step(_LD_B_ABS, _NET_OFF + 9),
        Step(_JEQ, ICMP, then="yes"),
        Step(_JEQ, protocol, otherwise="no"),
        Step(_LD_H_ABS, _NET_OFF + 6),
        Step(_JSET, 0x1FFF, then="no"),
        Step(_LD_B_ABS, _NET_OFF),
        Step(_AND_K, 0x0F),
        Step(_LSH_K, 2),
        Step(_TAX),
        Step(_JA, then=wanted),
        Step(_LD_B_ABS, _NET_OFF + 6, label="ipv6"),
        Step(_JEQ, ICMPV6, then="yes"),
        Step(_LDX_IMM, 40),
        Step(_JEQ, protocol, then=wanted),
        *(Step(_JEQ, header, then="yes") for header in (0, 43, 44, 60)),
        Step(_RET, 0),
        Step(_LD_B_IND, _NET_OFF + 13, label="tcp"),
        Step(_JSET, _SYN_RST, then="yes", otherwise="no"),
        Step(_LD_H_IND, _NET_OFF + 2, label="udp"),
        Step(_JEQ, _VXLAN, then="no", otherwise="yes"),
        Step(_RET, snap, label="yes"),
        Step(_RET, 0, label="no"),
    )


def first_packets(snap: int) -> Program:
    """What begins or refuses a conversation: TCP with SYN or RST, UDP but VXLAN, SCTP, ICMP, ARP."""
    always = (ICMP, ICMPV6, SCTP)
    return (
        Step(_LD_H_ABS, _AD_PROTOCOL),
        Step(_JEQ, ARP, then="yes"),
        Step(_JEQ, IPV6, then="ipv6"),
        Step(_JEQ, IPV4, otherwise="no"),
        Step(_LD_B_ABS, _NET_OFF),
        Step(_AND_K, 0x0F),
        Step(_LSH_K, 2),
        Step(_TAX),
        Step(_LD_B_ABS, _NET_OFF + 9),
        Step(_JA, then="protocol"),
        Step(_LDX_IMM, 40, label="ipv6"),
        Step(_LD_B_ABS, _NET_OFF + 6),
        *(
            Step(_JEQ, protocol, then="yes", label="" if index else "protocol")
            for index, protocol in enumerate(always)
        ),
        Step(_JEQ, TCP, then="tcp"),
        Step(_JEQ, UDP, then="udp", otherwise="no"),
        Step(_LD_B_IND, _NET_OFF + 13, label="tcp"),
        Step(_JSET, _SYN_RST, then="yes", otherwise="no"),
        Step(_LD_H_IND, _NET_OFF + 2, label="udp"),
        Step(_JEQ, _VXLAN, then="no", otherwise="yes"),
        Step(_RET, snap, label="yes"),
        Step(_RET, 0, label="no"),
    )

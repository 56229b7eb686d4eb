"""The packet fields that flows match and set.

Each field carries the name `ovs-ofctl` prints and the name Ryu uses, so that a flow has one
meaning in text and on the wire. Sizes are in bits. See ovs-fields(7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Value = int | str | IPv4Address | IPv6Address | IPv4Network | IPv6Network
"""What a flow's author writes; a string is a MAC address, a network is an address with a mask."""


def _mac(value: int) -> str:
    return ":".join(f"{value >> shift & 0xFF:02x}" for shift in range(40, -1, -8))


def _ipv4(value: int) -> str:
    return str(IPv4Address(value))


def _ipv6(value: int) -> str:
    return str(IPv6Address(value))


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field of a packet or of its metadata; every field is one object of this module."""

    name: str
    """As `ovs-ofctl dump-flows` prints it in a match."""
    bits: int
    show: Callable[[int], str]
    ryu: str
    set_name: str = ""
    """As `ovs-ofctl` wants it in an action, where that differs from `name`."""

    @property
    def in_actions(self) -> str:
        """The name to be used inside actions."""
        return self.set_name or self.name

    @property
    def full_mask(self) -> int:
        """All bits of the field."""
        return (1 << self.bits) - 1

    def __call__(self, value: Value, mask: int | None = None) -> Term:
        """Match packets whose field equals `value` (in the bits of `mask`, or of a network's prefix)."""
        number, implied = as_number(value)
        chosen = mask if mask is not None else implied
        return Term(self, number, self.full_mask if chosen is None else chosen)

    def part(self, first: int, last: int) -> Bits:
        """The bits `first..last` of the field, both included, 0 the least significant."""
        return Bits(self, first, last)

    def __getitem__(self, bit: int) -> Bits:
        return Bits(self, bit, bit)


@dataclass(frozen=True, slots=True)
class Bits:
    """Some consecutive bits of a field: what registers and marks are made of."""

    field: Field
    first: int
    last: int

    @property
    def width(self) -> int:
        """How many bits there are."""
        return self.last - self.first + 1

    @property
    def mask(self) -> int:
        """The bits' place in the field."""
        return ((1 << self.width) - 1) << self.first

    def __call__(self, value: int) -> Term:
        """Match packets that carry `value` in these bits."""
        return Term(self.field, value << self.first, self.mask)

    def __str__(self) -> str:
        name = self.field.in_actions
        if self.width == self.field.bits:
            return f"{name}[]"
        return f"{name}[{self.first}]" if self.width == 1 else f"{name}[{self.first}..{self.last}]"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a match: `field & mask == value`."""

    field: Field
    value: int
    mask: int

    def __post_init__(self) -> None:
        if self.value & ~self.mask or self.mask & ~self.field.full_mask:
            raise ValueError(f"{self.field.name}: value {self.value:#x} does not fit mask {self.mask:#x}")

    @property
    def exact(self) -> bool:
        """True when every bit of the field counts."""
        return self.mask == self.field.full_mask

    def __str__(self) -> str:
        show = self.field.show
        if self.field is CT_STATE:
            return f"ct_state={_ct_state_text(self.value, self.mask)}"
        if self.exact:
            return f"{self.field.name}={show(self.value)}"
        if show in (_ipv4, _ipv6):
            return f"{self.field.name}={show(self.value)}/{self.mask.bit_count()}"
        return f"{self.field.name}={show(self.value)}/{show(self.mask)}"


@cache
def as_number(value: Value) -> tuple[int, int | None]:
    """The value as the field's bits, and the mask that a network implies."""
    if isinstance(value, str):
        return int(value.replace(":", ""), 16), None
    if isinstance(value, (IPv4Network, IPv6Network)):
        return int(value.network_address), int(value.netmask)
    return int(value), None


IN_PORT = Field("in_port", 32, str, "in_port")
IN_PORT_NXM = Field("in_port", 16, str, "in_port_nxm")
"""The same field in the form that may be written: Open vSwitch refuses port 0 in the other one."""
ETH_SRC = Field("dl_src", 48, _mac, "eth_src", "eth_src")
ETH_DST = Field("dl_dst", 48, _mac, "eth_dst", "eth_dst")
ETH_TYPE = Field("dl_type", 16, hex, "eth_type", "eth_type")
IP_PROTO = Field("nw_proto", 8, str, "ip_proto")
IPV4_SRC = Field("nw_src", 32, _ipv4, "ipv4_src", "ip_src")
IPV4_DST = Field("nw_dst", 32, _ipv4, "ipv4_dst", "ip_dst")
IPV6_SRC = Field("ipv6_src", 128, _ipv6, "ipv6_src")
IPV6_DST = Field("ipv6_dst", 128, _ipv6, "ipv6_dst")
NW_TTL = Field("nw_ttl", 8, str, "nw_ttl")
TCP_DST = Field("tp_dst", 16, str, "tcp_dst", "tcp_dst")
UDP_DST = Field("tp_dst", 16, str, "udp_dst", "udp_dst")
SCTP_DST = Field("tp_dst", 16, str, "sctp_dst", "sctp_dst")
SCTP_SRC = Field("tp_src", 16, str, "sctp_src", "sctp_src")
TCP_FLAGS = Field("tcp_flags", 16, hex, "tcp_flags_nxm")
ICMP_TYPE = Field("icmp_type", 8, str, "icmpv4_type")
ICMP_CODE = Field("icmp_code", 8, str, "icmpv4_code")
ICMPV6_TYPE = Field("icmp_type", 8, str, "icmpv6_type", "icmpv6_type")
ICMPV6_CODE = Field("icmp_code", 8, str, "icmpv6_code", "icmpv6_code")
ARP_OP = Field("arp_op", 16, str, "arp_op")
ARP_SPA = Field("arp_spa", 32, _ipv4, "arp_spa")
ARP_TPA = Field("arp_tpa", 32, _ipv4, "arp_tpa")
ARP_SHA = Field("arp_sha", 48, _mac, "arp_sha")
ARP_THA = Field("arp_tha", 48, _mac, "arp_tha")
ND_TARGET = Field("nd_target", 128, _ipv6, "ipv6_nd_target")
ND_TLL = Field("nd_tll", 48, _mac, "ipv6_nd_tll")
ND_RESERVED = Field("nd_reserved", 32, str, "nd_reserved")
ND_OPTIONS_TYPE = Field("nd_options_type", 8, str, "nd_options_type")
CT_STATE = Field("ct_state", 32, hex, "ct_state")
CONJ_ID = Field("conj_id", 32, str, "conj_id")
"""The conjunction that the packet was found to satisfy (conjunctive matches, ovs-fields(7))."""
CT_MARK = Field("ct_mark", 32, hex, "ct_mark")
REG0, REG1, REG2, REG3, REG4, REG5, REG6, REG7 = (Field(f"reg{i}", 32, hex, f"reg{i}") for i in range(8))
XXREG2 = Field("xxreg2", 128, hex, "xxreg2")
"""Registers 8 to 11 as one number of 128 bits: room for an IPv6 address."""

_CT_FLAGS = {"new": 0x01, "est": 0x02, "rel": 0x04, "rpl": 0x08, "inv": 0x10, "trk": 0x20}


def ct_state(text: str) -> Term:
    """Match a connection-tracking state written as `ovs-ofctl` writes it: `+trk+new-rpl`."""
    value = mask = 0
    for position in range(0, len(text), 4):
        flag = _CT_FLAGS[text[position + 1 : position + 4]]
        mask |= flag
        value |= flag if text[position] == "+" else 0
    return Term(CT_STATE, value, mask)


def _ct_state_text(value: int, mask: int) -> str:
    return "".join(("+" if value & flag else "-") + name for name, flag in _CT_FLAGS.items() if mask & flag)

"""Matches: sets of conditions on fields, with one canonical form and one text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controllers.pipeline import fields as f
from controllers.pipeline.fields import Field, Term
from emulator.cluster.model import Protocol
from emulator.cluster.wiring import IPAddress, IPNetwork

_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_PROTO = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}
_PORT_FIELD = {Protocol.TCP: f.TCP_DST, Protocol.UDP: f.UDP_DST, Protocol.SCTP: f.SCTP_DST}
_KEYWORDS = {
    (0x0806, None): "arp",
    (0x0800, None): "ip", (0x0800, 1): "icmp", (0x0800, 6): "tcp", (0x0800, 17): "udp", (0x0800, 132): "sctp",
    (0x86DD, None): "ipv6", (0x86DD, 58): "icmp6", (0x86DD, 6): "tcp6", (0x86DD, 17): "udp6",
    (0x86DD, 132): "sctp6",
}  # fmt: skip
_ORDER = {
    field: position
    for position, field in enumerate(
        (
            f.ETH_TYPE, f.IP_PROTO, f.CT_STATE, f.CT_MARK, f.REG0, f.REG1, f.REG2, f.REG3, f.REG4, f.REG5,
            f.REG6, f.REG7, f.XXREG2, f.IN_PORT, f.ETH_SRC, f.ETH_DST, f.ARP_OP, f.ARP_SPA, f.ARP_TPA,
            f.ARP_SHA, f.ARP_THA, f.IPV4_SRC, f.IPV4_DST, f.IPV6_SRC, f.IPV6_DST, f.NW_TTL, f.TCP_DST,
            f.UDP_DST, f.SCTP_SRC, f.SCTP_DST, f.ICMP_TYPE, f.ICMP_CODE, f.ICMPV6_TYPE, f.ICMPV6_CODE,
            f.ND_TARGET, f.TCP_FLAGS, f.CONJ_ID,
        )
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that all hold, one a field at most, in a fixed order. Build it with `match`."""

    terms: tuple[Term, ...]

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __str__(self) -> str:
        by_field = {term.field: term for term in self.terms}
        ethertype, proto = by_field.pop(f.ETH_TYPE, None), by_field.pop(f.IP_PROTO, None)
        words = []
        if ethertype:
            words.append(_KEYWORDS[ethertype.value, proto.value if proto else None])
        words += map(str, by_field.values())
        return ",".join(words)


def match(*parts: Term | tuple[Term, ...]) -> Match:
    """All of the given conditions. Bits of one register are joined; contradictions raise ValueError."""
    merged: dict[Field, Term] = {}
    for part in parts:
        for term in part if isinstance(part, tuple) else (part,):
            if not term.mask:
                continue
            known = merged.get(term.field)
            merged[term.field] = term if known is None else _join(known, term)
    return Match(tuple(sorted(merged.values(), key=_position)))


def _position(term: Term) -> int:
    return _ORDER[term.field]


def _join(one: Term, other: Term) -> Term:
    common = one.mask & other.mask
    if (one.value ^ other.value) & common:
        raise ValueError(f"{one} contradicts {other}")
    return Term(one.field, one.value | other.value, one.mask | other.mask)


def ip(family: int) -> tuple[Term, ...]:
    """Packets of IP version `family` (4 or 6)."""
    return (f.ETH_TYPE(_ETHERTYPE[family]),)


def arp(operation: int) -> tuple[Term, ...]:
    """ARP packets: operation 1 asks, 2 answers."""
    return (f.ETH_TYPE(0x0806), f.ARP_OP(operation))


def icmp(family: int, kind: int) -> tuple[Term, ...]:
    """ICMP or ICMPv6 packets of one type and code 0.

    The code is always matched: Open vSwitch 3.1.0 widens matches on neighbour discovery without it.
    """
    if family == 4:
        return (*ip(4), f.IP_PROTO(1), f.ICMP_TYPE(kind), f.ICMP_CODE(0))
    return (*ip(6), f.IP_PROTO(58), f.ICMPV6_TYPE(kind), f.ICMPV6_CODE(0))


def src(address: IPAddress | IPNetwork) -> tuple[Term, ...]:
    """Packets from an address or a range."""
    return (*ip(address.version), source_field(address.version)(address))


def dst(address: IPAddress | IPNetwork) -> tuple[Term, ...]:
    """Packets to an address or a range."""
    return (*ip(address.version), destination_field(address.version)(address))


def transport(family: int, protocol: Protocol) -> tuple[Term, ...]:
    """Packets of one transport protocol."""
    return (*ip(family), f.IP_PROTO(_PROTO[protocol]))


def to_port(family: int, protocol: Protocol, port: int) -> tuple[Term, ...]:
    """Packets to a transport port."""
    return (*transport(family, protocol), _PORT_FIELD[protocol](port))


def to_ports(family: int, protocol: Protocol, first: int, mask: int) -> tuple[Term, ...]:
    """Packets to the transport ports that equal `first` in the bits of `mask`."""
    return (*transport(family, protocol), _PORT_FIELD[protocol](first, mask))


def source_field(family: int) -> Field:
    """The field that holds the source address."""
    return f.IPV4_SRC if family == 4 else f.IPV6_SRC


def destination_field(family: int) -> Field:
    """The field that holds the destination address."""
    return f.IPV4_DST if family == 4 else f.IPV6_DST

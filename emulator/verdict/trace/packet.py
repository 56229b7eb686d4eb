"""A packet, as traces begin with one and end with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from emulator.cluster.wiring import IPAddress

TTL = 64
SOURCE_PORT = 40000
_ECHO = {(4, False): 8, (4, True): 0, (6, False): 128, (6, True): 129}


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, or the first one of its answer."""

    protocol: str
    """tcp, udp, sctp or icmp."""
    source: IPAddress
    destination: IPAddress
    source_port: int = 0
    destination_port: int = 0
    eth_source: str = "00:00:00:00:00:00"
    eth_destination: str = "00:00:00:00:00:00"
    ttl: int = TTL
    is_reply: bool = False

    @property
    def ends(self) -> Ends:
        """Addresses and ports."""
        return Ends(self.source, self.source_port, self.destination, self.destination_port)

    def with_ends(self, ends: Ends) -> Packet:
        """The same packet with other addresses and ports."""
        return replace(
            self,
            source=ends.source,
            source_port=ends.source_port,
            destination=ends.destination,
            destination_port=ends.destination_port,
        )

    def to_flow(self, in_port: int) -> str:
        """As `ofproto/trace` takes it (ovs-fields(7))."""
        family = self.source.version
        net = "nw_{}" if family == 4 else "ipv6_{}"
        words = [
            self.protocol + ("" if family == 4 else "6"),
            f"in_port={in_port}",
            f"dl_src={self.eth_source}",
            f"dl_dst={self.eth_destination}",
            f"{net.format('src')}={self.source}",
            f"{net.format('dst')}={self.destination}",
            f"nw_ttl={self.ttl}",
        ]
        if self.protocol == "icmp":
            kind = "icmp" if family == 4 else "icmpv6"
            words += [f"{kind}_type={_ECHO[family, self.is_reply]}", f"{kind}_code=0"]
        else:
            words += [
                f"{self.protocol}_src={self.source_port}",
                f"{self.protocol}_dst={self.destination_port}",
            ]
        if self.protocol == "tcp":
            words.append(f"tcp_flags={'0x012' if self.is_reply else 'syn'}")
        return ",".join(words)

    def changed(self, fields: Mapping[str, str]) -> Packet:
        """The packet as a trace left it. Ports of ICMP are its type and code, which nothing translates."""
        net = "nw_{}" if self.source.version == 4 else "ipv6_{}"
        icmp = self.protocol == "icmp"
        return replace(
            self,
            source=ip_address(fields[net.format("src")]),
            destination=ip_address(fields[net.format("dst")]),
            source_port=0 if icmp else int(fields["tp_src"]),
            destination_port=0 if icmp else int(fields["tp_dst"]),
            eth_source=fields["dl_src"],
            eth_destination=fields["dl_dst"],
            ttl=int(fields["nw_ttl"]),
        )

    def __str__(self) -> str:
        kind = {
            "tcp": "SYN/ACK" if self.is_reply else "SYN",
            "icmp": "echo reply" if self.is_reply else "echo",
        }
        return f"{kind.get(self.protocol, self.protocol)} {self.ends}"


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a packet; ports are 0 for ICMP."""

    source: IPAddress
    source_port: int
    destination: IPAddress
    destination_port: int

    def turned(self) -> Ends:
        """Those of the answer."""
        return Ends(self.destination, self.destination_port, self.source, self.source_port)

    @property
    def from_text(self) -> str:
        """The sender."""
        return with_port(self.source, self.source_port)

    @property
    def to_text(self) -> str:
        """The receiver."""
        return with_port(self.destination, self.destination_port)

    def __str__(self) -> str:
        return f"{self.from_text} → {self.to_text}"


def with_port(address: IPAddress, port: int) -> str:
    """`10.96.0.20:5432`, `[fd00::1]:80`; the address alone without a port."""
    if not port:
        return str(address)
    return f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"


def translations(before: Ends, after: Ends) -> tuple[str, ...]:
    """What a bridge exchanged, a phrase an end."""
    return tuple(
        f"{old} ⇒ {new}"
        for old, new in ((before.from_text, after.from_text), (before.to_text, after.to_text))
        if old != new
    )

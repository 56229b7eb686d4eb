"""What the captures of one probe prove: which attempt was sent, where it arrived, who answered it.

An attempt has to be recognised behind address and port translation. TCP is recognised by its initial
sequence number, which conntrack leaves alone; UDP and echo requests by a mark in their payload, or,
where the payload was given, by the payload itself.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Protocol as Interface

from emulator.probes.capture import Direction, Record
from emulator.probes.headers import Datagram, Headers, datagram
from emulator.probes.observation import Quote, Rejection

Key = Hashable

_NAMES = {
    ("icmp", 3, 0): "network-unreachable",
    ("icmp", 3, 1): "host-unreachable",
    ("icmp", 3, 2): "protocol-unreachable",
    ("icmp", 3, 3): "port-unreachable",
    ("icmp", 3, 4): "fragmentation-needed",
    ("icmp", 3, 9): "network-prohibited",
    ("icmp", 3, 10): "host-prohibited",
    ("icmp", 3, 13): "admin-prohibited",
    ("icmp", 11, 0): "time-exceeded",
    ("icmp", 11, 1): "reassembly-time-exceeded",
    ("icmpv6", 1, 0): "network-unreachable",
    ("icmpv6", 1, 1): "admin-prohibited",
    ("icmpv6", 1, 3): "host-unreachable",
    ("icmpv6", 1, 4): "port-unreachable",
    ("icmpv6", 1, 5): "source-policy-failed",
    ("icmpv6", 1, 6): "route-rejected",
    ("icmpv6", 2, 0): "packet-too-big",
    ("icmpv6", 3, 0): "time-exceeded",
    ("icmpv6", 3, 1): "reassembly-time-exceeded",
}
_ERRORS = {"icmp": (3, 11, 12), "icmpv6": (1, 3, 4)}
"""Types that end a connection attempt; "too big" asks for smaller packets instead."""


class Recogniser(Interface):
    """Tells which attempt a packet belongs to, None where it belongs to none."""

    def request(self, record: Record) -> Key | None:
        """The attempt whose request this is."""

    def answer(self, record: Record) -> Key | None:
        """The attempt that this accepts."""

    def reset(self, _record: Record) -> Key | None:
        """The attempt that this refuses by the protocol's own means."""

    def quoted(self, record: Record) -> Key | None:
        """The attempt that this ICMP error quotes."""


class Handshakes:
    """TCP: the initial sequence number is the key."""

    def request(self, record: Record) -> Key | None:
        """A SYN."""
        flags = _flags(record.headers)
        return record.headers["tcp.seq"] if "S" in flags and "A" not in flags else None

    def answer(self, record: Record) -> Key | None:
        """A SYN with ACK."""
        flags = _flags(record.headers)
        return _acknowledged(record.headers) if "S" in flags and "A" in flags else None

    def reset(self, _record: Record) -> Key | None:
        """A RST that acknowledges the SYN."""
        flags = _flags(_record.headers)
        return _acknowledged(_record.headers) if "R" in flags and "A" in flags else None

    def quoted(self, record: Record) -> Key | None:
        """The quoted SYN; eight bytes of its header suffice."""
        return record.headers.get("quoted.tcp.seq")


class Marks:
    """UDP datagrams and echo requests: a mark in the payload is the key.

    Where the payload was given and carries no mark, the source port (or echo identifier) is.
    """

    def __init__(self, payload: bytes | None, protocol: str) -> None:
        self._given = payload
        self._protocol = protocol
        self._nonce = secrets.token_hex(4)
        self._mark = re.compile(rb"%s([0-9a-f]{4})" % self._nonce.encode())

    def payload(self, index: int) -> bytes:
        """What attempt `index` sends. Servers that know agnhost's `echo` command answer it."""
        if self._given is not None:
            return self._given
        mark = f"{self._nonce}{index:04x}".encode()
        return b"echo " + mark if self._protocol == "udp" else mark

    def request(self, record: Record) -> Key | None:
        """A datagram, or an echo request, with our payload."""
        packet = record.datagram
        if packet is None or not self._is_ours(packet, record.headers, request=True):
            return None
        return self._key(record, "")

    def answer(self, record: Record) -> Key | None:
        """An echo reply with our payload. (A UDP reply can say anything: the socket tells.)"""
        packet = record.datagram
        if packet is None or packet.protocol == "udp":
            return None
        return self._key(record, "") if self._is_ours(packet, record.headers, request=False) else None

    def reset(self, _record: Record) -> Key | None:
        """Neither protocol has a refusal of its own."""
        return None

    def quoted(self, record: Record) -> Key | None:
        """The quoted request, by its mark, or by its port where the quote was cut short."""
        return self._key(record, "quoted.", is_payload_known=False)

    def _is_ours(self, packet: Datagram, headers: Headers, *, request: bool) -> bool:
        if packet.protocol == "udp":
            return self._protocol == "udp" and "vxlan.vni" not in headers
        kinds = {("icmp", 8): True, ("icmpv6", 128): True, ("icmp", 0): False, ("icmpv6", 129): False}
        kind = headers.get(f"{packet.protocol}.type")
        return self._protocol == "icmp" and kinds.get((packet.protocol, int(kind or 0))) is request

    def _key(self, record: Record, prefix: str, *, is_payload_known: bool = True) -> Key | None:
        if self._given is None:
            found = self._mark.search(record.frame)
            if found:
                return int(found.group(1), 16)
        elif is_payload_known and self._given[:64] not in record.frame:
            return None
        headers = record.headers
        names = ("udp.sport",) if self._protocol == "udp" else ("icmp.id", "icmpv6.id")
        value = next((headers[prefix + name] for name in names if prefix + name in headers), None)
        if value is None or (self._given is None and is_payload_known):
            return None
        return f"id {value}"


@dataclass
class Evidence:
    """Everything the taps of one probe have shown so far."""

    recogniser: Recogniser
    source: str
    on_arrival: Callable[[str, Key, Datagram], None] = lambda _place, _key, _packet: None
    """Called when a request reaches a place that may answer."""
    on_refusal: Callable[[Key], None] = lambda _key: None
    """Called when an ICMP error reaches the source."""
    sent: dict[Key, Datagram] = field(default_factory=dict)
    arrivals: dict[str, dict[Key, Datagram]] = field(default_factory=lambda: defaultdict(dict))
    answered: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    answers: dict[Key, Datagram] = field(default_factory=dict)
    refusals: dict[Key, Rejection] = field(default_factory=dict)
    _senders: dict[tuple[str, int | None], Key] = field(default_factory=dict)
    unresolved: set[str] = field(default_factory=set)
    """Addresses that the source asked for by ARP or ND and that nobody answered for."""

    def add(self, record: Record) -> None:
        """Take note of one packet."""
        if record.at == self.source and self._at_source(record):
            return
        if record.direction is Direction.IN:
            key = self.recogniser.request(record)
            if key is not None and record.datagram is not None and key not in self.arrivals[record.at]:
                self.arrivals[record.at][key] = record.datagram
                self.on_arrival(record.at, key, record.datagram)
        else:
            key = self.recogniser.answer(record)
            if key is not None:
                self.answered[record.at].add(key)

    def _at_source(self, record: Record) -> bool:
        """Take note of what left and what came back; true when the packet was an answer."""
        self._resolution(record)
        packet = record.datagram
        if packet is None:
            return False
        if record.direction is Direction.OUT:
            key = self.recogniser.request(record)
            if key is not None and key not in self.sent:
                self.sent[key] = packet
                self._senders[packet.source, packet.source_port] = key
            return False
        key = self.recogniser.answer(record)
        if key is None and packet.protocol == "udp":
            key = self._senders.get((packet.destination, packet.destination_port))
        if key is not None:
            self.answers.setdefault(key, packet)
            return True
        self._refusal(record)
        return False

    def _refusal(self, record: Record) -> None:
        refusal = rejection_of(record)
        key = self.recogniser.quoted(record) if refusal and refusal.kind != "tcp-reset" else None
        key = self.recogniser.reset(record) if key is None else key
        if key is not None and refusal is not None:
            self.refusals.setdefault(key, refusal)
            self.on_refusal(key)

    def _resolution(self, record: Record) -> None:
        headers = record.headers
        if headers.get("arp.op") == 1 and record.direction is Direction.OUT:
            self.unresolved.add(str(headers["arp.pdst"]))
        elif headers.get("arp.op") == 2:
            self.unresolved.discard(str(headers["arp.psrc"]))
        elif headers.get("icmpv6.type") == 135 and record.direction is Direction.OUT:
            self.unresolved.add(str(headers.get("nd.target")))
        elif headers.get("icmpv6.type") == 136:
            self.unresolved.discard(str(headers.get("nd.target")))


def rejection_of(record: Record) -> Rejection | None:
    """The refusal that a packet is: a reset or an ICMP error; None for anything else."""
    packet, headers = record.datagram, record.headers
    if packet is None:
        return None
    if "R" in _flags(headers):
        return Rejection("tcp-reset", packet.source, packet.ttl)
    kind, code = headers.get(f"{packet.protocol}.type"), headers.get(f"{packet.protocol}.code")
    if kind not in _ERRORS.get(packet.protocol, ()) or kind is None or code is None:
        return None
    quoted = datagram(headers, "quoted.")
    quote = _quote(quoted) if quoted else None
    name = _NAMES.get((packet.protocol, int(kind), int(code)), f"type {kind} code {code}")
    return Rejection(packet.protocol, packet.source, packet.ttl, int(kind), int(code), name, quote)


def aligned(keys: Iterable[Key], attempts: Iterable[Key]) -> dict[Key, Key]:
    """Which attempt each key stands for: itself where it is one, else the first that is left over.

    Needed where the payload was given and a translation changed the port: the packets are alike then,
    and only their number says anything.
    """
    keys, attempts = list(keys), list(attempts)
    known = {key: key for key in keys if key in attempts}
    spare = [attempt for attempt in attempts if attempt not in known]
    strangers = [key for key in keys if key not in known]
    return known | dict(zip(strangers, spare, strict=False))


def _quote(packet: Datagram) -> Quote:
    return Quote(
        packet.source,
        packet.destination,
        packet.protocol,
        packet.ttl,
        packet.source_port,
        packet.destination_port,
    )


def _flags(headers: Headers) -> str:
    return str(headers.get("tcp.flags", ""))


def _acknowledged(headers: Headers) -> int:
    return (int(headers["tcp.ack"]) - 1) & 0xFFFFFFFF

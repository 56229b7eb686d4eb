"""Frames built with Scapy from packet specifications; runs in the worker only.

Every packet carries a number of its own where translation leaves it alone: the TCP sequence number,
the IPv4 identification, the IPv6 flow label. By it the packet is recognised wherever it arrives.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from socket import AF_INET6
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
    fragment6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit, SCTPChunkInitAck
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw
from scapy.utils6 import in6_getnsma, in6_getnsmac, inet_pton

from emulator.probes.workshop import Origin

Spec = Mapping[str, Any]
Match = dict[str, Any]

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_NOBODY = "00:00:00:00:00:00"
_ALL_NODES, _ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
_TRACEROUTE_PORT = 33434


@dataclass(frozen=True, slots=True)
class Crafted:
    """Frames of one packet, and what an answer to it looks like."""

    frames: tuple[Packet, ...]
    key: Match
    """Header fields by which the packet is recognised wherever it arrives."""
    answers: tuple[Match, ...]
    ttl: int | None = None
    """The rung of a ladder that it is."""


def craft(spec: Spec, origin: Origin, index: int = 0) -> tuple[Crafted, ...]:
    """Build what `spec` asks for; `index` makes copies of it differ. `spec` has been checked."""
    return _BUILDERS[spec["packet"]](spec, origin, _Numbers(index))


class _Numbers:
    """Random but distinct numbers for one packet."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.port = random.randint(32_768, 60_000)
        self.seq = random.getrandbits(32)
        self.ident = random.randint(1, 0xFFFF)
        self.label = random.randint(1, 0xFFFFF)


def _end(spec: Spec, name: str) -> Spec:
    return dict(spec.get(name) or {})


def _address(spec: Spec, origin: Origin) -> tuple[str, str]:
    source, destination = _end(spec, "source"), _end(spec, "destination")
    return source.get("ip", origin.ip), destination.get("ip", origin.destination_ip)


def _ports(spec: Spec, origin: Origin, numbers: _Numbers) -> tuple[int, int]:
    sport = _end(spec, "source").get("port", numbers.port)
    dport = _end(spec, "destination").get("port", origin.destination_port or 9)
    return int(sport), int(dport)


def _ether(spec: Spec, origin: Origin, destination: str | None = None) -> Packet:
    source, towards = _end(spec, "source"), _end(spec, "destination")
    return Ether(
        src=source.get("mac", origin.mac), dst=towards.get("mac", destination or origin.next_hop_mac)
    )


def _ip(spec: Spec, origin: Origin, numbers: _Numbers, ttl: int | None = None) -> Packet:
    source, destination = _address(spec, origin)
    hops, tos = ttl if ttl is not None else spec.get("ttl", 64), spec.get("tos", 0)
    if ":" in destination:
        return IPv6(src=source, dst=destination, hlim=hops, tc=tos, fl=numbers.label)
    flags = "DF" if spec.get("df") else 0
    return IP(src=source, dst=destination, ttl=hops, tos=tos, id=numbers.ident, flags=flags)


def _key(packet: Packet) -> Match:
    if TCP in packet:
        return {"tcp.seq": packet[TCP].seq}
    if SCTP in packet:
        return {"sctp.init": packet[SCTP].payload.init_tag}
    if IPv6 in packet:
        return {"ipv6.fl": packet[IPv6].fl}
    return {"ip.id": packet[IP].id, "ip.proto": packet[IP].proto or _protocol(packet)}


def _protocol(packet: Packet) -> int:
    return int(IP(bytes(packet[IP])).proto)


def _payload(spec: Spec, numbers: _Numbers) -> bytes:
    text: bytes = spec.get("payload", f"mininetes {numbers.seq:08x}").encode()
    size = spec.get("size")
    return text if size is None else text[:size].ljust(size, b".")


def _whole(
    spec: Spec, origin: Origin, packet: Packet, answers: tuple[Match, ...], ttl: int | None = None
) -> Crafted:
    return Crafted((_ether(spec, origin) / packet,), _key(packet), answers, ttl)


def _transport_answers(name: str, sport: int, dport: int) -> tuple[Match, ...]:
    answer = {f"{name}.sport": dport, f"{name}.dport": sport}
    quoted = {f"quoted.{name}.sport": sport}
    return (answer, quoted)


def _tcp(spec: Spec, origin: Origin, numbers: _Numbers, ttl: int | None = None) -> tuple[Crafted, ...]:
    sport, dport = _ports(spec, origin, numbers)
    segment = TCP(
        sport=sport,
        dport=dport,
        flags=spec.get("flags", "S"),
        seq=(spec["seq"] + numbers.index) & 0xFFFFFFFF if "seq" in spec else numbers.seq,
        ack=spec.get("ack", 0),
        window=spec.get("window", 8192),
    )
    data = _payload(spec, numbers) if "payload" in spec or "size" in spec else b""
    packet = (
        _ip(spec, origin, numbers, ttl) / segment / Raw(data)
        if data
        else _ip(spec, origin, numbers, ttl) / segment
    )
    return (_whole(spec, origin, packet, _transport_answers("tcp", sport, dport), ttl),)


def _udp(spec: Spec, origin: Origin, numbers: _Numbers, ttl: int | None = None) -> tuple[Crafted, ...]:
    sport, dport = _ports(spec, origin, numbers)
    packet = _ip(spec, origin, numbers, ttl) / UDP(sport=sport, dport=dport) / Raw(_payload(spec, numbers))
    return (_whole(spec, origin, packet, _transport_answers("udp", sport, dport), ttl),)


def _sctp(spec: Spec, origin: Origin, numbers: _Numbers) -> tuple[Crafted, ...]:
    sport, dport = _ports(spec, origin, numbers)
    kind = SCTPChunkInitAck if spec.get("chunk") == "init-ack" else SCTPChunkInit
    tag = (spec.get("seq", numbers.seq) + numbers.index) & 0xFFFFFFFF or 1
    chunk = kind(init_tag=tag, a_rwnd=65_535, n_out_streams=1, n_in_streams=1, init_tsn=tag)
    packet = _ip(spec, origin, numbers) / SCTP(sport=sport, dport=dport, tag=0) / chunk
    return (_whole(spec, origin, packet, _transport_answers("sctp", sport, dport)),)


def _echo(spec: Spec, origin: Origin, numbers: _Numbers, ttl: int | None = None) -> tuple[Crafted, ...]:
    ident, sequence = spec.get("id", numbers.port), spec.get("seq", 1 + numbers.index)
    head = _ip(spec, origin, numbers, ttl)
    if isinstance(head, IPv6):
        packet = head / ICMPv6EchoRequest(id=ident, seq=sequence, data=_payload(spec, numbers))
        name, reply = "icmpv6", 129
    else:
        packet = head / ICMP(id=ident, seq=sequence) / Raw(_payload(spec, numbers))
        name, reply = "icmp", 0
    answer = {f"{name}.type": reply, f"{name}.id": ident, f"{name}.seq": sequence}
    quoted = {f"quoted.{name}.id": ident, f"quoted.{name}.seq": sequence}
    return (_whole(spec, origin, packet, (answer, quoted), ttl),)


def _icmp_error(spec: Spec, origin: Origin, numbers: _Numbers) -> tuple[Crafted, ...]:
    head = _ip(spec, origin, numbers)
    inner = spec.get("quotes", {"packet": "udp"})
    quoted = craft(inner, origin, numbers.index)[0].frames[0][Ether].payload
    if isinstance(head, IPv6):
        kind, code = spec.get("type", 1), spec.get("code", 0)
        message = {
            2: ICMPv6PacketTooBig(code=code, mtu=spec.get("mtu", 1280)),
            3: ICMPv6TimeExceeded(code=code),
        }.get(kind, ICMPv6DestUnreach(type=kind, code=code))
    else:
        message = ICMP(type=spec.get("type", 3), code=spec.get("code", 1), nexthopmtu=spec.get("mtu", 0))
    return (_whole(spec, origin, head / message / Raw(bytes(quoted)[:128]), ()),)


def _arp(spec: Spec, origin: Origin, operation: int, target: str, target_mac: str, towards: str) -> Packet:
    mac, ip = _end(spec, "source").get("mac", origin.mac), _address(spec, origin)[0]
    arp = ARP(op=operation, hwsrc=mac, psrc=ip, hwdst=target_mac, pdst=target)
    return _ether(spec, origin, towards) / arp


def _arp_request(spec: Spec, origin: Origin, _numbers: _Numbers) -> tuple[Crafted, ...]:
    target = _address(spec, origin)[1]
    frame = _arp(spec, origin, 1, target, _NOBODY, _BROADCAST)
    key = {"arp.op": 1, "arp.psrc": frame[ARP].psrc, "arp.pdst": target}
    return (Crafted((frame,), key, ({"arp.op": 2, "arp.psrc": target},)),)


def _arp_announce(spec: Spec, origin: Origin, _numbers: _Numbers) -> tuple[Crafted, ...]:
    ip = _address(spec, origin)[0]
    frame = _arp(spec, origin, 1, ip, _NOBODY, _BROADCAST)
    return (Crafted((frame,), {"arp.psrc": ip, "arp.pdst": ip, "arp.hwsrc": frame[ARP].hwsrc}, ()),)


def _arp_reply(spec: Spec, origin: Origin, _numbers: _Numbers) -> tuple[Crafted, ...]:
    source, target = _address(spec, origin)
    towards = _end(spec, "destination").get("mac", _BROADCAST)
    frame = _arp(spec, origin, 2, target, towards, _BROADCAST)
    return (Crafted((frame,), {"arp.op": 2, "arp.psrc": source, "arp.hwsrc": frame[ARP].hwsrc}, ()),)


def _solicitation(spec: Spec, origin: Origin, _numbers: _Numbers) -> tuple[Crafted, ...]:
    source, target = _address(spec, origin)
    group = in6_getnsma(inet_pton(AF_INET6, target))
    mac = _end(spec, "source").get("mac", origin.mac)
    frame = (
        _ether(spec, origin, in6_getnsmac(group))
        / IPv6(src=source, dst=_presentation(group), hlim=255)
        / ICMPv6ND_NS(tgt=target)
        / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    )
    key = {"icmpv6.type": 135, "nd.target": target, "ipv6.src": source}
    return (Crafted((frame,), key, ({"icmpv6.type": 136, "nd.target": target},)),)


def _advertisement(spec: Spec, origin: Origin, _numbers: _Numbers) -> tuple[Crafted, ...]:
    source, destination = _address(spec, origin)
    target, mac = spec.get("target", source), _end(spec, "source").get("mac", origin.mac)
    to_all = not _end(spec, "destination")
    frame = (
        _ether(spec, origin, _ALL_NODES_MAC if to_all else None)
        / IPv6(src=source, dst=_ALL_NODES if to_all else destination, hlim=255)
        / ICMPv6ND_NA(tgt=target, R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=mac)
    )
    return (Crafted((frame,), {"icmpv6.type": 136, "nd.target": target, "nd.tll": mac}, ()),)


def _router(spec: Spec, origin: Origin, _numbers: _Numbers) -> tuple[Crafted, ...]:
    mac = _end(spec, "source").get("mac", origin.mac)
    frame = (
        _ether(spec, origin, _ALL_NODES_MAC)
        / IPv6(src=_end(spec, "source").get("ip", _link_local(mac)), dst=_ALL_NODES, hlim=255)
        / ICMPv6ND_RA(routerlifetime=spec.get("lifetime", 1800))
        / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    )
    return (Crafted((frame,), {"icmpv6.type": 134, "nd.sll": mac}, ()),)


def _fragments(spec: Spec, origin: Origin, numbers: _Numbers) -> tuple[Crafted, ...]:
    build = {"udp": _udp, "icmp": _echo}[spec.get("protocol", "udp")]
    whole = build({"size": 4000, **spec}, origin, numbers)[0]
    packet, step = whole.frames[0][Ether].payload, spec.get("fragment", 1400)
    if isinstance(packet, IPv6):
        following = packet.copy()
        rest = following.payload
        following.remove_payload()
        packet = following / IPv6ExtHdrFragment(id=numbers.seq) / rest
        pieces = fragment6(packet, step + 48)
    else:
        pieces = fragment(packet, fragsize=step)
    chosen = [pieces[place] for place in spec.get("order", range(len(pieces))) if place < len(pieces)]
    return (Crafted(tuple(_ether(spec, origin) / piece for piece in chosen), whole.key, whole.answers),)


def _traceroute(spec: Spec, origin: Origin, numbers: _Numbers) -> tuple[Crafted, ...]:
    build = {"udp": _udp, "tcp": _tcp, "icmp": _echo}[spec.get("protocol", "udp")]
    rungs: list[Crafted] = []
    for ttl in range(spec.get("first", 1), spec.get("last", 8) + 1):
        rung = _Numbers(numbers.index + ttl)
        ends = {**spec, "source": {"port": 33_000 + ttl + 256 * numbers.index, **_end(spec, "source")}}
        if origin.destination_port is None:
            ends["destination"] = {"port": _TRACEROUTE_PORT + ttl - 1, **_end(spec, "destination")}
        rungs += build(ends, origin, rung, ttl)
    return tuple(rungs)


def _vxlan(spec: Spec, origin: Origin, numbers: _Numbers) -> tuple[Crafted, ...]:
    inner = craft(spec.get("inner", {"packet": "icmp-echo"}), origin, numbers.index)[0]
    sport = _end(spec, "source").get("port", numbers.port)
    outer = _ip(spec, origin, numbers) / UDP(sport=sport, dport=4789) / VXLAN(vni=spec.get("vni", 1), flags=8)
    return (Crafted((_ether(spec, origin) / outer / inner.frames[0],), inner.key, inner.answers),)


def _oversize(spec: Spec, origin: Origin, numbers: _Numbers) -> tuple[Crafted, ...]:
    headers = 48 if ":" in _address(spec, origin)[1] else 28
    return _echo({**spec, "df": 1, "size": spec.get("size", 1500) - headers}, origin, numbers)


def _presentation(packed: bytes) -> str:
    return str(IPv6Address(packed))


def _link_local(mac: str) -> str:
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return _presentation(b"\xfe\x80" + bytes(6) + identifier)


_BUILDERS: Mapping[str, Callable[..., tuple[Crafted, ...]]] = {
    "tcp": _tcp,
    "udp": _udp,
    "sctp": _sctp,
    "icmp-echo": _echo,
    "icmp-error": _icmp_error,
    "arp-request": _arp_request,
    "arp-announce": _arp_announce,
    "arp-reply": _arp_reply,
    "neighbor-solicitation": _solicitation,
    "neighbor-advertisement": _advertisement,
    "router-advertisement": _router,
    "fragments": _fragments,
    "traceroute": _traceroute,
    "vxlan": _vxlan,
    "oversize": _oversize,
}

"""The crafted packets that a scenario can ask for by name, and the fields of each.

This is the catalogue only, so that a file can be checked without Scapy; `craft` builds the frames.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from emulator.probes.request import RequestError

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_FLAGS = re.compile(r"[FSRPAUECN]*")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a packet specification."""

    kind: str
    """`ip`, `mac`, `int`, `text`, `flags`, `ints`, `end` or `packet`."""
    meaning: str
    least: int = 0
    most: int = 0xFFFFFFFF
    choices: tuple[str, ...] = ()
    """The only texts allowed; empty allows any."""


@dataclass(frozen=True, slots=True)
class PacketKind:
    """One kind of crafted packet."""

    name: str
    summary: str
    fields: Mapping[str, Field]
    example: str
    is_link_local: bool = False
    """Whether it speaks to the link only (ARP, ND), so that no next hop is looked up."""


_ENDS = {
    "source": Field("end", "`ip`, `mac`, `port` to claim; by default the place's own"),
    "destination": Field("end", "`ip`, `mac`, `port`; by default `to`, its port and the next hop's MAC"),
}
_IP = _ENDS | {
    "ttl": Field("int", "TTL or hop limit, 64", 0, 255),
    "tos": Field("int", "type of service or traffic class, 0", 0, 255),
    "df": Field("int", "1: do not fragment (IPv4), 0", 0, 1),
}
_PAYLOAD = {
    "payload": Field("text", "what to carry; by default a mark of its own"),
    "size": Field("int", "bytes of payload, padded or cut to it", 0, 65_000),
}
_TCP = {
    "flags": Field("flags", "of `FSRPAUECN`: `S` (default), `A`, `FA`, `R`, `FPU` (xmas), `` (null)"),
    "seq": Field("int", "sequence number, random"),
    "ack": Field("int", "acknowledgement number, 0"),
    "window": Field("int", "window, 8192", 0, 65_535),
}
_ECHO = {
    "id": Field("int", "identifier, random", 0, 65_535),
    "seq": Field("int", "sequence number, 1", 0, 65_535),
}
_ARP = {"source": _ENDS["source"], "destination": _ENDS["destination"]}

KINDS: Mapping[str, PacketKind] = {
    kind.name: kind
    for kind in (
        PacketKind(
            "tcp", "One TCP segment with any flags", _IP | _TCP | _PAYLOAD, "{packet: tcp, flags: FPU}"
        ),
        PacketKind("udp", "One UDP datagram", _IP | _PAYLOAD, "{packet: udp, source: {ip: 10.244.9.9}}"),
        PacketKind(
            "sctp",
            "One SCTP packet: the INIT chunk that begins an association, or the INIT ACK that answers one",
            _IP
            | {
                "chunk": Field("text", "`init` (default) or `init-ack`", choices=("init", "init-ack")),
                "seq": Field("int", "the chunk's initiate tag, random"),
            },
            "{packet: sctp, source: {port: 40000}}",
        ),
        PacketKind("icmp-echo", "ICMP or ICMPv6 echo request", _IP | _ECHO | _PAYLOAD, "{packet: icmp-echo}"),
        PacketKind(
            "icmp-error",
            "A forged ICMP or ICMPv6 error that quotes a packet never sent",
            _IP
            | {
                "type": Field("int", "type, 3 (ICMPv6: 1)", 0, 255),
                "code": Field("int", "code, 1 (ICMPv6: 0)", 0, 255),
                "mtu": Field("int", "next-hop MTU of a too-big message, 0", 0, 65_535),
                "quotes": Field("packet", "the packet to quote"),
            },
            "{packet: icmp-error, type: 3, code: 4, mtu: 600, quotes: {packet: tcp}}",
        ),
        PacketKind("arp-request", "Who has this address?", _ARP, "{packet: arp-request}", is_link_local=True),
        PacketKind(
            "arp-announce",
            "A gratuitous ARP: this address is mine",
            _ARP,
            "{packet: arp-announce, source: {ip: 10.244.1.1}}",
            is_link_local=True,
        ),
        PacketKind(
            "arp-reply",
            "An unasked ARP reply to one neighbour: this address is at that MAC",
            _ARP,
            "{packet: arp-reply, source: {ip: 10.244.1.1}, destination: {mac: 0a:58:0a:f4:01:03}}",
            is_link_local=True,
        ),
        PacketKind(
            "neighbor-solicitation",
            "ND: who has this IPv6 address?",
            _ENDS,
            "{packet: neighbor-solicitation}",
            is_link_local=True,
        ),
        PacketKind(
            "neighbor-advertisement",
            "ND: this IPv6 address is mine (unasked, override)",
            _ENDS | {"target": Field("ip", "the address claimed; by default the source's")},
            '{packet: neighbor-advertisement, target: "fd00:10:244:1::1"}',
            is_link_local=True,
        ),
        PacketKind(
            "router-advertisement",
            "A rogue router advertises itself",
            _ENDS | {"lifetime": Field("int", "seconds, 1800", 0, 65_535)},
            "{packet: router-advertisement}",
            is_link_local=True,
        ),
        PacketKind(
            "fragments",
            "A datagram in fragments, of IPv4 or IPv6",
            _IP
            | _PAYLOAD
            | {
                "protocol": Field("text", "`udp` (default) or `icmp`", choices=("udp", "icmp")),
                "fragment": Field(
                    "int",
                    "bytes of payload a fragment, 1400 (Open vSwitch drops all under 1200 but the last)",
                    8,
                    65_000,
                ),
                "order": Field("ints", "which fragments to send, in this order; by default all"),
            },
            "{packet: fragments, size: 4000, order: [2, 1, 0]}",
        ),
        PacketKind(
            "traceroute",
            "A ladder of TTLs; every router's answer and the header that it quotes",
            _ENDS
            | {
                "protocol": Field("text", "`udp` (default), `tcp` or `icmp`", choices=("udp", "tcp", "icmp")),
                "first": Field("int", "lowest TTL, 1", 1, 255),
                "last": Field("int", "highest TTL, 8", 1, 255),
            },
            "{packet: traceroute, protocol: tcp, last: 4}",
        ),
        PacketKind(
            "vxlan",
            "A packet in forged VXLAN, as if from another node",
            _IP
            | {
                "vni": Field("int", "network identifier, 1", 0, 0xFFFFFF),
                "inner": Field("packet", "the packet inside, with its own ends"),
            },
            "{packet: vxlan, vni: 1, inner: {packet: icmp-echo, source: {ip: 10.244.1.3}, "
            "destination: {ip: 10.244.2.4, mac: 0a:58:0a:f4:02:04}}}",
        ),
        PacketKind(
            "oversize",
            "An ICMP echo request that must not be fragmented and fills `size` bytes, IP header included",
            _ENDS | {"size": Field("int", "bytes of the IP packet, 1500", 48, 65_000)},
            "{packet: oversize, size: 1451}",
        ),
    )
}


def packet_of(body: Mapping[str, Any], path: str = "packet") -> Mapping[str, Any]:
    """Check a packet specification. Raises RequestError that names the field and the nearest right one."""
    name = body.get("packet")
    kind = KINDS.get(str(name))
    if kind is None:
        raise RequestError(f"{path}: no packet is called {name!r}{_near(str(name), KINDS)}")
    for field_name, value in body.items():
        if field_name == "packet":
            continue
        field = kind.fields.get(field_name)
        if field is None:
            raise RequestError(f"{path}: {name} has no field {field_name!r}{_near(field_name, kind.fields)}")
        _check(field, value, f"{path}.{field_name}")
    return body


def markdown() -> str:
    """The catalogue as a table for the scenario format's documentation."""
    lines = ["| packet | what it sends | fields | example |", "| --- | --- | --- | --- |"]
    for kind in KINDS.values():
        fields = ", ".join(f"`{name}`" for name in kind.fields)
        lines.append(f"| `{kind.name}` | {kind.summary} | {fields} | `{kind.example}` |")
    meanings = dict.fromkeys(
        (name, field.meaning) for kind in KINDS.values() for name, field in kind.fields.items()
    )
    lines += ["", "| field | meaning, and its default |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in meanings]
    return "\n".join(lines) + "\n"


def _check(field: Field, value: Any, path: str) -> None:
    if field.kind == "end":
        _check_end(value, path)
    elif field.kind == "packet":
        if not isinstance(value, Mapping):
            raise RequestError(f"{path}: must be a packet, an object with `packet`")
        packet_of(value, path)
    elif not _is_valid(field, value):
        limits = f" between {field.least} and {field.most}" if field.kind == "int" else ""
        limits += f", one of {', '.join(field.choices)}" if field.choices else ""
        raise RequestError(f"{path}: not {_ARTICLES[field.kind]}{limits}: {value!r}")


_ARTICLES = {
    "ip": "an IP address",
    "mac": "a MAC address",
    "int": "a whole number",
    "ints": "a list of whole numbers",
    "text": "text",
    "flags": "TCP flags of FSRPAUECN",
}
_END = {"ip": Field("ip", ""), "mac": Field("mac", ""), "port": Field("int", "", 0, 65_535)}


def _check_end(value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise RequestError(f"{path}: must be an object with ip, mac or port")
    for name, part in value.items():
        if name not in _END:
            raise RequestError(f"{path}: no field {name!r}{_near(name, _END)}")
        _check(_END[name], part, f"{path}.{name}")


def _is_valid(field: Field, value: Any) -> bool:
    if field.kind == "int":
        return isinstance(value, int) and field.least <= value <= field.most
    if field.kind == "ints":
        return isinstance(value, list) and all(isinstance(item, int) and item >= 0 for item in value)
    if not isinstance(value, str):
        return False
    if field.kind == "mac":
        return _MAC.fullmatch(value.lower()) is not None
    if field.kind == "flags":
        return _FLAGS.fullmatch(value) is not None
    if field.choices:
        return value in field.choices
    return field.kind != "ip" or _is_address(value)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _near(name: str, known: Mapping[str, Any]) -> str:
    found = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {found[0]}?" if found else f"; one of {', '.join(known)}"

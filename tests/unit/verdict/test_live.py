"""Captured packets against a traced one, leg by leg."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address

from emulator.cluster.outcome import Outcome
from emulator.probes.capture import Direction as Side
from emulator.probes.capture import Record
from emulator.verdict.trace.live import compare, drawn
from emulator.verdict.trace.model import Direction, Leg, Trace
from emulator.verdict.trace.packet import Packet

CLIENT, NODE, VIP, POD = "10.244.1.3", "10.244.1.1", "10.96.0.20", "10.244.2.4"
SENT = Packet("tcp", ip_address(CLIENT), ip_address(VIP), 40000, 80)
TRANSLATED = replace(SENT, destination=ip_address(POD), destination_port=8080, ttl=63)
MASQUERADED = replace(TRANSLATED, source=ip_address(NODE), source_port=1024)
OUTER = Packet("udp", ip_address("192.168.50.11"), ip_address("192.168.50.12"), 49152, 4789)
ANSWER = Packet("tcp", ip_address(POD), ip_address(CLIENT), 8080, 40000)
LEGS = (
    Leg("worker-1", "n1", "p1-3", True, SENT),
    Leg("worker-1", "n1", "n1-tun", False, TRANSLATED),
    Leg("worker-2", "n2", "p2-4", True, ANSWER, Direction.REPLY),
)
TRACE = Trace(Outcome.CONNECTED, (), packet=SENT, legs=LEGS)


def tcp(packet: Packet, flags: int) -> bytes:
    """The IP packet."""
    number, other = packet.source_port, packet.destination_port
    segment = struct.pack("!HHIIBBHHH", number, other, 1, 0, 0x50, flags, 100, 0, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, packet.ttl, 6, 0)
    return head + packet.source.packed + packet.destination.packed + segment


def frame(packet: Packet, flags: int = 0x02) -> bytes:
    """On Ethernet."""
    return b"\x02" * 12 + b"\x08\x00" + tcp(packet, flags)


def wrapped(packet: Packet) -> bytes:
    """In VXLAN."""
    inner = struct.pack("!B3xI", 8, 1 << 8) + frame(packet)
    datagram = struct.pack("!HHHH", 49152, 4789, 8 + len(inner), 0) + inner
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0)
    return b"\x02" * 12 + b"\x08\x00" + head + OUTER.source.packed + OUTER.destination.packed + datagram


def record(interface: str, side: Side, content: bytes, time: int = 0) -> Record:
    return Record(interface, interface, side, time, content)


SEEN = (
    record("p1-3", Side.IN, frame(SENT), 1_000),
    record("n1-tun", Side.OUT, frame(TRANSLATED), 3_000),
    record("p2-4", Side.IN, frame(ANSWER, 0x12), 9_000),
)


def test_each_leg_is_found_with_its_time() -> None:
    found = compare(TRACE, SEEN)
    assert found.agrees
    told = [match.as_json() for match in found.matches]
    assert [(one["packets"], one["microseconds"]) for one in told] == [(1, 0.0), (1, 2.0), (1, 8.0)]
    assert told[1]["seen"] == "10.244.1.3:40000 → 10.244.2.4:8080, ttl 63"


def test_a_leg_that_nothing_came_to() -> None:
    found = compare(TRACE, (SEEN[0], SEEN[2]))
    assert [match.found for match in found.matches] == ["", "nothing came", ""]
    assert not found.agrees


def test_another_packet_than_predicted_is_named() -> None:
    found = compare(TRACE, (SEEN[0], record("n1-tun", Side.OUT, frame(replace(SENT, ttl=63))), SEEN[2]))
    assert found.matches[1].found == "10.244.1.3:40000 → 10.96.0.20:80, ttl 63"
    assert found.unpredicted == ("out of n1-tun: 10.244.1.3:40000 → 10.96.0.20:80, ttl 63",)


def test_a_ttl_counts() -> None:
    found = compare(TRACE, (SEEN[0], record("n1-tun", Side.OUT, frame(replace(TRANSLATED, ttl=62))), SEEN[2]))
    assert found.matches[1].found == "ttl 62, not 63"


def test_a_port_that_nobody_predicted() -> None:
    found = compare(TRACE, (*SEEN, record("n1-up", Side.OUT, frame(SENT))))
    assert found.unpredicted == ("out of n1-up: 10.244.1.3:40000 → 10.96.0.20:80, ttl 64",)
    assert not found.agrees


def test_other_connections_and_later_packets_of_this_one_are_nobodys_hop() -> None:
    other = record("n1-up", Side.OUT, frame(replace(SENT, source_port=40001)))
    later = record("n1-up", Side.OUT, frame(SENT, 0x10))
    assert compare(TRACE, (*SEEN, other, later)) == compare(TRACE, SEEN)


def test_inside_a_tunnel() -> None:
    under_way = Leg("worker-1", "n1", "n1-up", False, TRANSLATED, outer=OUTER)
    trace = replace(TRACE, legs=(LEGS[0], under_way))
    assert compare(trace, (SEEN[0], record("n1-up", Side.OUT, wrapped(TRANSLATED)))).agrees
    bare = compare(trace, (SEEN[0], record("n1-up", Side.OUT, frame(TRANSLATED))))
    assert not bare.agrees


def test_which_port_a_masquerade_takes_is_not_predicted() -> None:
    trace = replace(TRACE, legs=(LEGS[0], replace(LEGS[1], packet=MASQUERADED)))
    real = replace(MASQUERADED, source_port=61234)
    assert compare(trace, (SEEN[0], record("n1-tun", Side.OUT, frame(real)))).agrees
    elsewhere = replace(real, destination_port=8081)
    assert not compare(trace, (SEEN[0], record("n1-tun", Side.OUT, frame(elsewhere)))).agrees


def test_a_datagram_needs_no_answer_but_a_connection_does() -> None:
    assert not compare(TRACE, SEEN[:2]).agrees
    legs = tuple(replace(leg, packet=replace(leg.packet, protocol="udp")) for leg in LEGS[2:])
    silent = compare(replace(TRACE, packet=replace(SENT, protocol="udp"), legs=legs), ())
    assert [(match.found, match.agrees) for match in silent.matches] == [("nothing came", True)]


def test_a_reset_back_to_the_client_is_the_refusal_that_was_traced() -> None:
    reset = record("p1-3", Side.OUT, frame(replace(SENT.with_ends(SENT.ends.turned())), 0x14))
    refused = replace(TRACE, outcome=Outcome.REJECTED, legs=LEGS[:1])
    assert compare(refused, (SEEN[0], reset)).agrees
    assert not compare(replace(refused, outcome=Outcome.DROPPED), (SEEN[0], reset)).agrees


def test_the_port_that_a_masquerade_took_is_learned_from_where_it_left() -> None:
    legs = (LEGS[0], replace(LEGS[1], packet=MASQUERADED), LEGS[2])
    trace = replace(TRACE, legs=legs)
    real = replace(MASQUERADED, source_port=61234)
    left = record("n1-tun", Side.OUT, frame(real))
    key = ("n1", replace(MASQUERADED.ends, source_port=0))
    assert drawn(trace, (SEEN[0], left, SEEN[2])) == {key: 61234}
    assert drawn(trace, (SEEN[0], SEEN[2])) == {}
    assert drawn(TRACE, SEEN) == {}, "nothing is masqueraded there"

"""Outcomes from hand-made evidence: no namespace, no packet."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

from emulator.cluster.outcome import Outcome
from emulator.probes.capture import Direction, Record
from emulator.probes.clients import Attempt, Ending
from emulator.probes.evidence import Evidence, Handshakes, Marks, Recogniser, aligned
from emulator.probes.judge import Judgement, judge
from emulator.probes.observation import Observation
from emulator.probes.request import ProbeRequest, Protocol, Target
from emulator.probes.web import parse_http

from .by_hand import ETHERNET

WEB, VIP, DB0, DB1, NODE = "10.244.1.3", "10.96.0.10", "10.244.2.4", "10.244.3.4", "192.168.50.11"
CANDIDATES = ("shop/db-0", "shop/db-1")
SYN, SYN_ACK, RST_ACK = 0x02, 0x12, 0x14


def packet(protocol: int, source: str, destination: str, body: bytes, ttl: int = 64) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 7, 0, ttl, protocol, 0)
    return head + IPv4Address(source).packed + IPv4Address(destination).packed + body


def segment(sport: int, dport: int, flags: int, seq: int, ack: int = 0) -> bytes:
    return struct.pack("!HHIIHHHH", sport, dport, seq, ack, 5 << 12 | flags, 64240, 0, 0)


def at(place: str, direction: Direction, ip: bytes) -> Record:
    return Record(place, "eth0", direction, 0, ETHERNET + b"\x08\x00" + ip)


def left(ip: bytes) -> Record:
    return at("shop/web", Direction.OUT, ip)


def came(ip: bytes, place: str = "shop/web") -> Record:
    return at(place, Direction.IN, ip)


def observe(
    attempts: Sequence[Attempt],
    records: Sequence[Record],
    protocol: Protocol = Protocol.TCP,
    recogniser: Recogniser | None = None,
    sockets: set[tuple[str, str, int]] | None = None,
    blind: set[str] | None = None,
) -> Observation:
    port = None if protocol is Protocol.ICMP else 5432
    target = Target("svc/shop/db", (ip_address(VIP),), port, CANDIDATES)
    request = ProbeRequest("shop/web", target, protocol, count=len(attempts))
    evidence = Evidence(recogniser or Handshakes(), "shop/web")
    for record in records:
        evidence.add(record)
    return judge(Judgement(request, VIP, attempts, evidence, blind or set(), {}, sockets or set()))


def handshake(sport: int, seq: int, place: str, address: str, client: str = WEB) -> list[Record]:
    return [
        left(packet(6, WEB, VIP, segment(sport, 5432, SYN, seq))),
        came(packet(6, client, address, segment(sport, 5433, SYN, seq), ttl=62), place),
        at(place, Direction.OUT, packet(6, address, client, segment(5433, sport, SYN_ACK, 900, seq + 1))),
        came(packet(6, VIP, WEB, segment(5432, sport, SYN_ACK, 900, seq + 1))),
    ]


def test_the_endpoint_is_the_place_that_answered_behind_the_translation() -> None:
    attempts = [Attempt(0, Ending.ANSWERED, 40000), Attempt(1, Ending.ANSWERED, 40001)]
    records = handshake(40000, 100, "shop/db-0", DB0) + handshake(40001, 200, "shop/db-1", DB1, client=NODE)
    found = observe(attempts, records)
    assert found.outcome is Outcome.CONNECTED
    assert found.endpoints == {"shop/db-0": 1, "shop/db-1": 1}
    assert found.source_seen == (WEB, NODE)
    first = found.seen[0]
    assert (first.source_port, first.destination, first.destination_port, first.ttl) == (40000, DB0, 5433, 62)
    assert [(answer.source, answer.count) for answer in found.answers] == [(VIP, 2)]


def test_foreign_connections_and_repeated_syns_are_not_counted() -> None:
    records = handshake(40000, 100, "shop/db-0", DB0)
    foreign = came(packet(6, "10.244.9.9", DB0, segment(50000, 5433, SYN, 4711)), "shop/db-0")
    found = observe([Attempt(0, Ending.ANSWERED, 40000)], [*records, foreign, records[1]])
    assert [seen.count for seen in found.seen] == [1]


def test_an_answer_that_nobody_was_seen_to_give_has_an_unknown_endpoint() -> None:
    records = handshake(40000, 100, "shop/db-0", DB0)
    found = observe([Attempt(0, Ending.ANSWERED, 40000)], [records[0], records[3]], blind={"shop/db-0"})
    assert found.endpoints == {"?": 1}
    assert found.notes[0] == "shop/db-0 could not be watched"


def test_an_answer_without_any_capture_is_still_connected_but_says_so() -> None:
    found = observe([Attempt(0, Ending.ANSWERED, 40000)], [])
    assert found.outcome is Outcome.CONNECTED
    assert "did not see them leave" in found.notes[0]


def test_silence_is_dropped_when_the_packet_left_and_an_error_when_it_did_not() -> None:
    attempts = [Attempt(0, Ending.SILENT, 40000), Attempt(1, Ending.SILENT, 40001)]
    found = observe(attempts, [left(packet(6, WEB, VIP, segment(40000, 5432, SYN, 100)))])
    assert found.outcomes == {Outcome.DROPPED: 1, Outcome.ERROR: 1}
    assert found.outcome is Outcome.MIXED
    assert found.errors == {"nothing left shop/web": 1}


def test_a_drop_on_the_way_back_shows_the_arrival() -> None:
    found = observe([Attempt(0, Ending.SILENT, 40000)], handshake(40000, 100, "shop/db-0", DB0)[:3])
    assert found.outcome is Outcome.DROPPED
    assert found.seen[0].at == "shop/db-0"
    assert found.endpoints == {}


def test_an_answer_from_the_wrong_address_is_shown() -> None:
    records = handshake(40000, 100, "shop/db-0", DB0)[:3]
    untranslated = came(packet(6, DB0, WEB, segment(5433, 40000, SYN_ACK, 900, 101)))
    found = observe([Attempt(0, Ending.SILENT, 40000)], [*records, untranslated])
    assert found.outcome is Outcome.DROPPED
    assert found.answers[0].source == DB0


def test_a_reset_is_rejected_with_its_sender() -> None:
    records = [
        left(packet(6, WEB, VIP, segment(40000, 5432, SYN, 100))),
        came(packet(6, VIP, WEB, segment(5432, 40000, RST_ACK, 0, 101), ttl=61)),
    ]
    found = observe([Attempt(0, Ending.REFUSED, 40000)], records)
    assert found.outcome is Outcome.REJECTED
    (rejection,) = found.rejections
    assert (rejection.kind, rejection.source, rejection.ttl) == ("tcp-reset", VIP, 61)


def icmp_error(code: int, quoted: bytes) -> Record:
    return came(packet(1, NODE, WEB, struct.pack("!BBHI", 3, code, 0, 0) + quoted))


def test_an_icmp_error_is_rejected_and_quotes() -> None:
    syn = packet(6, WEB, VIP, segment(40000, 5432, SYN, 100))
    found = observe([Attempt(0, Ending.REFUSED, 40000)], [left(syn), icmp_error(3, syn[:28])])
    body = found.as_json()["rejections"][0]
    assert (body["name"], body["from"], body["type"], body["code"]) == ("port-unreachable", NODE, 3, 3)
    assert body["quotes"]["destination"] == VIP
    assert body["quotes"]["destinationPort"] == 5432


def test_unreachable_without_a_packet_from_the_network_is_an_error() -> None:
    attempt = Attempt(0, Ending.UNREACHABLE, 40000, message="No route to host")
    found = observe([attempt], [])
    assert found.outcome is Outcome.ERROR
    assert found.errors == {"No route to host, said shop/web itself": 1}


def udp(sport: int, dport: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def test_udp_is_connected_by_a_socket_and_dropped_without() -> None:
    marks = Marks(None, "udp")
    records = [
        left(packet(17, WEB, VIP, udp(40000, 5432, marks.payload(0)))),
        came(packet(17, NODE, DB0, udp(61000, 5433, marks.payload(0))), "shop/db-0"),
    ]
    silent = [Attempt(0, Ending.SILENT, 40000)]
    with_socket = observe(silent, records, Protocol.UDP, marks, {("shop/db-0", DB0, 5433)})
    assert with_socket.outcome is Outcome.CONNECTED
    assert with_socket.endpoints == {"shop/db-0": 1}
    assert with_socket.source_seen == (NODE,)
    assert observe(silent, records, Protocol.UDP, marks).outcome is Outcome.DROPPED


def test_udp_with_a_given_payload_is_counted_where_ports_were_translated() -> None:
    marks = Marks(b"query", "udp")
    attempts = [Attempt(index, Ending.SILENT, 40000 + index) for index in range(3)]
    records = [left(packet(17, WEB, VIP, udp(40000 + index, 5432, b"query"))) for index in range(3)]
    records += [
        came(packet(17, NODE, DB0, udp(port, 5433, b"query")), "shop/db-0") for port in (61000, 61001)
    ]
    found = observe(attempts, records, Protocol.UDP, marks, {("shop/db-0", DB0, 5433)})
    assert found.outcomes == {Outcome.CONNECTED: 2, Outcome.DROPPED: 1}


def test_a_udp_reply_is_an_answer_and_no_arrival() -> None:
    marks = Marks(None, "udp")
    records = [
        left(packet(17, WEB, VIP, udp(40000, 5432, marks.payload(0)))),
        came(packet(17, VIP, WEB, udp(5432, 40000, marks.payload(0)))),
    ]
    found = observe([Attempt(0, Ending.ANSWERED, 40000, reply=b"x")], records, Protocol.UDP, marks)
    assert found.seen == ()
    assert found.answers[0].source == VIP


def test_keys_are_aligned_in_order_where_they_are_unknown() -> None:
    assert aligned(["a", "x", "y", "z"], ["b", "a", "c"]) == {"a": "a", "x": "b", "y": "c"}


def test_the_contract() -> None:
    found = observe([Attempt(0, Ending.ANSWERED, 40000, 0.5)], handshake(40000, 100, "shop/db-0", DB0))
    body = found.as_json()
    assert list(body)[:11] == [
        "apiVersion",
        "kind",
        "from",
        "to",
        "port",
        "outcome",
        "outcomes",
        "endpoints",
        "sourceSeen",
        "seen",
        "spec",
    ]
    assert body["port"] == "5432/tcp"
    assert body["seen"] == [
        {
            "at": "shop/db-0",
            "source": WEB,
            "destination": DB0,
            "sourcePort": 40000,
            "destinationPort": 5433,
            "ttl": 62,
            "count": 1,
        }
    ]


def test_http_responses_in_chunks() -> None:
    reply = parse_http(b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert (reply.status, reply.reason, reply.body) == (503, "Busy", "abc")

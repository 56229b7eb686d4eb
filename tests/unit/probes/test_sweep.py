"""A sweep's verdicts, its order, and how it reads packets."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest

from emulator.cluster.outcome import Outcome
from emulator.probes.bpf import SCTP, TCP, UDP
from emulator.probes.glimpse import Sort, arp_request, echo_request, glimpse, sctp_init
from emulator.probes.sightings import Watch
from emulator.probes.swept import (
    Ask,
    End,
    Evidence,
    Relay,
    Transport,
    Verdict,
    has_markers,
    judge,
    spread,
)

HERE, THERE = ip_address("10.244.1.2").packed, ip_address("10.244.2.3").packed


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (Evidence(answered=True, left=True), Outcome.CONNECTED),
        (Evidence(refused=True, left=True), Outcome.REJECTED),
        (Evidence(refused=True, failed="No route to host"), Outcome.REJECTED),
        (Evidence(failed="No route to host"), Outcome.ERROR),
        (Evidence(left=True, arrived=True, served=True), Outcome.CONNECTED),
        (Evidence(left=True, arrived=True, served=False), Outcome.REJECTED),
        (Evidence(left=True, watched=True, over=True), Outcome.DROPPED),
        (Evidence(left=True, watched=True, arrived=True, over=True), Outcome.DROPPED),
        (Evidence(left=True, over=True), Outcome.ERROR),
        (Evidence(left=False, watched=True, over=True), Outcome.ERROR),
        (Evidence(left=False, watched=True, passed=True, over=True), Outcome.ERROR),
    ],
)
def test_only_silence_that_was_listened_to_is_a_drop(evidence: Evidence, outcome: Outcome) -> None:
    verdict = judge(evidence)
    assert verdict is not None
    assert (verdict.outcome, verdict.early) == (outcome, False)


def test_a_drop_is_known_early_when_a_marker_has_overtaken_nothing() -> None:
    known = Evidence(left=True, passed=True, watched=True)
    assert judge(known) == Verdict(Outcome.DROPPED, early=True)


@pytest.mark.parametrize(
    "missing",
    [
        Evidence(left=True, watched=True),
        Evidence(passed=True, watched=True),
        Evidence(left=True, passed=True),
        Evidence(left=True, passed=True, watched=True, arrived=True),
    ],
    ids=["no marker", "not seen to leave", "a blind capture", "arrived, so a full listen queue"],
)
def test_without_any_part_of_the_proof_the_time_is_waited_out(missing: Evidence) -> None:
    assert judge(missing) is None


def test_a_capture_that_has_lost_packets_proves_nothing() -> None:
    here, there = socket.socketpair()
    with here, there:
        watch = Watch(End("x/a", Path("a"), ()), here, proven=True)
        assert watch.sees_all
        watch.lost += 1
        assert not watch.sees_all


def test_markers_need_pods_with_an_ipv4_gateway_and_nodes_of_the_family() -> None:
    relay = Relay("n1", Path("n1"), (ip_address("10.244.1.1"),))
    gateway = ip_address("10.244.1.1")
    pod = End("x/a", Path("a"), (ip_address("10.244.1.2"),), gateway=gateway, relay=relay)
    other = End("x/b", Path("b"), (ip_address("10.244.1.3"),), gateway=gateway, relay=relay)
    node = End("node/n1", Path("n1"), (ip_address("172.18.0.2"),))
    assert has_markers(pod, other, 4)
    assert not has_markers(pod, other, 6)
    assert not has_markers(pod, pod, 4)
    assert not has_markers(pod, node, 4)
    assert not has_markers(node, pod, 4)


def test_neighbours_in_the_order_have_other_ends() -> None:
    places = [f"x/{number}" for number in range(9)]
    asks = [Ask(a, b, Transport.TCP, port) for port in (80, 81) for a in places for b in places]
    order = spread(asks)
    assert sorted(order) == list(range(162))
    first = [asks[number].target for number in order[:18]]
    assert {place: first.count(place) for place in places} == dict.fromkeys(places, 2)


def _ipv4(protocol: int, payload: bytes, source: bytes = HERE, target: bytes = THERE) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return b"\0" * 12 + b"\x08\x00" + head + source + target + payload


def _tcp(flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 80, 7, 0, 0x50, flags, 1000, 0, 0)


def test_an_opening_is_recognised_by_what_translation_leaves_alone() -> None:
    syn = glimpse(_ipv4(TCP, _tcp(0x02)))
    assert syn is not None
    assert (syn.sort, syn.port, syn.remote, syn.token) == (Sort.OPENING, 40000, (THERE, 80), b"\0\0\0\7")
    assert glimpse(_ipv4(TCP, _tcp(0x12))) is None
    datagram = glimpse(_ipv4(UDP, struct.pack("!HHHH", 40000, 53, 24, 0) + b"0123456789abcdef"))
    assert datagram is not None
    assert (datagram.sort, datagram.token) == (Sort.OPENING, b"0123456789abcdef")
    init = glimpse(_ipv4(SCTP, sctp_init(40000, 5060, b"mark")))
    assert init is not None
    assert (init.sort, init.remote, init.token) == (Sort.OPENING, (THERE, 5060), b"mark")


def test_refusals_name_the_probe_that_they_are_about() -> None:
    about = _ipv4(SCTP, sctp_init(40000, 80, b"mark"))[14:42]
    for code, sort in ((2, Sort.DELIVERED), (3, Sort.ICMP_ERROR)):
        seen = glimpse(_ipv4(1, struct.pack("!BBHI", 3, code, 0, 0) + about, THERE, HERE))
        assert seen is not None
        assert (seen.sort, seen.protocol, seen.port, seen.remote) == (sort, SCTP, 40000, (THERE, 80))
    abort = struct.pack("!HH4sI", 80, 40000, b"mark", 0) + struct.pack("!BBH", 6, 0, 4)
    seen = glimpse(_ipv4(SCTP, abort, THERE, HERE))
    assert seen is not None
    assert (seen.sort, seen.port, seen.remote) == (Sort.ABORT, 40000, (THERE, 80))


def test_markers_are_what_they_should_be() -> None:
    asked = glimpse(arp_request(b"\2" * 6, "10.244.1.2", "10.244.1.1"))
    assert asked is not None
    assert (asked.sort, asked.peer) == (Sort.ARP_REQUEST, ip_address("10.244.1.1").packed)
    echo = echo_request(4, 77, 5)
    assert sum(struct.unpack("!4H", echo)) in (0xFFFF, 0x1FFFE)
    seen = glimpse(_ipv4(1, echo))
    assert seen is not None
    assert (seen.sort, seen.token) == (Sort.ECHO, (77, 5))


def test_an_init_carries_crc32c() -> None:
    # The check value of CRC-32C over "123456789" is E3069283 (RFC 3720, B.4 has others).
    from emulator.probes.glimpse import _crc32c

    assert _crc32c(b"123456789") == 0xE3069283


def test_what_is_too_short_is_nothing() -> None:
    assert glimpse(b"") is None
    assert glimpse(_ipv4(TCP, b"\0")) is None
    assert socket.IPPROTO_SCTP == SCTP

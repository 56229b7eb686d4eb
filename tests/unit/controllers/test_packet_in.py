"""ICMP errors, byte by byte, as Scapy reads them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, Ether
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.packet import Packet, Raw

from controllers.packet_in import answer, error_source
from controllers.pipeline.registers import Punt

from .cluster import wiring

PLAN = wiring("three-node")
N1, FABRIC, NAT, INTERNET = (PLAN.bridge(name) for name in ("n1", "fabric", "nat", "internet"))
POD_PORT, UPLINK, HOST, TUNNEL = 102, 1, 2, 3
POD, GATEWAY = "0a:58:0a:f4:01:02", "0a:58:0a:f4:01:01"


def reply(packet: Packet, reason: Punt, in_port: int = POD_PORT) -> Packet | None:
    frame = answer(bytes(Ether(src=POD, dst=GATEWAY) / packet), reason, PLAN, N1, in_port)
    return None if frame is None else Ether(frame)


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [
        (Punt.TIME_EXCEEDED, 11, 0),
        (Punt.PORT_UNREACHABLE, 3, 3),
        (Punt.NET_UNREACHABLE, 3, 0),
        (Punt.HOST_UNREACHABLE, 3, 1),
    ],
)
def test_ipv4_error(reason: Punt, kind: int, code: int) -> None:
    packet = IP(src="10.244.1.2", dst="10.96.0.20", ttl=1) / TCP(sport=40000, dport=80)
    found = reply(packet, reason)
    assert found is not None
    assert (found.src, found.dst) == (GATEWAY, POD)
    assert (found[IP].src, found[IP].dst) == ("10.244.1.1", "10.244.1.2")
    assert (found[ICMP].type, found[ICMP].code) == (kind, code)
    assert bytes(found[ICMP].payload) == bytes(packet)
    assert_checksums_hold(found)


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [
        (Punt.TIME_EXCEEDED, 3, 0),
        (Punt.PORT_UNREACHABLE, 1, 4),
        (Punt.NET_UNREACHABLE, 1, 0),
        (Punt.HOST_UNREACHABLE, 1, 3),
    ],
)
def test_ipv6_error(reason: Punt, kind: int, code: int) -> None:
    packet = (
        IPv6(src="fd00:10:244:1::2", dst="fd00:10:96::20", hlim=1) / UDP(sport=40000, dport=53) / Raw(b"abc")
    )
    found = reply(packet, reason)
    assert found is not None
    assert (found[IPv6].src, found[IPv6].dst) == ("fd00:10:244:1::1", "fd00:10:244:1::2")
    error = found[ICMPv6TimeExceeded if reason is Punt.TIME_EXCEEDED else ICMPv6DestUnreach]
    assert (error.type, error.code) == (kind, code)
    assert bytes(error.payload) == bytes(packet)
    assert_checksums_hold(found)


def assert_checksums_hold(found: Packet) -> None:
    """Scapy computes anew what is deleted; the bytes must not change by it."""
    again = found.copy()
    for layer in (IP, ICMP):
        if layer in again:
            del again[layer].chksum
    for layer in (ICMPv6TimeExceeded, ICMPv6DestUnreach):
        if layer in again:
            del again[layer].cksum
    # What is quoted keeps its own checksums.
    assert bytes(again)[:60] == bytes(found)[:60]


def test_a_long_packet_is_quoted_in_part() -> None:
    four = reply(IP(src="10.244.1.2", dst="10.0.0.1") / UDP() / Raw(bytes(1400)), Punt.TIME_EXCEEDED)
    six = reply(IPv6(src="fd00:10:244:1::2", dst="fd00::1") / UDP() / Raw(bytes(1400)), Punt.TIME_EXCEEDED)
    assert four is not None
    assert six is not None
    assert len(four[IP]) == 576
    assert len(six[IPv6]) == 1280


def test_trailing_bytes_of_the_frame_are_not_quoted() -> None:
    packet = IP(src="10.244.1.2", dst="10.0.0.1") / UDP()
    frame = bytes(Ether(src=POD, dst=GATEWAY) / packet) + bytes(18)
    found = answer(frame, Punt.TIME_EXCEEDED, PLAN, N1, POD_PORT)
    assert found is not None
    assert found.endswith(bytes(packet))


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="10.244.1.2", dst="10.0.0.1") / ICMP(type=3, code=3) / IP() / UDP(),
        IP(src="10.244.1.2", dst="10.0.0.1", frag=10) / Raw(b"later"),
        IP(src="0.0.0.0", dst="10.0.0.1") / UDP(),
        IP(src="10.244.1.2", dst="224.0.0.1") / UDP(),
        IPv6(src="fd00:10:244:1::2", dst="fd00::1") / ICMPv6DestUnreach() / IPv6() / UDP(),
        IPv6(src="fd00:10:244:1::2", dst="ff02::1") / UDP(),
    ],
    ids=["error", "later-fragment", "no-source", "multicast", "error-6", "multicast-6"],
)
def test_no_error_about(packet: Packet) -> None:
    assert reply(packet, Punt.TIME_EXCEEDED) is None


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="10.244.1.2", dst="10.0.0.1") / ICMP(type=8),
        IPv6(src="fd00:10:244:1::2", dst="fd00::1") / ICMPv6EchoRequest(),
    ],
)
def test_an_error_about_a_ping(packet: Packet) -> None:
    assert reply(packet, Punt.TIME_EXCEEDED) is not None


@pytest.mark.parametrize(
    "frame", [b"", bytes(14), bytes(12) + b"\x08\x00" + bytes(5), bytes(12) + b"\x08\x06"]
)
def test_no_error_about_what_is_no_packet(frame: bytes) -> None:
    assert answer(frame, Punt.TIME_EXCEEDED, PLAN, N1, POD_PORT) is None


@pytest.mark.parametrize(
    ("bridge", "in_port", "destination", "source"),
    [
        (N1, POD_PORT, "10.96.0.20", "10.244.1.1"),
        (N1, TUNNEL, "10.244.1.2", "10.244.1.1"),
        (N1, UPLINK, "192.168.50.11", "192.168.50.11"),
        (N1, UPLINK, "10.96.0.20", "192.168.50.11"),
        (N1, HOST, "10.96.0.20", "10.96.0.20"),
        (N1, POD_PORT, "192.168.50.11", "192.168.50.11"),
        (N1, POD_PORT, "fd00::1", "fd00:10:244:1::1"),
        (FABRIC, 1, "198.51.100.80", "192.168.50.1"),
        (FABRIC, 1, "fd00::1", "fd00:192:168:50::1"),
        (NAT, 1, "198.51.100.80", "172.31.255.2"),
        (INTERNET, 2, "192.0.2.1", "198.51.100.1"),
        (INTERNET, 1, "198.51.100.1", "198.51.100.1"),
    ],
)
def test_source_of_an_error(bridge: object, in_port: int, destination: str, source: str) -> None:
    assert str(error_source(PLAN, bridge, in_port, ip_address(destination))) == source  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("in_port", "destination", "source"),
    [
        (UPLINK, "203.0.113.70", "203.0.113.70"),
        (UPLINK, "2001:db8:203:0:113:64:0:9", "2001:db8:203:0:113:64:0:9"),
        (UPLINK, "203.0.113.1", "192.168.50.11"),
        (POD_PORT, "203.0.113.70", "10.244.1.1"),
    ],
)
def test_what_a_balancer_passed_on_is_answered_as_from_its_address(
    in_port: int, destination: str, source: str
) -> None:
    plan = wiring("two-zone-vpc")
    assert str(error_source(plan, plan.bridge("n1"), in_port, ip_address(destination))) == source

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from emulator.probes.listeners import parse, takes
from emulator.probes.packets import KINDS, markdown, packet_of
from emulator.probes.request import (
    HttpGet,
    ProbeRequest,
    Protocol,
    RequestError,
    Sites,
    Target,
    http_get,
    request_of,
)

DUAL = Target("svc/shop/db", (ip_address("10.96.0.10"), ip_address("fd00:10:96::a")), 5432, ("shop/db-0",))


def test_a_target_gives_the_family_asked_for() -> None:
    assert DUAL.address(None).version == 4
    assert DUAL.address(6) == ip_address("fd00:10:96::a")
    with pytest.raises(RequestError, match="has no IPv6 address"):
        Target("ext/old", (ip_address("198.51.100.7"),)).address(6)


def test_a_request_from_json() -> None:
    body = {
        "count": 3,
        "timeout": 2,
        "family": 6,
        "http": "http://shop.example/a?b=1",
        "sourceAddress": "fd00::1",
    }
    request = request_of(body, "shop/web", DUAL, Protocol.TCP)
    assert (request.count, request.timeout, request.family) == (3, 2.0, 6)
    assert request.http == HttpGet("/a?b=1", "shop.example")
    assert request.source_address == ip_address("fd00::1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"count": 0}, "count"),
        ({"count": "x"}, "invalid literal"),
        ({"timeout": -1}, "timeout"),
        ({"family": 5}, "family"),
        ({"sourcePort": 1, "count": 2}, "count must be 1"),
        ({"http": "ftp://x/"}, "only http and https"),
        ({"http": {"url": "x"}}, "url"),
        ({"sourceAddress": "here"}, "here"),
    ],
)
def test_wrong_requests(body: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        request_of(body, "shop/web", DUAL, Protocol.TCP)


def test_a_transport_needs_a_port() -> None:
    with pytest.raises(RequestError, match="needs a port"):
        request_of({}, "shop/web", Target("x", ()), Protocol.UDP)


def test_sctp_goes_in_crafted_packets_only() -> None:
    target = Target("svc/shop/db", (ip_address("10.96.0.10"),), 5060)
    assert ProbeRequest("shop/web", target, Protocol.SCTP, packet={"packet": "sctp"}).protocol == "sctp"
    with pytest.raises(RequestError, match="no socket speaks it"):
        ProbeRequest("shop/web", target, Protocol.SCTP)


def test_http_requests_as_objects() -> None:
    got = http_get({"path": "/x", "method": "post", "body": "b", "headers": {"A": "1"}})
    assert got == HttpGet("/x", "", "POST", {"A": "1"}, b"b")


def test_unknown_places_are_named() -> None:
    with pytest.raises(RequestError, match="no such place: shop/web"):
        Sites({})["shop/web"]


def test_sockets_are_read_from_the_kernel_tables() -> None:
    table = "  sl  local_address rem_address\n   0: 0301F40A:0035 00000000:0000 07 0 0\n"
    assert list(parse(table)) == [(ip_address("10.244.1.3"), 53)]
    table6 = "  sl  local\n   0: 000000FD0000000000000000 01000000:0050 x".replace(" 01000000", "01000000")
    ((address, port),) = parse(table6)
    assert (address, port) == (ip_address("fd00::1"), 80)


@pytest.mark.parametrize(
    ("bound", "wanted", "expected"),
    [
        ("0.0.0.0", "10.0.0.1", True),
        ("0.0.0.0", "fd00::1", False),
        ("::", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("127.0.0.1", "10.0.0.1", False),
        ("10.0.0.1", "10.0.0.1", True),
    ],
)
def test_which_sockets_take_a_datagram(bound: str, wanted: str, expected: bool) -> None:
    assert takes(ip_address(bound), ip_address(wanted)) is expected


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        ({}, "no packet is called None"),
        ({"packet": "tpc"}, "did you mean tcp"),
        ({"packet": "tcp", "flgs": "S"}, "did you mean flags"),
        ({"packet": "tcp", "flags": "X"}, "not TCP flags"),
        ({"packet": "tcp", "ttl": 256}, "between 0 and 255"),
        ({"packet": "tcp", "ttl": "64"}, "not a whole number"),
        ({"packet": "udp", "source": {"ip": "here"}}, "packet.source.ip: not an IP address"),
        ({"packet": "udp", "source": {"mac": "0a:58"}}, "not a MAC"),
        ({"packet": "udp", "source": {"adress": "x"}}, "no field 'adress'"),
        ({"packet": "udp", "source": "x"}, "must be an object"),
        ({"packet": "vxlan", "inner": {"packet": "tcp", "seq": "x"}}, "packet.inner.seq"),
        ({"packet": "vxlan", "inner": 3}, "must be a packet"),
        ({"packet": "fragments", "protocol": "ospf"}, "one of udp, icmp"),
        ({"packet": "fragments", "order": "210"}, "list of whole numbers"),
    ],
)
def test_wrong_packets(packet: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        packet_of(packet)


def test_every_packet_is_documented() -> None:
    table = markdown()
    for name in KINDS:
        assert f"| `{name}` |" in table

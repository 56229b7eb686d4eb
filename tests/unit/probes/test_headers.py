"""The decoder against bytes made by hand; what Scapy builds is compared in test_generators.py."""

from __future__ import annotations

import struct

from emulator.probes.headers import FIELDS, datagram, decode

from .by_hand import CLIENT, ETHERNET, SERVER, SERVER6, frame, ipv4, ipv6, tcp, udp


def test_tcp_over_ipv4() -> None:
    headers = decode(frame(ipv4(6, tcp())))
    assert headers["ip.src"] == "10.244.1.3"
    assert headers["ip.ttl"] == 62
    assert headers["ip.flags"] == "DF"
    assert headers["tcp.flags"] == "S"
    assert headers["tcp.seq"] == 99
    found = datagram(headers)
    assert found is not None
    assert (found.source_port, found.destination_port) == (40000, 5432)


def test_flags_are_spelt_as_scapy_spells_them() -> None:
    assert decode(frame(ipv4(6, tcp(0x12))))["tcp.flags"] == "SA"
    assert decode(frame(ipv4(6, tcp(0x29))))["tcp.flags"] == "FPU"
    assert decode(frame(ipv4(6, tcp(0))))["tcp.flags"] == ""


def test_ethernet_padding_is_not_payload() -> None:
    headers = decode(frame(ipv4(17, udp(b"hi"))) + b"\0" * 20)
    assert headers["payload"] == "hi"
    assert headers["payload.len"] == 2


def test_later_fragments_have_no_ports() -> None:
    headers = decode(frame(ipv4(17, b"x" * 64, fragment=185)))
    assert headers["ip.frag"] == 185
    assert "udp.sport" not in headers
    assert headers["l4"] == "udp"


def test_icmp_error_quotes_the_packet_it_is_about() -> None:
    quoted = ipv4(6, tcp())[:28]  # eight bytes of TCP, as RFC 792 wants at least
    headers = decode(frame(ipv4(1, struct.pack("!BBHI", 3, 3, 0, 0) + quoted)))
    assert (headers["icmp.type"], headers["icmp.code"]) == (3, 3)
    assert headers["quoted.tcp.dport"] == 5432
    assert headers["quoted.tcp.seq"] == 99
    inner = datagram(headers, "quoted.")
    assert inner is not None
    assert inner.destination == "10.244.2.4"


def test_fragmentation_needed_names_the_mtu() -> None:
    headers = decode(frame(ipv4(1, struct.pack("!BBHHH", 3, 4, 0, 0, 1450) + ipv4(17, udp(b"")))))
    assert headers["icmp.mtu"] == 1450


def test_vxlan_shows_the_inner_packet() -> None:
    vxlan = struct.pack("!B3xI", 0x08, 1 << 8) + frame(ipv4(6, tcp()))
    headers = decode(frame(ipv4(17, udp(vxlan, dport=4789))))
    assert headers["vxlan.vni"] == 1
    assert headers["udp.dport"] == 4789
    assert headers["inner.tcp.dport"] == 5432
    assert headers["inner.eth.dst"] == "0a:58:00:00:00:02"


def test_ipv6_extension_headers_are_passed_over() -> None:
    hop_by_hop = bytes([44, 0]) + b"\1\4\0\0\0\0"
    fragment = struct.pack("!BBHI", 17, 0, 1, 0xABCD)
    headers = decode(frame(ipv6(0, hop_by_hop + fragment + udp(b"x")), 0x86DD))
    assert headers["l4"] == "udp"
    assert (headers["ipv6.id"], headers["ipv6.frag"], headers["ipv6.more"]) == (0xABCD, 0, 1)
    assert headers["udp.dport"] == 53


def test_neighbour_advertisement() -> None:
    body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + SERVER6.packed + bytes.fromhex("0201 0a5800000009")
    headers = decode(frame(ipv6(58, body), 0x86DD))
    assert headers["nd.target"] == str(SERVER6)
    assert headers["nd.flags"] == "SO"
    assert headers["nd.tll"] == "0a:58:00:00:00:09"


def test_arp() -> None:
    body = struct.pack(
        "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, ETHERNET[6:], CLIENT.packed, bytes(6), SERVER.packed
    )
    headers = decode(frame(body, 0x0806))
    assert headers["arp.op"] == 1
    assert headers["arp.pdst"] == "10.244.2.4"


def test_a_tunnel_interface_starts_at_ip() -> None:
    assert decode(ipv4(6, tcp()), hardware=0xFFFE)["tcp.dport"] == 5432


def test_every_cut_is_survived() -> None:
    whole = frame(ipv4(1, struct.pack("!BBHI", 3, 3, 0, 0) + ipv4(6, tcp())))
    for size in range(len(whole)):
        assert isinstance(decode(whole[:size]), dict)
    assert decode(whole[:20])["malformed"] == 1


def test_every_field_is_a_known_name() -> None:
    samples = [
        frame(ipv4(6, tcp())),
        frame(ipv4(17, udp(struct.pack("!B3xI", 8, 256) + frame(ipv6(17, udp(b"x")), 0x86DD), dport=4789))),
        frame(ipv4(1, struct.pack("!BBHI", 3, 4, 0, 1450) + ipv4(6, tcp()))),
        frame(ipv6(58, struct.pack("!BBHI", 134, 0, 0, 0x40000708) + bytes(8)), 0x86DD),
        frame(ipv6(58, struct.pack("!BBHHH", 128, 0, 0, 1, 2) + b"mark"), 0x86DD),
    ]
    for sample in samples:
        for name in decode(sample):
            assert name.removeprefix("inner.").removeprefix("quoted.") in FIELDS

"""Every generator, built by Scapy and read back by our own decoder."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from emulator.probes.checks import predicates
from emulator.probes.craft import craft
from emulator.probes.headers import Headers, decode
from emulator.probes.packets import KINDS, packet_of
from emulator.probes.workshop import Origin

V4 = Origin("0a:58:0a:f4:01:03", "10.244.1.3", "0a:58:0a:f4:01:01", "10.244.2.4", 5432)
V6 = Origin("0a:58:0a:f4:01:03", "fd00:10:244:1::3", "0a:58:0a:f4:01:01", "fd00:10:244:2::4", 5432)
origins = pytest.mark.parametrize("origin", [V4, V6], ids=["IPv4", "IPv6"])


def built(origin: Origin, **spec: Any) -> list[Headers]:
    return [decode(bytes(frame)) for one in craft(packet_of(spec), origin) for frame in one.frames]


def version(origin: Origin) -> str:
    return "ipv6" if ":" in origin.ip else "ip"


@origins
def test_tcp(origin: Origin) -> None:
    (headers,) = built(origin, packet="tcp", flags="FPU", seq=5, source={"port": 4000}, ttl=9)
    assert headers["tcp.flags"] == "FPU"
    assert (headers["tcp.sport"], headers["tcp.dport"], headers["tcp.seq"]) == (4000, 5432, 5)
    assert headers[f"{version(origin)}.src"] == origin.ip
    assert headers["eth.dst"] == origin.next_hop_mac
    assert headers.get("ip.ttl", headers.get("ipv6.hlim")) == 9


@origins
def test_sctp(origin: Origin) -> None:
    (headers,) = built(origin, packet="sctp", seq=7, source={"port": 4000})
    assert (headers["l4"], headers["sctp.sport"], headers["sctp.dport"]) == ("sctp", 4000, 5432)
    assert (headers["sctp.chunk"], headers["sctp.init"], headers["sctp.tag"]) == (1, 7, 0)
    (answer,) = built(origin, packet="sctp", chunk="init-ack")
    assert answer["sctp.chunk"] == 2


@origins
def test_sizes(origin: Origin) -> None:
    (datagram,) = built(origin, packet="udp", size=100, payload="abc")
    assert datagram["payload.len"] == 100
    assert str(datagram["payload"]).startswith("abc..")
    (echo,) = built(origin, packet="oversize", size=1451)
    total = int(echo.get("ip.len", 0)) or int(echo["ipv6.plen"]) + 40
    assert total == 1451
    assert echo.get("ip.flags", "DF") == "DF"


@origins
def test_forged_ends(origin: Origin) -> None:
    forged = "10.9.9.9" if origin is V4 else "fd00:9::9"
    (headers,) = built(origin, packet="icmp-echo", source={"ip": forged, "mac": "02:00:00:00:00:01"})
    assert headers[f"{version(origin)}.src"] == forged
    assert headers["eth.src"] == "02:00:00:00:00:01"


@origins
def test_fragments(origin: Origin) -> None:
    pieces = built(origin, packet="fragments", size=1200, fragment=512)
    name = version(origin)
    assert len(pieces) == 3
    assert len({piece[f"{name}.id"] for piece in pieces}) == 1
    assert int(pieces[0][f"{name}.frag"]) == 0
    assert int(pieces[2][f"{name}.frag"]) > int(pieces[1][f"{name}.frag"]) > 0
    (last,) = built(origin, packet="fragments", size=1200, fragment=512, order=[2])
    assert last[f"{name}.frag"] == pieces[2][f"{name}.frag"]


@origins
def test_a_ladder(origin: Origin) -> None:
    rungs = built(origin, packet="traceroute", protocol="tcp", first=2, last=4)
    assert [rung.get("ip.ttl", rung.get("ipv6.hlim")) for rung in rungs] == [2, 3, 4]
    assert len({rung["tcp.sport"] for rung in rungs}) == 3


@origins
def test_forged_errors_quote(origin: Origin) -> None:
    (headers,) = built(origin, packet="icmp-error", quotes={"packet": "tcp", "seq": 77})
    assert headers["quoted.tcp.seq"] == 77


def test_fragmentation_needed() -> None:
    (four,) = built(V4, packet="icmp-error", type=3, code=4, mtu=600)
    (six,) = built(V6, packet="icmp-error", type=2, mtu=1280)
    assert (four["icmp.mtu"], six["icmpv6.mtu"]) == (600, 1280)


def test_vxlan() -> None:
    inner = {"packet": "udp", "source": {"ip": "10.244.7.7"}, "destination": {"mac": "02:00:00:00:00:02"}}
    (headers,) = built(V4, packet="vxlan", vni=5, inner=inner)
    assert headers["vxlan.vni"] == 5
    assert headers["inner.ip.src"] == "10.244.7.7"
    assert headers["inner.eth.dst"] == "02:00:00:00:00:02"


def test_arp() -> None:
    (request,) = built(V4, packet="arp-request")
    assert (request["arp.op"], request["arp.pdst"], request["eth.dst"]) == (
        1,
        "10.244.2.4",
        "ff:ff:ff:ff:ff:ff",
    )
    (announce,) = built(V4, packet="arp-announce", source={"ip": "10.244.1.1"})
    assert announce["arp.psrc"] == announce["arp.pdst"] == "10.244.1.1"
    (reply,) = built(
        V4, packet="arp-reply", source={"ip": "10.244.1.1"}, destination={"mac": "02:00:00:00:00:02"}
    )
    assert (reply["arp.op"], reply["eth.dst"]) == (2, "02:00:00:00:00:02")


def test_neighbour_discovery() -> None:
    (solicitation,) = built(V6, packet="neighbor-solicitation")
    assert solicitation["nd.target"] == V6.destination_ip
    assert solicitation["ipv6.dst"] == "ff02::1:ff00:4"
    assert solicitation["eth.dst"] == "33:33:ff:00:00:04"
    (advertisement,) = built(V6, packet="neighbor-advertisement", target="fd00::1")
    assert (advertisement["nd.target"], advertisement["nd.flags"]) == ("fd00::1", "O")
    (router,) = built(V6, packet="router-advertisement", lifetime=9)
    assert router["ra.lifetime"] == 9
    assert str(router["ipv6.src"]).startswith("fe80::")


@pytest.mark.parametrize("name", KINDS)
def test_the_documented_example_is_recognised_by_its_own_key(name: str) -> None:
    spec = yaml.safe_load(KINDS[name].example)
    origin = V6 if "neighbor" in name or "router" in name else V4
    for one in craft(packet_of(spec), origin):
        key = predicates(one.key)
        for wanted in one.answers:
            predicates(wanted)
        headers = decode(bytes(one.frames[0]))
        found = (
            all(test(headers.get(prefix + field)) for field, test in key.items()) for prefix in ("", "inner.")
        )
        assert any(found), (one.key, headers)


def test_copies_differ() -> None:
    first, second = (craft({"packet": "tcp", "seq": 10}, V4, index)[0] for index in (0, 1))
    assert first.key != second.key

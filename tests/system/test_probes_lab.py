"""Probes between real network namespaces: a client, a router and a server (see probes_lab.py)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UNSHARE = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
SERVER = {4: "10.0.2.2", 6: "fd00:2::2"}
CLIENT = {4: "10.0.1.2", 6: "fd00:1::2"}
ROUTER = {4: "10.0.1.1", 6: "fd00:1::1"}
PROHIBITED = {4: "10.0.7.1", 6: "fd00:7::1"}
BLACK_HOLE = {4: "10.0.9.1", 6: "fd00:9::1"}
FORGED = {4: "10.0.1.99", 6: "fd00:1::99"}

pytestmark = pytest.mark.system
both_families = pytest.mark.parametrize("family", [4, 6])


class Lab:
    """The lab's process; `probe` sends it one request and waits for the answer."""

    def __init__(self) -> None:
        unshare = shutil.which("unshare")
        assert unshare is not None
        self._process = subprocess.Popen(
            [unshare, *UNSHARE, sys.executable, str(ROOT / "tests/system/probes_lab.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def probe(self, to: str | None = None, port: str = "icmp", **body: Any) -> dict[str, Any]:
        request = {"from": "client", "addresses": [to] if to else [], "port": port, **body}
        return self.send(request)

    def send(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


def at_server(lab: Lab, family: int, port: str = "icmp", **body: Any) -> dict[str, Any]:
    return lab.probe(SERVER[family], port, candidates=["server"], **body)


@both_families
def test_tcp_connects_and_the_server_saw_it(lab: Lab, family: int) -> None:
    answer = at_server(lab, family, "8080/tcp")
    assert answer["outcome"] == "connected"
    assert answer["endpoints"] == {"server": 1}
    assert answer["sourceSeen"] == [CLIENT[family]]
    (seen,) = answer["seen"]
    assert (seen["destination"], seen["destinationPort"], seen["ttl"]) == (SERVER[family], 8080, 63)
    assert answer["answers"][0]["source"] == SERVER[family]


@both_families
@pytest.mark.parametrize("port", ["8080/tcp", "9000/udp", "icmp"])
def test_three_hundred_take_less_than_a_second_and_a_half(lab: Lab, family: int, port: str) -> None:
    started = time.monotonic()
    answer = at_server(lab, family, port, count=300)
    assert time.monotonic() - started < 1.5
    assert answer["outcomes"] == {"connected": 300}
    assert answer["endpoints"] == {"server": 300}
    assert [seen["count"] for seen in answer["seen"]] == [300]


@both_families
def test_a_closed_port_resets(lab: Lab, family: int) -> None:
    answer = at_server(lab, family, "81/tcp", count=2)
    assert answer["outcomes"] == {"rejected": 2}
    assert answer["rejections"][0]["kind"] == "tcp-reset"
    assert answer["rejections"][0]["from"] == SERVER[family]
    assert answer["endpoints"] == {}


@both_families
def test_silence_is_dropped_only_after_the_packet_was_seen_to_leave(lab: Lab, family: int) -> None:
    for port in ("80/tcp", "80/udp", "icmp"):
        answer = lab.probe(BLACK_HOLE[family], port, timeout=0.3)
        assert answer["outcomes"] == {"dropped": 1}, port


def test_a_neighbour_that_does_not_exist_is_an_error_and_no_drop(lab: Lab) -> None:
    answer = lab.probe("10.0.1.77", "80/tcp", timeout=0.3)
    assert answer["outcome"] == "error"
    assert "10.0.1.77" in next(iter(answer["errors"]))


def test_no_route_is_an_error(lab: Lab) -> None:
    answer = lab.send({"from": "router", "addresses": ["192.0.2.1"], "port": "80/tcp"})
    assert answer["outcome"] == "error"
    assert "unreachable" in next(iter(answer["errors"]))


def test_a_place_without_namespace_is_an_error(lab: Lab) -> None:
    answer = lab.send({"from": "gone", "addresses": ["10.0.2.2"], "port": "80/tcp", "count": 3})
    assert answer["outcomes"] == {"error": 3}


def test_an_unknown_place_is_refused(lab: Lab) -> None:
    answer = lab.send({"from": "nowhere", "addresses": ["10.0.2.2"], "port": "80/tcp"})
    assert answer["exception"] == "RequestError: no such place: nowhere"


@both_families
@pytest.mark.parametrize("port", ["80/tcp", "80/udp"])
def test_icmp_errors_reject_and_quote_the_packet(lab: Lab, family: int, port: str) -> None:
    answer = lab.probe(PROHIBITED[family], port)
    assert answer["outcome"] == "rejected"
    (rejection,) = answer["rejections"]
    assert rejection["name"] == "admin-prohibited"
    assert rejection["from"] == ROUTER[family]
    assert rejection["quotes"]["destination"] == PROHIBITED[family]
    assert rejection["quotes"]["destinationPort"] == 80


@both_families
@pytest.mark.parametrize("port", ["8080/tcp", "icmp"])
def test_a_ttl_of_one_ends_at_the_router(lab: Lab, family: int, port: str) -> None:
    answer = at_server(lab, family, port, ttl=1)
    assert answer["outcome"] == "rejected"
    assert answer["rejections"][0]["name"] == "time-exceeded"
    assert answer["rejections"][0]["quotes"]["ttl"] == 1
    assert answer["seen"] == []


@both_families
def test_udp_is_connected_without_a_reply_when_a_socket_took_it(lab: Lab, family: int) -> None:
    started = time.monotonic()
    answer = at_server(lab, family, "9001/udp", count=3, timeout=5)
    assert time.monotonic() - started < 2
    assert answer["outcomes"] == {"connected": 3}
    assert answer["endpoints"] == {"server": 3}
    assert "replies" not in answer


@both_families
def test_udp_replies_are_counted_and_shown(lab: Lab, family: int) -> None:
    answer = at_server(lab, family, "9000/udp", count=2, payload="hello")
    assert (answer["replies"], answer["reply"]) == (2, "hello")
    assert answer["answers"][0]["source"] == SERVER[family]


@both_families
def test_a_closed_udp_port_is_rejected(lab: Lab, family: int) -> None:
    answer = at_server(lab, family, "9002/udp")
    assert answer["outcome"] == "rejected"
    assert answer["rejections"][0]["name"] == "port-unreachable"


@both_families
def test_http(lab: Lab, family: int) -> None:
    answer = at_server(lab, family, "8080/tcp", http="http://shop.example/", count=3)
    (response,) = answer["http"]
    assert (response["status"], response["body"], response["count"]) == (200, "Host: shop.example", 3)


@both_families
def test_a_connection_that_stays_open_for_several_requests(lab: Lab, family: int) -> None:
    answer = at_server(lab, family, "8080/tcp", http="/", exchanges=5, interval=0.02, count=2)
    assert answer["outcomes"] == {"connected": 2}
    assert answer["exchanges"] == 10
    assert answer["seen"][0]["count"] == 2


def test_a_connection_that_the_server_ends_early_is_rejected(lab: Lab) -> None:
    answer = at_server(lab, 4, "8080/tcp", http="/once", exchanges=5, interval=0.5)
    assert answer["outcome"] == "rejected"
    assert answer["exchanges"] == 1
    assert answer["notes"] == ["HTTP response 2 did not come (1)"]


def test_a_server_that_keeps_no_connection_open_is_an_error(lab: Lab) -> None:
    answer = at_server(lab, 4, "8080/tcp", http="/old", exchanges=2)
    assert answer["errors"] == {"the server ends its connections after each response": 1}


def test_attempts_can_be_spread_over_time(lab: Lab) -> None:
    started = time.monotonic()
    assert at_server(lab, 4, "8080/tcp", count=10, interval=0.05)["outcomes"] == {"connected": 10}
    assert time.monotonic() - started >= 0.45


def test_an_http_server_that_says_nothing_is_dropped_with_a_note(lab: Lab) -> None:
    answer = at_server(lab, 4, "8080/tcp", http="/silent", timeout=0.3)
    assert answer["outcome"] == "dropped"
    assert answer["notes"] == ["HTTP response 1 did not come (1)"]


@both_families
def test_to_itself(lab: Lab, family: int) -> None:
    for port in ("8080/tcp", "9000/udp", "icmp"):
        answer = lab.probe(CLIENT[family], port, candidates=["client"], count=2)
        assert answer["outcomes"] == {"connected": 2}, port
        assert answer["endpoints"] == {"client": 2}, port


def test_a_candidate_that_cannot_be_watched_leaves_the_endpoint_unknown(lab: Lab) -> None:
    answer = lab.probe(SERVER[4], "8080/tcp", candidates=["gone"])
    assert answer["endpoints"] == {"?": 1}
    assert "gone could not be watched" in answer["notes"]


def test_too_big_with_dont_fragment_fails_at_the_source(lab: Lab) -> None:
    assert at_server(lab, 4, size=1472, dontFragment=True)["outcome"] == "connected"
    answer = at_server(lab, 4, size=1473, dontFragment=True)
    assert answer["errors"] == {"Message too long": 1}


def test_a_fixed_source_port_is_seen(lab: Lab) -> None:
    answer = at_server(lab, 4, "8080/tcp", sourcePort=40123)
    assert answer["seen"][0]["sourcePort"] == 40123


def test_claims_about_captures_hold_or_show_the_closest_packet(lab: Lab) -> None:
    checks = [
        {
            "at": "router-out",
            "match": {"ip.src": "10.0.1.0/24", "tcp.dport": 8080, "ip.ttl": 63},
            "count": ">=1",
        },
        {"at": "router-in", "match": {"tcp.flags": "S", "ip.ttl": 63, "l4": "tcp"}},
        {"at": "router-out", "match": {"l4": "icmp"}, "count": 0},
    ]
    holds, differs, none = at_server(lab, 4, "8080/tcp", checks=checks)["checks"]
    assert holds["ok"]
    assert holds["example"]["headers"]["tcp.dport"] == 8080
    assert not differs["ok"]
    assert differs["differences"] == ["ip.ttl"]
    assert none["ok"]


def test_a_misspelt_header_field_is_refused(lab: Lab) -> None:
    answer = at_server(lab, 4, checks=[{"at": "router-in", "match": {"ip.tll": 3}}])
    assert answer["exception"] == "RequestError: unknown header field 'ip.tll'; did you mean ip.ttl?"


@both_families
@pytest.mark.parametrize(
    ("port", "packet", "outcome", "answer"),
    [
        ("8080/tcp", {"packet": "tcp"}, "connected", {"tcp.flags": "SA", "tcp.sport": 8080}),
        ("8080/tcp", {"packet": "tcp", "flags": "A"}, "rejected", {"tcp.flags": "R"}),
        ("8080/tcp", {"packet": "tcp", "flags": "FA"}, "rejected", {"tcp.flags": "R"}),
        ("81/tcp", {"packet": "tcp"}, "rejected", {"tcp.flags": "RA"}),
        ("81/tcp", {"packet": "tcp", "flags": "FPU"}, "rejected", {"tcp.flags": "RA"}),
        ("81/tcp", {"packet": "tcp", "flags": ""}, "rejected", {"tcp.flags": "RA"}),
        ("9000/udp", {"packet": "udp", "payload": "hi"}, "connected", {"payload": "hi"}),
        ("9002/udp", {"packet": "udp"}, "rejected", {"quoted.udp.dport": 9002}),
        ("icmp", {"packet": "icmp-echo", "id": 7, "seq": 9}, "connected", {"l4": ["icmp", "icmpv6"]}),
        (
            "9000/udp",
            {"packet": "fragments", "size": 1400},
            "connected",
            {"udp.sport": 9000, "payload.len": 1400},
        ),
        ("icmp", {"packet": "fragments", "protocol": "icmp", "order": [2, 0, 1]}, "connected", {}),
        ("icmp", {"packet": "oversize", "size": 1500}, "connected", {}),
        ("icmp", {"packet": "icmp-echo", "ttl": 1}, "rejected", {"l4": ["icmp", "icmpv6"]}),
    ],
)
def test_crafted_packets(
    lab: Lab, family: int, port: str, packet: dict[str, Any], outcome: str, answer: dict[str, Any]
) -> None:
    checks = [{"at": "answers", "match": answer}]
    found = at_server(lab, family, port, packet=packet, checks=checks)
    assert found["outcome"] == outcome
    assert found["checks"][0]["ok"], found["checks"]


@both_families
def test_a_forged_source_is_seen_where_it_arrives(lab: Lab, family: int) -> None:
    packet = {"packet": "udp", "source": {"ip": FORGED[family], "mac": "0a:00:00:00:00:99"}}
    checks = [{"at": "router-in", "match": {"eth.src": "0a:00:00:00:00:99"}}]
    found = at_server(lab, family, "9001/udp", packet=packet, checks=checks, timeout=0.3)
    assert found["sourceSeen"] == [FORGED[family]]
    assert found["checks"][0]["ok"]


@both_families
@pytest.mark.parametrize("protocol", ["udp", "tcp", "icmp"])
def test_a_ladder_of_ttls(lab: Lab, family: int, protocol: str) -> None:
    port = "8080/tcp" if protocol == "tcp" else "icmp"
    found = at_server(lab, family, port, packet={"packet": "traceroute", "protocol": protocol, "last": 3})
    assert found["outcome"] == "connected"
    hops = found["crafted"]["hops"]
    assert [hop["from"] for hop in hops] == [ROUTER[family], SERVER[family], SERVER[family]]
    assert hops[0]["quotes"]["destination"] == SERVER[family]
    assert hops[0]["quotes"]["ttl"] == 1


def test_a_missing_fragment_gets_no_answer(lab: Lab) -> None:
    found = at_server(lab, 4, "9000/udp", packet={"packet": "fragments", "order": [0, 2]}, timeout=0.3)
    assert found["crafted"]["answers"] == []
    assert len(found["crafted"]["arrived"]) == 2


def test_arp_and_nd(lab: Lab) -> None:
    router4 = {"to": ROUTER[4], "candidates": ["router"]}
    router6 = {"to": ROUTER[6], "candidates": ["router"]}
    arp = lab.probe(**router4, packet={"packet": "arp-request"})
    assert arp["outcome"] == "connected"
    assert len(arp["crafted"]["answers"]) == 1
    nd = lab.probe(**router6, packet={"packet": "neighbor-solicitation"})
    assert nd["crafted"]["answers"][0]["headers"]["nd.flags"] == "RSO"
    for packet in ({"packet": "arp-announce"}, {"packet": "arp-reply", "source": {"ip": "10.0.1.9"}}):
        assert lab.probe(**router4, packet=packet, timeout=0.3)["endpoints"] == {"router": 1}
    for packet in ({"packet": "neighbor-advertisement"}, {"packet": "router-advertisement"}):
        assert lab.probe(**router6, packet=packet, timeout=0.3)["endpoints"] == {"router": 1}


def test_nobody_answers_for_an_absent_neighbour(lab: Lab) -> None:
    assert lab.probe("10.0.1.66", packet={"packet": "arp-request"}, timeout=0.3)["outcome"] == "dropped"


def test_forged_vxlan_carries_its_inner_packet(lab: Lab) -> None:
    inner = {"packet": "icmp-echo", "source": {"ip": "10.244.1.1"}, "destination": {"ip": "10.244.1.2"}}
    checks = [
        {"at": "router-out", "match": {"vxlan.vni": 7, "inner.ip.dst": "10.244.1.2", "ip.src": "10.0.1.2"}}
    ]
    found = at_server(
        lab, 4, packet={"packet": "vxlan", "vni": 7, "inner": inner}, checks=checks, timeout=0.3
    )
    assert found["checks"][0]["ok"]
    assert found["endpoints"] == {"server": 1}


def test_a_misspelt_packet_is_refused(lab: Lab) -> None:
    found = at_server(lab, 4, packet={"packet": "tcp", "flag": "S"})
    assert found["exception"] == "RequestError: packet: tcp has no field 'flag'; did you mean flags?"

from __future__ import annotations

from typing import Any

import pytest

from emulator.probes.capture import Direction, Record
from emulator.probes.checks import check_of, run_checks
from emulator.probes.request import RequestError

from .by_hand import frame, ipv4, tcp, udp


def record(
    at: str = "shop/web", direction: Direction = Direction.IN, dport: int = 5432, ttl: int = 62
) -> Record:
    return Record(at, "eth0", direction, 0, frame(ipv4(6, tcp(dport=dport), ttl=ttl)))


def holds(match: dict[str, Any], **claim: Any) -> bool:
    (result,) = run_checks([check_of({"at": "shop/web", "match": match, **claim})], [record()])
    return result.ok


@pytest.mark.parametrize(
    "match",
    [
        {"ip.src": "10.244.1.3"},
        {"ip.src": "10.244.0.0/16"},
        {"ip.src": ["10.0.0.1", "10.244.1.3"]},
        {"tcp.dport": 5432},
        {"tcp.dport": "5432"},
        {"ip.ttl": ">=62"},
        {"ip.ttl": "<63"},
        {"ip.ttl": "!=64"},
        {"tcp.flags": "S"},
        {"vxlan.vni": None},
        {"eth.src": "0A:58:00:00:00:01"},
        {},
    ],
)
def test_matches(match: dict[str, Any]) -> None:
    assert holds(match)
    assert holds(match, count=1)
    assert not holds(match, count=0)


@pytest.mark.parametrize(
    "match",
    [
        {"ip.src": "10.244.1.4"},
        {"ip.src": "10.245.0.0/16"},
        {"ip.src": []},
        {"tcp.dport": 80},
        {"ip.ttl": ">62"},
        {"vxlan.vni": 1},
        {"ip.ttl": None},
        {"inner.ip.src": "10.244.1.3"},
    ],
)
def test_mismatches(match: dict[str, Any]) -> None:
    assert not holds(match)
    assert holds(match, count=0)


def test_direction_and_place_restrict() -> None:
    assert not holds({}, direction="out")
    assert holds({}, direction="in")
    (result,) = run_checks([check_of({"at": "shop/db"})], [record()])
    assert not result.ok


def test_the_closest_packet_explains_a_failure() -> None:
    other = Record("shop/web", "eth0", Direction.IN, 0, frame(ipv4(17, udp(b"x"))))
    check = check_of({"at": "shop/web", "match": {"tcp.dport": 5432, "ip.ttl": 64}})
    (result,) = run_checks([check], [other, record()])
    assert result.differences == ("ip.ttl",)
    assert result.as_json()["closest"]["headers"]["ip.ttl"] == 62


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"match": {}}, "needs `at`"),
        ({"at": "x", "match": {"tcp.dprot": 1}}, "did you mean tcp.dport"),
        ({"at": "x", "match": {"quoted.ip.scr": 1}}, "did you mean ip.src"),
        ({"at": "x", "count": "many"}, "not a count"),
        ({"at": "x", "direction": "up"}, "in or out"),
        ({"at": "x", "mach": {}}, "mach"),
        ({"at": "x", "match": 3}, "object"),
    ],
)
def test_wrong_claims_are_refused(claim: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        check_of(claim)

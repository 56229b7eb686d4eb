from __future__ import annotations

import pytest

from emulator.cluster.places import (
    Place,
    PlaceError,
    PlaceKind,
    Port,
    parse_place,
    parse_port,
    place_of_url,
)

PLACES = [
    ("shop/web", Place(PlaceKind.POD, "web", "shop")),
    ("router/tor", Place(PlaceKind.ROUTER, "tor")),
    ("pod/router/web", Place(PlaceKind.POD, "web", "router")),
    ("web", Place(PlaceKind.POD, "web", "blog")),
    ("pod/web", Place(PlaceKind.POD, "web", "blog")),
    ("pod/svc/web", Place(PlaceKind.POD, "web", "svc")),
    ("deploy/web", Place(PlaceKind.DEPLOYMENT, "web", "blog")),
    ("sts/shop/db", Place(PlaceKind.STATEFUL_SET, "db", "shop")),
    ("ds/kube-system/log", Place(PlaceKind.DAEMON_SET, "log", "kube-system")),
    ("svc/shop/db:5432/tcp", Place(PlaceKind.SERVICE, "db", "shop", Port(5432, "tcp"))),
    ("node/worker-1:30080", Place(PlaceKind.NODE, "worker-1", "", Port(30080, "tcp"))),
    ("ext/client", Place(PlaceKind.EXTERNAL, "client")),
    ("10.96.0.1:53/udp", Place(PlaceKind.ADDRESS, "10.96.0.1", "", Port(53, "udp"))),
    ("fd00::0001", Place(PlaceKind.ADDRESS, "fd00::1")),
    ("[fd00::1]:80/tcp", Place(PlaceKind.ADDRESS, "fd00::1", "", Port(80, "tcp"))),
    ("db.shop.svc.cluster.local", Place(PlaceKind.NAME, "db.shop.svc.cluster.local")),
    ("//db", Place(PlaceKind.NAME, "db")),
    ("//DB.shop:80", Place(PlaceKind.NAME, "db.shop", "", Port(80, "tcp"))),
    ("localhost:8080", Place(PlaceKind.NAME, "localhost", "", Port(8080, "tcp"))),
    ("shop/web.1", Place(PlaceKind.POD, "web.1", "shop")),
    ("svc/shop/db:icmp", Place(PlaceKind.SERVICE, "db", "shop", Port(0, "icmp"))),
]
NO_PLACES = [
    *(
        "",
        "a/b/c",
        "svc/a/b/c",
        "Shop/web",
        "shop/",
        "/web",
        "node/a/b",
        "node/a/",
        "ext/",
        "a_b",
        "svc/a.b/c",
        "//",
        "//a/b",
    ),
    *("web:", "web:0/tcp", "web:80/gre", "web:99999", "[fd00::1", "[fd00::1]80"),
]
CANONICAL = [
    *("shop/web", "pod/svc/web", "svc/shop/db", "deploy/shop/web", "node/n1", "ext/client"),
    *("10.0.0.1", "fd00::1", "a.example"),
]


@pytest.mark.parametrize(("text", "place"), PLACES)
def test_reads_places(text: str, place: Place) -> None:
    assert parse_place(text, namespace="blog") == place


@pytest.mark.parametrize("text", NO_PLACES)
def test_refuses_what_is_no_place(text: str) -> None:
    with pytest.raises(PlaceError):
        parse_place(text)


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical_spelling_reads_back(text: str) -> None:
    place = parse_place(text)
    assert str(place) == text
    assert parse_place(str(place)) == place


def test_ports_read_back() -> None:
    assert [str(parse_port(text)) for text in ("80", "53/UDP", "icmp")] == ["80/tcp", "53/udp", "icmp"]


@pytest.mark.parametrize("text", ["0/tcp", "65536", "80/gre", "http", "80/icmp", "-1", ""])
def test_wrong_ports(text: str) -> None:
    with pytest.raises(PlaceError):
        parse_port(text)


def test_the_host_of_a_url_is_a_place() -> None:
    assert place_of_url("http://db:8080/x") == Place(PlaceKind.NAME, "db")
    assert str(place_of_url("http://db/")) == "//db"
    assert str(place_of_url("http://db.shop/")) == "db.shop"
    assert place_of_url("http://[fd00::1]:80/") == Place(PlaceKind.ADDRESS, "fd00::1")
    assert place_of_url("/hostname") is None
    for wrong in ("http://[fd00", "http://a_b/"):
        with pytest.raises(PlaceError):
            place_of_url(wrong)

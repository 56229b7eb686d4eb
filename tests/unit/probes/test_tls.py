"""Certificates as a probe reports them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from emulator.cluster.ingress.selfsigned import VALID, self_signed
from emulator.probes.observation import HttpReply
from emulator.probes.request import RequestError, http_get
from emulator.probes.tls import examined

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def der(*names: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(self_signed(names, NOW)[0])


@pytest.mark.parametrize(
    ("host", "moment", "faults"),
    [
        ("shop.example", NOW, ("self-signed",)),
        ("a.shop.example", NOW, ("self-signed",)),
        ("other.example", NOW, ("not for other.example", "self-signed")),
        ("shop.example", NOW + VALID + timedelta(days=1), ("expired", "self-signed")),
        ("shop.example", NOW - timedelta(days=1), ("not valid yet", "self-signed")),
    ],
)
def test_what_a_browser_would_say(host: str, moment: datetime, faults: tuple[str, ...]) -> None:
    shown = examined(der("shop.example", "*.shop.example"), host, moment)
    assert shown.faults == faults
    assert shown.as_json() == {
        "names": ["shop.example", "*.shop.example"],
        "issuer": "CN=shop.example",
        "notAfter": "2027-06-01T00:00:00Z",
        "faults": list(faults),
    }


def test_a_url_says_whether_to_speak_tls() -> None:
    assert http_get("https://shop.example/cart?x=1").scheme == "https"
    assert http_get("http://shop.example/").scheme == "http"
    assert http_get("/cart").scheme == "http"
    assert http_get({"scheme": "https", "host": "shop.example"}).scheme == "https"
    with pytest.raises(RequestError, match="only http and https are spoken, not ftp"):
        http_get("ftp://shop.example/")


def test_the_pod_behind_a_proxy_is_in_a_header() -> None:
    assert HttpReply(200, "OK", {"X-Served-By": "shop/web-0"}, "").served_by == "shop/web-0"
    assert HttpReply(200, "OK", {"Server": "nginx"}, "").served_by == ""

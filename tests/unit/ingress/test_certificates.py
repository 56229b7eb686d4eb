"""Certificates from Secrets: which one is shown for which name, and what is said of bad ones."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from emulator.api.objects import JsonObject
from emulator.cluster.ingress.certificates import CertificateError, is_covered, pair_in
from emulator.cluster.ingress.selfsigned import VALID, self_signed
from tests.system.ingress.certificates import weak
from tests.unit.ingress.objects import NOW, IngressLab, ingress, rule

EVERYTHING = rule("shop.example", ("Prefix", "/", "a"))


def secret(name: str, certificate: str, key: str) -> JsonObject:
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name},
        "data": {field: base64.b64encode(text.encode()).decode() for field, text in data.items()},
    }


def tls(*hosts: str, name: str = "cert") -> list[JsonObject]:
    return [{"hosts": list(hosts), "secretName": name}]


def test_a_certificate_is_shown_for_the_hosts_that_the_ingress_names() -> None:
    certificate, key = self_signed(["shop.example", "*.shop.example"], NOW)
    lab = IngressLab(
        secret("cert", certificate, key),
        ingress("x", EVERYTHING, tls=tls("shop.example", "*.shop.example")),
    )
    routed = lab.routed()
    (shown,) = routed.routing.certificates
    assert shown.hosts == ("*.shop.example", "shop.example")
    assert shown.pem.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" in shown.pem
    assert "PRIVATE KEY" not in repr(shown)
    assert routed.problems == ()


def test_without_hosts_those_of_the_certificate() -> None:
    certificate, key = self_signed(["a.example", "b.example"], NOW)
    lab = IngressLab(secret("cert", certificate, key), ingress("x", EVERYTHING, tls=tls()))
    assert lab.routed().routing.certificates[0].hosts == ("a.example", "b.example")


WEAK, WEAK_KEY = weak("shop.example")
STRONG, STRONG_KEY = weak("shop.example", 2048)
GOOD, KEY = self_signed(["shop.example"], NOW)
OTHER_KEY = self_signed(["shop.example"], NOW)[1]


@pytest.mark.parametrize(
    ("certificate", "key", "word"),
    [
        ("", KEY, "it has no tls.crt"),
        (GOOD, "", "it has no tls.key"),
        ("nonsense", KEY, "tls.crt is no certificate in PEM"),
        (GOOD, "nonsense", "tls.key is no private key in PEM"),
        (GOOD, OTHER_KEY, "tls.key does not belong to the certificate"),
        (WEAK, WEAK_KEY, "an RSA key of 1024 bits is too short"),
    ],
)
def test_a_bad_one_is_told_and_the_rest_works(certificate: str, key: str, word: str) -> None:
    with pytest.raises(CertificateError, match=word):
        pair_in(secret("cert", certificate, key))
    lab = IngressLab(
        secret("cert", certificate, key),
        secret("fine", *self_signed(["other.example"], NOW)),
        ingress("x", EVERYTHING, tls=[*tls("shop.example"), *tls("other.example", name="fine")]),
    )
    routed = lab.routed()
    (problem,) = routed.problems
    assert (problem.reason, problem.port) == ("CertificateUnusable", 443)
    assert word in problem.message
    assert [one.hosts for one in routed.routing.certificates] == [("other.example",)]
    assert len(routed.routing.sites) == 1


def test_rsa_in_its_own_format_will_do() -> None:
    assert pair_in(secret("cert", STRONG, STRONG_KEY)).names == ("shop.example",)


def test_what_is_not_base64_is_told() -> None:
    with pytest.raises(CertificateError, match=r"tls\.crt is not base64"):
        pair_in({"data": {"tls.crt": "%%%", "tls.key": "%%%"}})


def test_missing_secrets_other_names_and_old_age_are_told() -> None:
    lab = IngressLab(ingress("x", EVERYTHING, tls=tls("shop.example")))
    assert [one.reason for one in lab.routed().problems] == ["CertificateMissing"]
    lab.apply(secret("cert", *self_signed(["other.example"], NOW)))
    (problem,) = lab.routed().problems
    assert problem.reason == "CertificateMismatch"
    assert 'for other.example, not for "shop.example"' in problem.message
    assert lab.routed().routing.certificates == ()
    old = IngressLab(
        secret("cert", *self_signed(["shop.example"], NOW - VALID - timedelta(days=1))),
        ingress("x", EVERYTHING, tls=tls("shop.example")),
    )
    assert [one.reason for one in old.routed().problems] == ["CertificateExpired"]
    assert len(old.routed().routing.certificates) == 1


def test_two_certificates_for_one_name_the_oldest_ingress_decides() -> None:
    lab = IngressLab(
        secret("one", *self_signed(["shop.example"], NOW)),
        secret("two", *self_signed(["shop.example"], NOW)),
        ingress("a", EVERYTHING, tls=tls("shop.example", name="one")),
        ingress("b", rule("shop.example", ("Prefix", "/b", "b")), tls=tls("shop.example", name="two")),
    )
    routed = lab.routed()
    assert [one.name for one in routed.routing.certificates] == ["default_one"]
    assert [(one.ingress, one.reason) for one in routed.problems] == [("b", "CertificateTaken")]


@pytest.mark.parametrize(
    ("host", "names", "expected"),
    [
        ("shop.example", ("shop.example",), True),
        ("SHOP.example", ("shop.example",), True),
        ("a.shop.example", ("*.shop.example",), True),
        ("a.b.shop.example", ("*.shop.example",), False),
        ("shop.example", ("*.shop.example",), False),
        ("*.shop.example", ("*.shop.example",), True),
        ("*.shop.example", ("shop.example",), False),
    ],
)
def test_which_names_a_certificate_covers(host: str, names: tuple[str, ...], expected: bool) -> None:
    assert is_covered(host, names) == expected


def test_a_secret_may_ask_for_a_certificate_and_keeps_it() -> None:
    asking = secret("cert", "", "")
    asking["metadata"]["annotations"] = {"mininetes.io/self-signed": "shop.example, *.shop.example"}
    lab = IngressLab(asking)
    first = pair_in(lab.get("Secret", "cert"))
    assert first.names == ("shop.example", "*.shop.example")
    lab.store.replace(asking)
    assert pair_in(lab.get("Secret", "cert")) == first
    asking["metadata"]["annotations"]["mininetes.io/self-signed"] = "other.example"
    lab.store.replace(asking)
    assert pair_in(lab.get("Secret", "cert")).names == ("other.example",)


def test_a_secret_that_brings_its_own_is_left_alone() -> None:
    bringing = secret("cert", GOOD, KEY)
    bringing["metadata"]["annotations"] = {"mininetes.io/self-signed": "other.example"}
    assert pair_in(IngressLab(bringing).get("Secret", "cert")).names == ("shop.example",)

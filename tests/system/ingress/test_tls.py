"""HTTPS by server name, with certificates made here; bad ones are told and hurt nobody else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from emulator import Cluster
from emulator.api.objects import JsonObject
from emulator.cluster.ingress.selfsigned import VALID, self_signed
from tests.system.ingress.certificates import weak
from tests.system.ingress.objects import HTTP, HTTPS, asked, ingress, rule, server

NOW = datetime.now(UTC)
SHOP, SHOP_KEY = self_signed(["shop.example"], NOW)
WILD, WILD_KEY = self_signed(["*.wild.example"], NOW)
OTHER, OTHER_KEY = self_signed(["other.example"], NOW)
OLD, OLD_KEY = self_signed(["old.example"], NOW - VALID - timedelta(days=1))

WEAK, WEAK_KEY = weak("weak.bad.example")

BAD = {
    "missing": None,
    "empty": ("", ""),
    "garbled": ("no certificate", SHOP_KEY),
    "mismatched": (SHOP, OTHER_KEY),
    "foreign": (OTHER, OTHER_KEY),
    "weak": (WEAK, WEAK_KEY),
}
"""Secret → what is in it. Each is meant for the host `NAME.bad.example`."""
REASONS = {
    "missing": "CertificateMissing",
    "empty": "CertificateUnusable",
    "garbled": "CertificateUnusable",
    "mismatched": "CertificateUnusable",
    "foreign": "CertificateMismatch",
    "weak": "CertificateUnusable",
}


def secret(name: str, certificate: str, key: str) -> JsonObject:
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "default"},
        "data": {field: base64.b64encode(text.encode()).decode() for field, text in data.items()},
    }


def tls(name: str, *hosts: str) -> JsonObject:
    return {"hosts": list(hosts), "secretName": name}


def client() -> JsonObject:
    """A pod with curl that trusts the shop's certificate and no other."""
    container = {
        "name": "main",
        "image": "curlimages/curl",
        "command": ["sleep", "infinity"],
        "volumeMounts": [{"name": "trusted", "mountPath": "/trusted"}],
    }
    volume = {"name": "trusted", "secret": {"secretName": "shop"}}
    spec = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec}


@pytest.fixture(scope="module")
def secure(cluster: Cluster) -> Cluster:
    applied = cluster.apply(
        [
            secret("shop", SHOP, SHOP_KEY),
            secret("wild", WILD, WILD_KEY),
            secret("old", OLD, OLD_KEY),
            *(secret(name, *pair) for name, pair in BAD.items() if pair is not None),
            client(),
            ingress(
                "secure",
                rule("shop.example", ("Prefix", "/", "one")),
                rule("*.wild.example", ("Prefix", "/", "two")),
                rule("old.example", ("Prefix", "/", "three")),
                tls=[tls("shop", "shop.example"), tls("wild", "*.wild.example"), tls("old", "old.example")],
            ),
            *(
                ingress(
                    f"bad-{name}",
                    rule(f"{name}.bad.example", ("Prefix", "/", "three")),
                    tls=[tls(name, f"{name}.bad.example")],
                )
                for name in BAD
            ),
        ]
    )
    assert applied.ready.ready, applied.ready.missing
    said = "\n".join(applied.ready.remarks)
    for name in BAD:
        assert f"Ingress default/bad-{name}: " in said
    assert "Ingress default/secure: Secret default/old" in said
    assert said.count("Ingress default/secure: ") == 1
    return cluster


def shown(cluster: Cluster, host: str, family: int = 4) -> JsonObject:
    """The certificate that a server shows for a name."""
    _, response = asked(cluster, f"https://{host}/", HTTPS, family=family)
    found: JsonObject = response["certificate"]
    return found


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("host", "names", "service"),
    [("shop.example", ["shop.example"], "one"), ("a.wild.example", ["*.wild.example"], "two")],
)
def test_the_certificate_follows_the_server_name(
    secure: Cluster, host: str, names: list[str], service: str, family: int
) -> None:
    certificate = shown(secure, host, family)
    assert certificate["names"] == names
    assert certificate["faults"] == ["self-signed"]
    assert server(secure, f"https://{host}/", HTTPS, family=family) == service


def test_an_old_certificate_is_shown_and_its_fault_is_reported(secure: Cluster) -> None:
    assert shown(secure, "old.example")["faults"] == ["expired", "self-signed"]


def test_an_unknown_name_gets_the_controllers_own_certificate(secure: Cluster) -> None:
    certificate = shown(secure, "a.b.wild.example")
    assert certificate["names"] == ["ingress.local"]
    assert certificate["faults"] == ["not for a.b.wild.example", "self-signed"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_certificate_is_told_and_its_host_is_served(secure: Cluster, name: str) -> None:
    assert shown(secure, f"{name}.bad.example")["names"] == ["ingress.local"]
    assert server(secure, f"https://{name}.bad.example/", HTTPS) == "three"
    assert server(secure, f"http://{name}.bad.example/") == "three"
    entries = secure.get("Ingress", f"bad-{name}")["status"]["loadBalancer"]["ingress"]
    error = {"port": 443, "protocol": "TCP", "error": f"mininetes.io/{REASONS[name]}"}
    assert entries
    assert all(entry["ports"] == [error] for entry in entries)
    events = [one for one in secure.get("Event") if one["involvedObject"]["name"] == f"bad-{name}"]
    assert [one["reason"] for one in events] == [REASONS[name]]


def test_tls_ends_at_the_proxy_and_the_host_header_decides(secure: Cluster) -> None:
    """The backend hears plain HTTP and is told what the client spoke."""
    _, response = asked(secure, "https://shop.example/", HTTPS)
    seen = {name.lower(): value for name, value in json.loads(response["body"])["headers"].items()}
    assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("https", "443")
    other = {"scheme": "https", "host": "shop.example", "headers": {"Host": "a.wild.example"}}
    report, response = asked(secure, other, HTTPS)  # type: ignore[arg-type]
    assert response["certificate"]["names"] == ["shop.example"]
    assert next(iter(report["servedBy"])).startswith("default/two-")


def test_tls_is_spoken_on_its_port_only(secure: Cluster) -> None:
    report = secure.probe("ext/client", "node/worker-2", HTTP, http="https://shop.example/", timeout=10)
    assert report["outcome"] == "error"


@pytest.mark.parametrize(("host", "status"), [("shop.example", 0), ("a.wild.example", 60)])
def test_curl_verifies_the_certificate(secure: Cluster, host: str, status: int) -> None:
    """Another client's judgement: it trusts the shop's certificate alone."""
    address = secure.get("Service", "controller", "ingress")["spec"]["clusterIP"]
    done = secure.exec(
        "default/client",
        [
            "curl",
            "-sS",
            "--cacert",
            "/trusted/tls.crt",
            "--resolve",
            f"{host}:443:{address}",
            f"https://{host}/",
        ],
    )
    assert done.exit_code == status, done.stderr
    assert ('"pod": "one-' in done.stdout) == (status == 0)


def test_a_new_certificate_is_shown_as_soon_as_the_change_is_in_force(secure: Cluster) -> None:
    certificate, key = self_signed(["other.example"], NOW)
    name, better = "foreign", self_signed(["foreign.bad.example"], NOW)
    applied = secure.apply([secret(name, *better)])
    assert applied.ready.ready
    assert not any(f"bad-{name}:" in remark for remark in applied.ready.remarks)
    assert shown(secure, f"{name}.bad.example")["names"] == ["foreign.bad.example"]
    secure.apply([secret(name, certificate, key)])
    assert shown(secure, f"{name}.bad.example")["names"] == ["ingress.local"]

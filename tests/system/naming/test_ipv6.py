"""A cluster that speaks IPv6 only has its DNS, too: inside, outside, over UDP and TCP."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from emulator import Cluster
from tests.system.hygiene import assert_clean
from tests.system.naming.conftest import CLIENT
from tests.system.naming.dig import dig
from tests.system.naming.objects import NAMESPACE, external_name, headless, pod, server, service

pytestmark = pytest.mark.system

SVC = f"{NAMESPACE}.svc.cluster.local."


@pytest.fixture(scope="module")
def six() -> Iterator[Cluster]:
    running = Cluster.up("three-node-ipv6", name=f"dns-ipv6-{os.getpid()}")
    try:
        applied = running.apply(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
                pod("client", nodeName="worker-1"),
                server("web-a", app="web", hostname="first", subdomain="sites", nodeName="worker-2"),
                service("web", "web", clusterIP="fd00:10:96::50"),
                headless("sites", "web"),
                external_name("out", "server.example.com"),
            ]
        )
        assert applied.ready.ready, applied.ready.missing
        yield running
        assert_clean(running)
    finally:
        running.down()


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_names_of_every_kind(six: Cluster, transport: str) -> None:
    own = six.get("Pod", "web-a", NAMESPACE)["status"]["podIP"]
    questions = {
        (f"web.{SVC}", "AAAA"): ["AAAA fd00:10:96::50"],
        (f"web.{SVC}", "A"): [],
        (f"first.sites.{SVC}", "AAAA"): [f"AAAA {own}"],
        (f"_http._tcp.sites.{SVC}", "SRV"): [f"SRV 0 100 8080 first.sites.{SVC}"],
        ("-x", "fd00:10:96::50"): [f"PTR web.{SVC}"],
        (f"out.{SVC}", "AAAA"): ["AAAA 2001:db8:198:51:100::80", "CNAME server.example.com."],
        ("cluster.local.", "NS"): ["NS kube-dns.kube-system.svc.cluster.local."],
    }
    found = dig(six, CLIENT, list(questions), transport)
    assert [dug.answer for dug in found] == list(questions.values())


def test_programs_and_probes_find_names(six: Cluster) -> None:
    assert "nameserver fd00:10:96::a\n" in six.exec(CLIENT, ["cat", "/etc/resolv.conf"]).stdout
    assert six.exec(CLIENT, ["curl", "--silent", "http://web/hostname"]).stdout == "first"
    inside = six.probe(CLIENT, "//web", "80/tcp")
    assert (inside["outcome"], inside["address"]) == ("connected", "fd00:10:96::50")
    outside = six.probe(CLIENT, "www.example.com", "80/tcp")
    own = six.get("Pod", "client", NAMESPACE)["status"]["podIP"]
    assert (outside["outcome"], outside["sourceSeen"]) == ("connected", [own])

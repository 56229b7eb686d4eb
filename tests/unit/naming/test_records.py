"""Every row of the DNS rules, as a question to hand-made objects."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from emulator.api.objects import JsonObject
from emulator.cluster.dns.internet import InternetNames, internet_answer
from emulator.cluster.dns.model import PodMode, Question, Rcode, Record
from emulator.cluster.dns.records import dashed, reverse_name
from emulator.cluster.wiring import ExternalHost
from tests.unit.naming.cluster import KUBEADM, SOA, ask, cluster, endpoint, said, service, slice_of

WEB = service("web", "10.96.0.20")
DUAL = service("dual", "10.96.0.21", "fd00:10:96::21", ports=(("http", 80), ("", 81)))
HEADLESS = service("db")
DB = slice_of(
    "db",
    endpoint("10.244.1.5", hostname="db-0", pod="db-0", ready=True),
    endpoint("10.244.2.5", pod="db-1"),
    endpoint("10.244.3.5", hostname="db-2", ready=False, serving=False),
)
DB6 = slice_of("db", endpoint("fd00:10:244:1::5", hostname="db-0", ready=True))
EXTERNAL = service("out", type="ExternalName", externalName="Server.Example.com", ports=(), clusterIP=None)
INSIDE = service("inside", type="ExternalName", externalName="web.shop.svc.cluster.local", clusterIP=None)
LOOP = service("loop", type="ExternalName", externalName="loop.shop.svc.cluster.local", clusterIP=None)
POD: JsonObject = {
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "shop"},
    "status": {"podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00:10:244:1::5"}]},
}
KUBE_DNS: JsonObject = {
    "kind": "Service",
    "metadata": {"name": "kube-dns", "namespace": "kube-system"},
    "spec": {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ports": [{"name": "dns", "port": 53}]},
}
VIEW = cluster(WEB, DUAL, HEADLESS, DB, DB6, EXTERNAL, INSIDE, LOOP, POD, KUBE_DNS)
ZONE = "cluster.local."

ANSWERED = [
    ("dns-version.ZONE", "TXT", ['TXT "1.1.0"']),
    ("web.shop.svc.ZONE", "A", ["A 10.96.0.20"]),
    ("dual.shop.svc.ZONE", "A", ["A 10.96.0.21"]),
    ("dual.shop.svc.ZONE", "AAAA", ["AAAA fd00:10:96::21"]),
    ("_http._tcp.web.shop.svc.ZONE", "SRV", ["SRV 0 100 80 web.shop.svc.cluster.local."]),
    ("_http._tcp.dual.shop.svc.ZONE", "SRV", ["SRV 0 50 80 dual.shop.svc.cluster.local."]),
    ("web.shop.svc.ZONE", "SRV", ["SRV 0 100 80 web.shop.svc.cluster.local."]),
    (
        "dual.shop.svc.ZONE",
        "SRV",
        ["SRV 0 25 80 dual.shop.svc.cluster.local.", "SRV 0 25 81 dual.shop.svc.cluster.local."],
    ),
    ("20.0.96.10.in-addr.arpa.", "PTR", ["PTR web.shop.svc.cluster.local."]),
    (reverse_name(ip_address("fd00:10:96::21")), "PTR", ["PTR dual.shop.svc.cluster.local."]),
    ("db.shop.svc.ZONE", "A", ["A 10.244.1.5", "A 10.244.2.5"]),
    ("db.shop.svc.ZONE", "AAAA", ["AAAA fd00:10:244:1::5"]),
    ("db-0.db.shop.svc.ZONE", "A", ["A 10.244.1.5"]),
    ("db-0.db.shop.svc.ZONE", "AAAA", ["AAAA fd00:10:244:1::5"]),
    ("10-244-2-5.db.shop.svc.ZONE", "A", ["A 10.244.2.5"]),
    (
        "_http._tcp.db.shop.svc.ZONE",
        "SRV",
        [
            "SRV 0 33 8080 db-0.db.shop.svc.cluster.local.",
            "SRV 0 33 8080 10-244-2-5.db.shop.svc.cluster.local.",
        ],
    ),
    ("5.1.244.10.in-addr.arpa.", "PTR", ["PTR db-0.db.shop.svc.cluster.local."]),
    ("5.2.244.10.in-addr.arpa.", "PTR", ["PTR 10-244-2-5.db.shop.svc.cluster.local."]),
    ("out.shop.svc.ZONE", "CNAME", ["CNAME server.example.com."]),
    ("out.shop.svc.ZONE", "A", ["CNAME server.example.com."]),
    ("inside.shop.svc.ZONE", "A", ["CNAME web.shop.svc.cluster.local.", "A 10.96.0.20"]),
    ("10-1-2-3.shop.pod.ZONE", "A", ["A 10.1.2.3"]),
    ("fd00--5.shop.pod.ZONE", "AAAA", ["AAAA fd00::5"]),
    ("ZONE", "NS", ["NS kube-dns.kube-system.svc.cluster.local."]),
    ("ns.dns.ZONE", "A", ["A 10.96.0.10"]),
    ("ZONE", "SOA", [f"SOA {SOA}"]),
]


@pytest.mark.parametrize(("name", "kind", "records"), ANSWERED)
def test_what_is_answered(name: str, kind: str, records: list[str]) -> None:
    found = ask(VIEW, name.replace("ZONE", ZONE), kind)
    assert found.rcode is Rcode.NOERROR
    assert said(found) == records
    assert found.authority == ()


NODATA = [
    ("ZONE", "A"),
    ("svc.ZONE", "A"),
    ("pod.ZONE", "A"),
    ("shop.svc.ZONE", "A"),
    ("shop.pod.ZONE", "A"),
    ("web.shop.svc.ZONE", "AAAA"),
    ("web.shop.svc.ZONE", "TXT"),
    ("web.shop.svc.ZONE", "MX"),
    ("web.shop.svc.ZONE", "HINFO"),
    ("web.shop.svc.ZONE", "CNAME"),
    ("web.shop.svc.ZONE", "NS"),
    ("out.shop.svc.ZONE", "SRV"),
    ("loop.shop.svc.ZONE", "A"),
    ("10-244-1-5.shop.pod.ZONE", "AAAA"),
]
NXDOMAIN = [
    ("nobody.shop.svc.ZONE", "A"),
    ("web.nowhere.svc.ZONE", "A"),
    ("nowhere.svc.ZONE", "A"),
    ("nowhere.pod.ZONE", "A"),
    ("nobody.db.shop.svc.ZONE", "A"),
    ("db-2.db.shop.svc.ZONE", "A"),
    ("web.shop.other.ZONE", "A"),
    ("other.ZONE", "A"),
    ("a.b.c.web.shop.svc.ZONE", "A"),
    ("_none._tcp.web.shop.svc.ZONE", "SRV"),
    ("_http._udp.web.shop.svc.ZONE", "SRV"),
    ("_http._tcp.out.shop.svc.ZONE", "SRV"),
    ("x.out.shop.svc.ZONE", "A"),
    ("not-an-address.shop.pod.ZONE", "A"),
    ("9.9.9.9.in-addr.arpa.", "PTR"),
    ("5.3.244.10.in-addr.arpa.", "PTR"),
    ("nobody.shop.svc.ZONE", "TXT"),
]


@pytest.mark.parametrize(("name", "kind"), NODATA)
def test_names_without_such_a_record(name: str, kind: str) -> None:
    found = ask(VIEW, name.replace("ZONE", ZONE), kind)
    assert (found.rcode, found.records) == (Rcode.NOERROR, ())
    assert found.authority == (Record(ZONE, "SOA", SOA, 30),)


@pytest.mark.parametrize(("name", "kind"), NXDOMAIN)
def test_names_that_do_not_exist(name: str, kind: str) -> None:
    found = ask(VIEW, name.replace("ZONE", ZONE), kind)
    assert (found.rcode, found.records) == (Rcode.NXDOMAIN, ())
    zone = "in-addr.arpa." if name.endswith("arpa.") else ZONE
    assert [(record.name, record.type) for record in found.authority] == [(zone, "SOA")]


def test_headless_without_a_ready_endpoint_does_not_exist() -> None:
    unready = slice_of("db", endpoint("10.244.1.5", hostname="db-0", ready=False))
    assert ask(cluster(HEADLESS, unready), f"db.shop.svc.{ZONE}", "A").rcode is Rcode.NXDOMAIN
    assert ask(cluster(HEADLESS), f"db.shop.svc.{ZONE}", "A").rcode is Rcode.NXDOMAIN


def test_a_cluster_ip_needs_no_endpoint_and_its_endpoints_have_names() -> None:
    assert said(ask(cluster(WEB), f"web.shop.svc.{ZONE}", "A")) == ["A 10.96.0.20"]
    view = cluster(WEB, slice_of("web", endpoint("10.244.1.9")))
    assert said(ask(view, f"10-244-1-9.web.shop.svc.{ZONE}", "A")) == ["A 10.244.1.9"]


def test_a_terminating_endpoint_leaves_at_once() -> None:
    going = endpoint("10.244.1.5", ready=False, serving=True, terminating=True)
    view = cluster(HEADLESS, slice_of("db", going, endpoint("10.244.1.6", ready=True)))
    assert said(ask(view, f"db.shop.svc.{ZONE}", "A")) == ["A 10.244.1.6"]


def test_endpoints_that_share_a_hostname_share_its_name() -> None:
    both = slice_of("db", endpoint("10.244.1.5", hostname="x"), endpoint("10.244.1.6", hostname="x"))
    assert said(ask(cluster(HEADLESS, both), f"x.db.shop.svc.{ZONE}", "A")) == [
        "A 10.244.1.5",
        "A 10.244.1.6",
    ]


def test_headless_without_ports_has_addresses_and_no_srv() -> None:
    view = cluster(service("db", ports=()), slice_of("db", endpoint("10.244.1.5"), ports=()))
    assert said(ask(view, f"db.shop.svc.{ZONE}", "A")) == ["A 10.244.1.5"]
    assert ask(view, f"db.shop.svc.{ZONE}", "SRV").records == ()


def test_every_endpoint_has_an_srv_record_for_every_port() -> None:
    ports = (("http", 8080), ("metrics", 9090))
    ends = [endpoint(f"10.244.1.{number}", hostname=f"db-{number}") for number in (5, 6, 7)]
    view = cluster(service("db", ports=ports), slice_of("db", *ends, ports=ports))
    every = ask(view, f"db.shop.svc.{ZONE}", "SRV")
    assert len(every.records) == 6
    assert {record.data.split()[1] for record in every.records} == {"16"}
    assert [record.data for record in every.additional] == ["10.244.1.5", "10.244.1.6", "10.244.1.7"]
    assert len(ask(view, f"_metrics._tcp.db.shop.svc.{ZONE}", "SRV").records) == 3


def test_unnamed_ports_have_no_name() -> None:
    view = cluster(service("web", "10.96.0.20", ports=(("", 80),)))
    assert ask(view, f"_http._tcp.web.shop.svc.{ZONE}", "SRV").rcode is Rcode.NXDOMAIN
    assert said(ask(view, f"web.shop.svc.{ZONE}", "SRV")) == [f"SRV 0 100 80 web.shop.svc.{ZONE}"]


def test_pod_names_on_request() -> None:
    by_name = replace(KUBEADM, endpoint_pod_names=True)
    assert said(ask(VIEW, f"db-1.db.shop.svc.{ZONE}", "A", by_name)) == ["A 10.244.2.5"]
    assert ask(VIEW, f"db-1.db.shop.svc.{ZONE}", "A").rcode is Rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("mode", "name", "rcode"),
    [
        (PodMode.DISABLED, "10-244-1-5.shop.pod", Rcode.NXDOMAIN),
        (PodMode.DISABLED, "shop.pod", Rcode.NXDOMAIN),
        (PodMode.INSECURE, "10-9-9-9.shop.pod", Rcode.NOERROR),
        (PodMode.INSECURE, "10-9-9-9.nowhere.pod", Rcode.NXDOMAIN),
        (PodMode.VERIFIED, "10-244-1-5.shop.pod", Rcode.NOERROR),
        (PodMode.VERIFIED, "10-9-9-9.shop.pod", Rcode.NXDOMAIN),
        (PodMode.VERIFIED, "10-244-1-5.kube-system.pod", Rcode.NXDOMAIN),
    ],
)
def test_pod_records_by_mode(mode: PodMode, name: str, rcode: Rcode) -> None:
    assert ask(VIEW, f"{name}.{ZONE}", "A", replace(KUBEADM, pods=mode)).rcode is rcode


def test_an_external_name_that_looks_like_an_address_does_not_exist() -> None:
    numbers = service("out", type="ExternalName", externalName="192.0.2.7", clusterIP=None)
    assert ask(cluster(numbers), f"out.shop.svc.{ZONE}", "A").rcode is Rcode.NXDOMAIN


def test_an_external_name_that_leads_nowhere_inside_is_not_told() -> None:
    broken = service("out", type="ExternalName", externalName=f"no.shop.svc.{ZONE}", clusterIP=None)
    assert ask(cluster(broken), f"out.shop.svc.{ZONE}", "A").records == ()


def test_names_outside_are_to_be_asked_for_elsewhere() -> None:
    assert ask(VIEW, f"out.shop.svc.{ZONE}", "A").chase == "server.example.com."


def test_case_does_not_matter_and_is_echoed() -> None:
    found = ask(VIEW, "WeB.Shop.SVC.Cluster.LOCAL.", "A")
    assert found.records == (Record("WeB.Shop.SVC.Cluster.LOCAL.", "A", "10.96.0.20", 30),)


def test_times_to_live() -> None:
    assert ask(VIEW, f"web.shop.svc.{ZONE}", "A").records[0].ttl == 30
    assert ask(VIEW, f"web.shop.svc.{ZONE}", "A", replace(KUBEADM, ttl=5)).records[0].ttl == 5
    assert ask(VIEW, f"dns-version.{ZONE}", "TXT").records[0].ttl == 28800


def test_zones_are_not_given_away() -> None:
    for kind in ("AXFR", "IXFR"):
        assert ask(VIEW, ZONE, kind).rcode is Rcode.REFUSED


def test_name_servers_come_with_their_addresses() -> None:
    glue = Record("kube-dns.kube-system.svc.cluster.local.", "A", "10.96.0.10", 30)
    assert ask(VIEW, ZONE, "NS").additional == (glue,)
    assert said(ask(cluster(), ZONE, "NS")) == [f"NS ns.dns.{ZONE}"]


def test_another_domain() -> None:
    other = replace(KUBEADM, domain="k8s.example.")
    assert said(ask(VIEW, "web.shop.svc.k8s.example.", "A", other)) == ["A 10.96.0.20"]
    assert said(ask(VIEW, "20.0.96.10.in-addr.arpa.", "PTR", other)) == ["PTR web.shop.svc.k8s.example."]


def test_addresses_as_labels() -> None:
    assert dashed(ip_address("10.244.1.5")) == "10-244-1-5"
    assert dashed(ip_address("fd00:10:244:1::5")) == "fd00-10-244-1--5"
    assert dashed(ip_address("fd00::")) == "fd00--0"


def outside(name: str, *addresses: str, names: tuple[str, ...] = ()) -> ExternalHost:
    return ExternalHost(
        name, tuple(ip_interface(f"{address}/24") for address in addresses), "", (), "", names
    )


def test_the_internet_knows_its_hosts() -> None:
    database = outside("db", "198.51.100.9", names=("my.db.example.org",))
    names = InternetNames.of([outside("server", "198.51.100.80", "2001:db8::80"), database])

    def data(name: str, kind: str) -> list[str]:
        return [record.data for record in internet_answer(names, Question(name, kind)).records]

    assert data("Server.example.com.", "A") == ["198.51.100.80"]
    assert data("www.example.com.", "AAAA") == ["2001:db8::80"]
    assert data("example.com.", "A") == ["198.51.100.80"]
    assert data("my.db.example.org.", "A") == data("db.example.com.", "A") == ["198.51.100.9"]
    assert data("9.100.51.198.in-addr.arpa.", "PTR") == ["db.example.com."]
    assert data("80.100.51.198.in-addr.arpa.", "PTR") == ["server.example.com."]
    assert internet_answer(names, Question("no.example.com.", "A")).rcode is Rcode.NXDOMAIN
    assert internet_answer(names, Question("server.example.com.", "MX")).rcode is Rcode.NOERROR
    assert internet_answer(names, Question("example.org.", "A")).authority[0].name == "."

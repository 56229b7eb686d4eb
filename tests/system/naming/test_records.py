"""Every row of the DNS rules as a real query from a pod, over UDP and over TCP."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from emulator import Cluster
from tests.system.naming.conftest import CLIENT
from tests.system.naming.dig import Dug, dig
from tests.system.oracles.addresses import bare, of_family

pytestmark = pytest.mark.system

SVC = "names.svc.cluster.local."
SOA = "cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local."


@dataclass(frozen=True)
class Row:
    """A question and what it is answered; `{...}` in either stands for an address of the cluster."""

    name: str
    type: str
    status: str = "NOERROR"
    answer: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


def yes(name: str, kind: str, *answer: str) -> Row:
    return Row(name, kind, "NOERROR", answer)


def nothing(name: str, kind: str) -> Row:
    """The name is there, but has no such record."""
    return Row(name, kind)


def no(name: str, kind: str = "A") -> Row:
    """There is no such name."""
    return Row(name, kind, "NXDOMAIN")


ROWS = [
    # The schema's version, the zone itself, its name servers.
    yes("dns-version.cluster.local.", "TXT", 'TXT "1.1.0"'),
    yes("cluster.local.", "NS", "NS kube-dns.kube-system.svc.cluster.local."),
    yes("ns.dns.cluster.local.", "A", "A 10.96.0.10"),
    # ClusterIP: addresses by family, also without endpoints.
    yes(f"web.{SVC}", "A", "A 10.96.0.50"),
    nothing(f"web.{SVC}", "AAAA"),
    yes(f"empty.{SVC}", "A", "A 10.96.0.52"),
    yes(f"dual.{SVC}", "A", "A 10.96.0.51"),
    yes(f"dual.{SVC}", "AAAA", "AAAA fd00:10:96::51"),
    # SRV of named ports; of all ports at the service's own name.
    yes(f"_http._tcp.web.{SVC}", "SRV", f"SRV 0 100 80 web.{SVC}"),
    yes(f"_dns._udp.ports.{SVC}", "SRV", f"SRV 0 100 53 ports.{SVC}"),
    yes(f"ports.{SVC}", "SRV", f"SRV 0 50 53 ports.{SVC}", f"SRV 0 50 80 ports.{SVC}"),
    yes(f"_http._tcp.dual.{SVC}", "SRV", f"SRV 0 50 80 dual.{SVC}"),
    yes(f"plain.{SVC}", "SRV", f"SRV 0 100 80 plain.{SVC}"),
    no(f"_http._tcp.plain.{SVC}", "SRV"),
    no(f"_http._udp.web.{SVC}", "SRV"),
    no(f"_other._tcp.web.{SVC}", "SRV"),
    # Headless: every ready endpoint.
    yes(f"sites.{SVC}", "A", "A {named}", "A {unnamed}"),
    yes(f"sites.{SVC}", "AAAA", "AAAA {named6}", "AAAA {unnamed6}"),
    yes(f"twins.{SVC}", "A", "A 192.0.2.1", "A 192.0.2.2"),
    nothing(f"twins.{SVC}", "AAAA"),
    no(f"late.{SVC}"),
    no(f"early.{SVC}"),
    # Hostname and subdomain, StatefulSets, dashed addresses.
    yes(f"front.sites.{SVC}", "A", "A {named}"),
    yes(f"front.sites.{SVC}", "AAAA", "AAAA {named6}"),
    no(f"named.sites.{SVC}"),
    no(f"unnamed.sites.{SVC}"),
    yes("{unnamed-dashed}." + f"sites.{SVC}", "A", "A {unnamed}"),
    yes("{unnamed6-dashed}." + f"sites.{SVC}", "AAAA", "AAAA {unnamed6}"),
    no("{named-dashed}." + f"sites.{SVC}"),
    yes(f"db-0.db.{SVC}", "A", "A {db-0}"),
    yes(f"db-1.db.{SVC}", "AAAA", "AAAA {db-16}"),
    no(f"db-2.db.{SVC}"),
    yes(f"twin.twins.{SVC}", "A", "A 192.0.2.1", "A 192.0.2.2"),
    no(f"sick.twins.{SVC}"),
    yes("{web-a-dashed}." + f"web.{SVC}", "A", "A {web-a}"),
    # SRV of headless Services: endpoints times named ports.
    yes(
        f"_http._tcp.db.{SVC}",
        "SRV",
        f"SRV 0 25 8080 db-0.db.{SVC}",
        f"SRV 0 25 8080 db-1.db.{SVC}",
    ),
    yes(f"_metrics._tcp.twins.{SVC}", "SRV", f"SRV 0 50 9090 twin.twins.{SVC}"),
    yes(
        f"twins.{SVC}",
        "SRV",
        f"SRV 0 16 7000 twin.twins.{SVC}",
        f"SRV 0 16 8080 twin.twins.{SVC}",
        f"SRV 0 16 9090 twin.twins.{SVC}",
    ),
    # Reverse names, of both families.
    yes("{reverse 10.96.0.50}", "PTR", f"PTR web.{SVC}"),
    yes("{reverse fd00:10:96::51}", "PTR", f"PTR dual.{SVC}"),
    yes("{reverse db-0}", "PTR", f"PTR db-0.db.{SVC}"),
    yes("{reverse unnamed6}", "PTR", "PTR {unnamed6-dashed}." + f"sites.{SVC}"),
    yes("{reverse 198.51.100.80}", "PTR", "PTR server.example.com."),
    no("{reverse 10.96.99.99}", "PTR"),
    no("{reverse client}", "PTR"),
    # ExternalName.
    yes(f"out.{SVC}", "CNAME", "CNAME server.example.com."),
    yes(f"out.{SVC}", "A", "A 198.51.100.80", "CNAME server.example.com."),
    yes(f"out.{SVC}", "AAAA", "AAAA 2001:db8:198:51:100::80", "CNAME server.example.com."),
    yes(f"in.{SVC}", "A", "A 10.96.0.50", f"CNAME web.{SVC}"),
    yes(f"gone.{SVC}", "A", "CNAME no-such-host.example.com."),
    nothing(f"out.{SVC}", "SRV"),
    no(f"_http._tcp.out.{SVC}", "SRV"),
    no(f"x.out.{SVC}"),
    no(f"digits.{SVC}"),
    # Pod records in the mode of kubeadm.
    yes("{web-a-dashed}.names.pod.cluster.local.", "A", "A {web-a}"),
    yes("{web-a6-dashed}.names.pod.cluster.local.", "AAAA", "AAAA {web-a6}"),
    yes("10-9-8-7.names.pod.cluster.local.", "A", "A 10.9.8.7"),
    no("10-9-8-7.nowhere.pod.cluster.local."),
    no("web-a.names.pod.cluster.local."),
    # Names that exist without such a record, and names that do not exist.
    nothing("cluster.local.", "A"),
    nothing("svc.cluster.local.", "A"),
    nothing("pod.cluster.local.", "A"),
    nothing(SVC, "A"),
    nothing("names.pod.cluster.local.", "A"),
    nothing(f"web.{SVC}", "TXT"),
    nothing(f"web.{SVC}", "MX"),
    nothing(f"web.{SVC}", "HINFO"),
    no(f"nobody.{SVC}"),
    no("web.nowhere.svc.cluster.local."),
    no(f"nobody.web.{SVC}"),
    no("web.names.other.cluster.local."),
    no(f"a.b.c.web.{SVC}"),
    # Outside of the cluster.
    yes("server.example.com.", "A", "A 198.51.100.80"),
    yes("client.example.com.", "AAAA", "AAAA 2001:db8:198:51:100::7"),
    no("no-such-host.example.com."),
]


@pytest.fixture(scope="module")
def words(names: Cluster) -> dict[str, str]:
    """Addresses of pods by name; with `6` behind it the IPv6 one, with `-dashed` as a label."""
    found = {}
    for name in ("client", "web-a", "named", "unnamed", "db-0", "db-1"):
        addresses = [entry["ip"] for entry in names.get("Pod", name, "names")["status"]["podIPs"]]
        for suffix, family in (("", 4), ("6", 6)):
            address = bare(of_family(addresses, family))
            found[name + suffix] = address
            found[f"{name}{suffix}-dashed"] = address.replace(".", "-").replace(":", "-")
    return found


def filled(text: str, words: dict[str, str]) -> str:
    head, brace, rest = text.partition("{")
    if not brace:
        return text
    word, _, tail = rest.partition("}")
    if word.startswith("reverse "):
        owner = word.removeprefix("reverse ")
        return head + ip_address(words.get(owner, owner)).reverse_pointer + "." + tail
    return head + words[word] + tail


@pytest.fixture(scope="module", params=["udp", "tcp"])
def answers(request: pytest.FixtureRequest, names: Cluster, words: dict[str, str]) -> dict[Row, Dug]:
    """Every row asked, in one go for each transport."""
    options = ("+tcp",) if request.param == "tcp" else ()
    questions = [(filled(row.name, words), row.type) for row in ROWS]
    return dict(zip(ROWS, dig(names, CLIENT, questions, *options), strict=True))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_row(row: Row, answers: dict[Row, Dug], words: dict[str, str]) -> None:
    found = answers[row]
    assert found.status == row.status
    assert found.answer == sorted(filled(record, words) for record in row.answer)
    if ".cluster.local." in row.name or row.name.startswith("cluster.local."):
        assert "aa" in found.flags
        # A negative answer says for how long; a positive one has nothing to say.
        assert [line.startswith(SOA) for line in found.authority] == ([] if row.answer else [True])


def test_times_to_live(answers: dict[Row, Dug]) -> None:
    ttls = {row.name: found.ttls for row, found in answers.items() if row.answer}
    assert ttls.pop("dns-version.cluster.local.") == {28800}
    inside = {
        name: found for name, found in ttls.items() if name.endswith(SVC) and not name.startswith("out")
    }
    assert set.union(*inside.values()) == {30}


def test_targets_come_with_their_addresses(answers: dict[Row, Dug], words: dict[str, str]) -> None:
    by_name = {row.name: found for row, found in answers.items() if row.type in ("SRV", "NS")}
    assert by_name[f"_http._tcp.web.{SVC}"].additional == ["A 10.96.0.50"]
    assert f"A {words['db-0']}" in by_name[f"_http._tcp.db.{SVC}"].additional
    assert f"AAAA {words['db-06']}" in by_name[f"_http._tcp.db.{SVC}"].additional
    assert by_name["cluster.local."].additional == ["A 10.96.0.10", "AAAA fd00:10:96::a"]


def test_case_is_echoed(names: Cluster) -> None:
    (found,) = dig(names, CLIENT, [("WeB.nAMES.Svc.Cluster.Local.", "A")])
    assert found.owners == {"WeB.nAMES.Svc.Cluster.Local."}
    assert found.answer == ["A 10.96.0.50"]


def test_zones_are_not_given_away(names: Cluster) -> None:
    """`dig` itself asks for a transfer over TCP only, and prints no header."""
    said = names.exec(CLIENT, ["dig", "+noall", "+comments", "cluster.local", "AXFR"]).stdout
    assert "Transfer failed" in said
    (found,) = dig(names, CLIENT, [("cluster.local.", "IXFR=1")], "+notcp")
    assert found.status == "REFUSED"


def test_both_families_reach_the_servers(names: Cluster) -> None:
    for server in ("10.96.0.10", "fd00:10:96::a"):
        for options in ((), ("+tcp",)):
            (found,) = dig(names, CLIENT, [(f"@{server}", f"web.{SVC}", "A")], *options)
            assert found.answer == ["A 10.96.0.50"]

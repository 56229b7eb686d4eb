"""The DNS tests of [sig-network] conformance, each by its name, and the two e2e tests of resolv.conf."""

from __future__ import annotations

import pytest

from emulator import Cluster
from tests.system.naming.conftest import CLIENT
from tests.system.naming.dig import dig
from tests.system.naming.objects import NAMESPACE, external_name, pod, service
from tests.system.oracles.addresses import of_family

pytestmark = pytest.mark.system

ZONE = "svc.cluster.local"


def shell(cluster: Cluster, where: str, script: str) -> str:
    done = cluster.exec(where, ["sh", "-c", script])
    assert done.exit_code == 0, done.stdout + done.stderr
    return done.stdout


def address(cluster: Cluster, name: str) -> str:
    return of_family([e["ip"] for e in cluster.get("Pod", name, NAMESPACE)["status"]["podIPs"]], 4)


def asked_over_both(cluster: Cluster, names: list[str], *options: str) -> list[tuple[str, list[str]]]:
    """The addresses of names by the search list, over UDP and over TCP, each with what was asked."""
    found = []
    for transport in ("+notcp", "+tcp"):
        questions = [(name, "A") for name in names]
        for name, dug in zip(names, dig(cluster, CLIENT, questions, "+search", transport), strict=True):
            assert dug.status == "NOERROR", f"{name} {transport}"
            found.append((name, dug.answer))
    return found


def test_dns_should_provide_dns_for_the_cluster(names: Cluster) -> None:
    """[sig-network] DNS should provide DNS for the cluster"""
    wanted = [
        "kubernetes.default",
        f"kubernetes.default.{ZONE.partition('.')[0]}",
        f"kubernetes.default.{ZONE}",
    ]
    for name, answer in asked_over_both(names, wanted):
        assert answer == ["A 10.96.0.1"], name
    own = address(names, "client").replace(".", "-")
    assert shell(names, CLIENT, f"getent ahostsv4 {own}.{NAMESPACE}.pod.cluster.local").startswith(
        own.replace("-", ".")
    )


def test_dns_should_provide_etc_hosts_entries_for_the_cluster(names: Cluster) -> None:
    """[sig-network] DNS should provide /etc/hosts entries for the cluster"""
    own = address(names, "named")
    for name in (f"front.sites.{NAMESPACE}.{ZONE}", "front"):
        assert own in shell(names, "names/named", f"getent -s files ahosts {name}").split()


def test_dns_should_provide_dns_for_services(names: Cluster) -> None:
    """[sig-network] DNS should provide DNS for services"""
    tails = ("", f".{NAMESPACE}", f".{NAMESPACE}.svc")
    for name, answer in asked_over_both(names, [f"web{tail}" for tail in tails]):
        assert answer == ["A 10.96.0.50"], name
    pods = sorted(f"A {address(names, name)}" for name in ("named", "unnamed"))
    for name, answer in asked_over_both(names, [f"sites{tail}" for tail in tails]):
        assert answer == pods, name
    for transport in ("+notcp", "+tcp"):
        regular, headless, reverse, record = dig(
            names,
            CLIENT,
            [
                (f"_http._tcp.web.{NAMESPACE}.svc", "SRV"),
                (f"_http._tcp.db.{NAMESPACE}.svc", "SRV"),
                ("-x", "10.96.0.50"),
                (f"{address(names, 'web-a').replace('.', '-')}.{NAMESPACE}.pod.cluster.local", "A"),
            ],
            "+search",
            transport,
        )
        assert regular.answer == [f"SRV 0 100 80 web.{NAMESPACE}.{ZONE}."]
        assert len(headless.answer) == 2
        assert reverse.answer == [f"PTR web.{NAMESPACE}.{ZONE}."]
        assert record.answer == [f"A {address(names, 'web-a')}"]


def test_dns_should_resolve_dns_of_partial_qualified_names_for_services(names: Cluster) -> None:
    """[sig-network] DNS should resolve DNS of partial qualified names for services [LinuxOnly]"""
    tails = ("", f".{NAMESPACE}", f".{NAMESPACE}.svc")
    script = "; ".join(f"getent ahostsv4 web{tail} | head -n 1" for tail in tails)
    assert [line.split()[0] for line in shell(names, CLIENT, script).splitlines()] == ["10.96.0.50"] * 3
    script = "; ".join(
        f"curl --silent http://{name}{tail}/hostname; echo" for name in ("web",) for tail in tails
    )
    assert shell(names, CLIENT, script).split() == ["web-a"] * 3
    found = dig(names, CLIENT, [(f"_http._tcp.web{tail}", "SRV") for tail in tails], "+search")
    assert [dug.answer for dug in found] == [[f"SRV 0 100 80 web.{NAMESPACE}.{ZONE}."]] * 3


def test_dns_should_provide_dns_for_pods_for_hostname(names: Cluster) -> None:
    """[sig-network] DNS should provide DNS for pods for Hostname"""
    own = address(names, "named")
    (found,) = dig(names, CLIENT, [(f"front.sites.{NAMESPACE}.{ZONE}.", "A")])
    assert found.answer == [f"A {own}"]
    assert shell(names, "names/named", "hostname; getent -s files ahostsv4 front").split()[:2] == [
        "front",
        own,
    ]


def test_dns_should_provide_dns_for_pods_for_subdomain(names: Cluster) -> None:
    """[sig-network] DNS should provide DNS for pods for Subdomain"""
    name, group = dig(
        names, CLIENT, [(f"front.sites.{NAMESPACE}.{ZONE}.", "A"), (f"sites.{NAMESPACE}.{ZONE}.", "A")]
    )
    own = f"A {address(names, 'named')}"
    assert name.answer == [own]
    assert own in group.answer


def test_dns_should_provide_dns_for_external_name_services(names: Cluster) -> None:
    """[sig-network] DNS should provide DNS for ExternalName services"""
    asked = f"moves.{NAMESPACE}.{ZONE}."

    def cname() -> list[str]:
        (found,) = dig(names, CLIENT, [(asked, "CNAME")])
        return found.answer

    names.apply([external_name("moves", "foo.example.com")])
    assert cname() == ["CNAME foo.example.com."]
    names.apply([external_name("moves", "bar.example.com")])
    assert cname() == ["CNAME bar.example.com."]
    names.patch(
        "Service",
        "moves",
        NAMESPACE,
        {"spec": {"type": "ClusterIP", "externalName": None, "ports": [{"port": 80}]}},
    )
    given = names.get("Service", "moves", NAMESPACE)["spec"]["clusterIP"]
    (found,) = dig(names, CLIENT, [(asked, "A")])
    assert found.answer == [f"A {given}"]
    assert cname() == []


def test_dns_should_support_configurable_pod_dns_nameservers(names: Cluster) -> None:
    """[sig-network] DNS should support configurable pod DNS nameservers"""
    config = {"nameservers": ["198.51.100.53"], "searches": ["example.com"]}
    names.apply([pod("own-servers", dnsPolicy="None", dnsConfig=config)])
    text = shell(
        names,
        "names/own-servers",
        "cat /etc/resolv.conf; dig +short +search server; dig +short web.names.svc.cluster.local",
    )
    assert text == "search example.com\nnameserver 198.51.100.53\n198.51.100.80\n"


def test_dns_should_support_configurable_pod_resolv_conf(names: Cluster) -> None:
    """[sig-network] DNS should support configurable pod resolv.conf"""
    config = {
        "nameservers": ["198.51.100.53", "10.96.0.10"],
        "searches": ["example.com", ZONE],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    names.apply([pod("merged", dnsConfig=config)])
    text = shell(
        names, "names/merged", "cat /etc/resolv.conf; getent ahostsv4 server | head -n 1 | cut -d ' ' -f 1"
    )
    assert text == (
        f"search {NAMESPACE}.{ZONE} {ZONE} cluster.local example.com\n"
        "nameserver 10.96.0.10\nnameserver 198.51.100.53\noptions ndots:2 edns0\n198.51.100.80\n"
    )


def test_dns_should_work_with_more_than_six_search_paths(names: Cluster) -> None:
    """[sig-network] DNS should work with the pod containing more than 6 DNS search paths and longer than 256
    search list characters"""
    label = "long-enough-to-fill-a-list"
    searches = [f"{label}-{number}.example.com" for number in range(12)] + [ZONE]
    config = {
        "nameservers": ["10.96.0.10"],
        "searches": searches,
        "options": [{"name": "ndots", "value": "2"}],
    }
    names.apply([pod("searching", dnsPolicy="None", dnsConfig=config)])
    assert len(" ".join(searches)) > 256
    text = shell(
        names, "names/searching", "cat /etc/resolv.conf; getent ahostsv4 kubernetes.default | head -n 1"
    )
    first, *_, last = text.splitlines()
    assert first == "search " + " ".join(searches)
    assert last.split()[0] == "10.96.0.1"


def test_policies_of_pods_on_the_host_network(names: Cluster) -> None:
    """ClusterFirst falls back to Default there; ClusterFirstWithHostNet does not."""
    host = {"hostNetwork": True, "nodeName": "worker-1"}
    names.apply(
        [
            pod("as-node", **host),
            pod("as-pod", dnsPolicy="ClusterFirstWithHostNet", **host),
            pod("plain", dnsPolicy="Default"),
        ]
    )
    script = "cat /etc/resolv.conf; grep -c 'host network' /etc/hosts; getent ahostsv4 web | head -n 1"
    assert names.exec("names/as-node", ["sh", "-c", script]).stdout == "nameserver 198.51.100.53\n1\n"
    inside = shell(names, "names/as-pod", script).splitlines()
    assert inside[1] == "nameserver 10.96.0.10"
    assert inside[-1].split()[0] == "10.96.0.50"
    assert shell(names, "names/plain", "cat /etc/resolv.conf") == "nameserver 198.51.100.53\n"


def test_names_that_a_pod_has_of_itself(names: Cluster) -> None:
    aliases = [{"ip": "192.0.2.9", "hostnames": ["old", "old.example.com"]}]
    full = {"hostname": "own", "subdomain": "sites", "setHostnameAsFQDN": True}
    names.apply([pod("itself", hostAliases=aliases, **full)])
    script = "hostname; hostname -f; getent hosts old.example.com; getent -s files ahostsv4 own | head -n 1"
    fqdn, again, alias, own = shell(names, "names/itself", script).splitlines()
    assert fqdn == again == f"own.sites.{NAMESPACE}.{ZONE}"
    assert alias.split() == ["192.0.2.9", "old", "old.example.com"]
    assert own.split()[0] == address(names, "itself")


def test_a_name_that_is_too_long_for_the_kernel_keeps_the_pod_from_starting(names: Cluster) -> None:
    names.apply([service("s" * 40)])
    long = {"hostname": "h" * 40, "subdomain": "s" * 40, "setHostnameAsFQDN": True}
    names.apply([pod("too-long", **long)], timeout=1.0)
    found = names.get("Pod", "too-long", NAMESPACE)
    names.delete([pod("too-long")])
    waiting = found["status"]["containerStatuses"][0]["state"]["waiting"]
    assert "64 characters is the max" in waiting["message"]

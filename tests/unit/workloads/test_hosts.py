from __future__ import annotations

import pytest

from emulator.workloads.hosts import Dns, fqdn_of, hostname_of, hosts_file, kernel_hostname_of, resolv_conf
from tests.unit.workloads.manifests import pod

DNS = Dns(nameservers=("10.96.0.10",), node_nameservers=("192.168.50.1",), node_searches=("lan",))


def test_names() -> None:
    assert hostname_of(pod()) == "web"
    assert hostname_of(pod(hostname="front")) == "front"
    assert hostname_of(pod(hostNetwork=True)) == "worker-1"
    assert fqdn_of(pod(), "cluster.local") == ""
    named = pod(hostname="front", subdomain="sites")
    assert fqdn_of(named, "cluster.local") == "front.sites.shop.svc.cluster.local"
    assert kernel_hostname_of(named, "cluster.local") == "front"
    wished = pod(hostname="front", subdomain="sites", setHostnameAsFQDN=True)
    assert kernel_hostname_of(wished, "cluster.local") == "front.sites.shop.svc.cluster.local"


def test_the_hosts_file_is_managed() -> None:
    text = hosts_file(
        pod(hostname="front", subdomain="sites", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]),
        "k8s",
    )
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert ["127.0.0.1", "localhost"] in lines
    assert ["10.244.1.2", "front.sites.shop.svc.k8s", "front"] in lines
    assert ["fd00::2", "front.sites.shop.svc.k8s", "front"] in lines
    assert lines[-1] == ["1.2.3.4", "a", "b"]


def test_the_host_network_has_no_address_of_its_own_in_the_hosts_file() -> None:
    assert "10.244.1.2" not in hosts_file(pod(hostNetwork=True), "k8s")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {},
            "search shop.svc.cluster.local svc.cluster.local cluster.local lan\n"
            "nameserver 10.96.0.10\noptions ndots:5\n",
        ),
        ({"hostNetwork": True}, "search lan\nnameserver 192.168.50.1\n"),
        (
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
            "search shop.svc.cluster.local svc.cluster.local cluster.local lan\n"
            "nameserver 10.96.0.10\noptions ndots:5\n",
        ),
        ({"dnsPolicy": "Default"}, "search lan\nnameserver 192.168.50.1\n"),
        (
            {
                "dnsPolicy": "None",
                "dnsConfig": {
                    "nameservers": ["9.9.9.9"],
                    "searches": ["x.y"],
                    "options": [{"name": "edns0"}],
                },
            },
            "search x.y\nnameserver 9.9.9.9\noptions edns0\n",
        ),
        (
            {
                "dnsConfig": {
                    "nameservers": ["10.96.0.10", "1.1.1.1"],
                    "options": [{"name": "ndots", "value": "2"}],
                }
            },
            "search shop.svc.cluster.local svc.cluster.local cluster.local lan\n"
            "nameserver 10.96.0.10\nnameserver 1.1.1.1\noptions ndots:2\n",
        ),
    ],
)
def test_resolv_conf_follows_the_policy(spec: dict[str, object], expected: str) -> None:
    assert resolv_conf(pod(**spec), DNS) == expected


def test_without_a_cluster_dns_pods_ask_as_their_node_does() -> None:
    alone = Dns(node_nameservers=("192.168.50.1",))
    assert resolv_conf(pod(), alone) == "nameserver 192.168.50.1\n"
    assert resolv_conf(pod(dnsPolicy="ClusterFirstWithHostNet"), alone) == "nameserver 192.168.50.1\n"


def test_the_hosts_file_says_whose_network_it_is() -> None:
    assert hosts_file(pod(), "k8s").startswith("# Kubernetes-managed hosts file.\n")
    there = hosts_file(pod(hostNetwork=True), "k8s")
    assert there.startswith("# Kubernetes-managed hosts file (host network).\n")


def test_resolvers_take_three_servers_and_32_searches() -> None:
    config = {"nameservers": [f"10.0.0.{n}" for n in range(9)], "searches": [f"s{n}" for n in range(40)]}
    text = resolv_conf(pod(dnsPolicy="None", dnsConfig=config), DNS)
    assert text.count("nameserver") == 3
    assert len(text.splitlines()[0].split()) == 33

"""Addresses of the things in a cluster, by family."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from emulator import Cluster
from tests.system.oracles.objects import Object


def of_family(addresses: list[str], family: int) -> str:
    return next(address for address in addresses if ip_address(address).version == family)


def pod_address(cluster: Cluster, name: str, family: int, namespace: str = "shop") -> str:
    found: Object = cluster.get("Pod", name, namespace)
    return of_family([entry["ip"] for entry in found["status"]["podIPs"]], family)


def cluster_ip(cluster: Cluster, name: str, family: int) -> str:
    found: Object = cluster.get("Service", f"{name}-v{family}", "shop")
    return of_family(found["spec"]["clusterIPs"], family)


def node_port(cluster: Cluster, name: str, family: int, protocol: str = "TCP") -> int:
    found: Object = cluster.get("Service", f"{name}-v{family}", "shop")
    return next(int(port["nodePort"]) for port in found["spec"]["ports"] if port["protocol"] == protocol)


def node_address(cluster: Cluster, name: str, family: int) -> str:
    found: Object = cluster.get("Node", name)
    internal = [entry["address"] for entry in found["status"]["addresses"] if entry["type"] == "InternalIP"]
    return of_family(internal, family)


def external_address(name: str, family: int) -> str:
    """The address of a host outside the cluster, the same in every shipped topology."""
    number = {"client": "7", "server": "80"}[name]
    return f"198.51.100.{number}" if family == 4 else f"2001:db8:198:51:100::{number}"


def public_address(family: int) -> str:
    """The NAT gateway's, the same in every shipped topology."""
    return "203.0.113.1" if family == 4 else "2001:db8:203:0:113::1"


def pod_range(cluster: Cluster, node: str, family: int) -> str:
    """The addresses of a node's pods."""
    ranges: list[str] = cluster.get("Node", node)["spec"]["podCIDRs"]
    return next(text for text in ranges if ip_network(text).version == family)


def pod_gateway(cluster: Cluster, node: str, family: int) -> str:
    """The node's address in its own pod range."""
    found: Object = cluster.get("Node", node)
    cidr = next(c for c in map(ip_network, found["spec"]["podCIDRs"]) if c.version == family)
    return str(cidr[1])


def pod_mac(cluster: Cluster, name: str) -> str:
    """The address of a pod's interface."""
    return cluster.exec(f"shop/{name}", ["cat", "/sys/class/net/eth0/address"]).stdout.strip()


def gateway_mac(cluster: Cluster, name: str, family: int) -> str:
    """The address of a pod's gateway, as the pod's own kernel has it once it has sent something."""
    node: str = cluster.get("Pod", name, "shop")["spec"]["nodeName"]
    assert cluster.probe(f"shop/{name}", f"node/{node}", "icmp", family=family)["outcome"] == "connected"
    said = cluster.exec(f"shop/{name}", ["ip", f"-{family}", "neigh", "show", "dev", "eth0"]).stdout
    entries = {words[0]: words for words in map(str.split, said.splitlines())}
    entry = entries[bare(pod_gateway(cluster, node, family))]
    return entry[entry.index("lladdr") + 1]


def masquerade(cluster: Cluster, node: str, pod: str, family: int) -> str:
    """The address that `node` gives to masqueraded packets for `pod`: that of the interface they leave by.

    Without an overlay the way to other nodes' pods leads through the node's own interface.
    """
    there: Object = cluster.get("Pod", pod, "shop")
    is_routed = cluster.status()["topology"] in ("three-node-routed", "leaf-spine")
    leaves_by_uplink = is_routed and there["spec"]["nodeName"] != node
    return bare((node_address if leaves_by_uplink else pod_gateway)(cluster, node, family))


def bare(address: str) -> str:
    """An address as `ipaddress` writes it, so that two spellings compare equal."""
    return str(ip_address(address))

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


def pod_gateway(cluster: Cluster, node: str, family: int) -> str:
    """The node's address in its own pod range."""
    found: Object = cluster.get("Node", node)
    cidr = next(c for c in map(ip_network, found["spec"]["podCIDRs"]) if c.version == family)
    return str(cidr[1])


def pod_mac(cluster: Cluster, name: str, *, of_gateway: bool = False) -> str:
    """The address of a pod's interface, or of its gateway, as the pod's own kernel has it."""
    command = "ip -4 neigh show nud all" if of_gateway else "cat /sys/class/net/eth0/address"
    said = cluster.exec(f"shop/{name}", command.split()).stdout
    if not of_gateway:
        return said.strip()
    node: str = cluster.get("Pod", name, "shop")["spec"]["nodeName"]
    gateway = pod_gateway(cluster, node, 4)
    (line,) = (line.split() for line in said.splitlines() if line.split()[0] == gateway)
    return line[line.index("lladdr") + 1]


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

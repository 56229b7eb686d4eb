"""Which DNS servers pods and nodes of a cluster are told."""

from __future__ import annotations

from emulator.cluster.dns.addon import DOMAIN, dns_addresses, resolver_addresses
from emulator.cluster.wiring import Wiring
from emulator.workloads.hosts import Dns


def dns_settings(wiring: Wiring) -> Dns:
    """As kubeadm sets kubelets up: the cluster DNS by its primary address, behind the node's own resolver."""
    cluster, node = dns_addresses(wiring)[:1], resolver_addresses(wiring)[:1]
    return Dns(DOMAIN, tuple(map(str, cluster)), tuple(map(str, node)))

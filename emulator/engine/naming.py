"""Which DNS servers pods, nodes and outside hosts of a cluster ask, and what they know without asking."""

from __future__ import annotations

from emulator.cluster.dns.addon import DOMAIN, dns_addresses, resolver_addresses
from emulator.cluster.places import Place, PlaceKind, parse_place
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Wiring
from emulator.probes.resolver import Resolver, read_resolver
from emulator.workloads.hosts import Dns, hosts_file, resolv_conf


def dns_settings(wiring: Wiring) -> Dns:
    """As kubeadm sets kubelets up: the cluster DNS by its primary address, behind the node's own resolver."""
    cluster, node = dns_addresses(wiring)[:1], resolver_addresses(wiring)[:1]
    return Dns(DOMAIN, tuple(map(str, cluster)), tuple(map(str, node)))


def resolver_of(snapshot: Snapshot, source: str) -> Resolver:
    """The settings that programs at a place have: a pod's own, else those of nodes and of the internet."""
    dns = dns_settings(snapshot.wiring)
    place: Place = parse_place(source)
    pod = snapshot.get("Pod", place.namespace, place.name) if place.kind is PlaceKind.POD else None
    if pod is not None:
        return read_resolver(resolv_conf(pod, dns), hosts_file(pod, dns.domain))
    return read_resolver("".join(f"nameserver {address}\n" for address in dns.node_nameservers))

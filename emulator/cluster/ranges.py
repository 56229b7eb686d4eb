"""Address ranges: which are given out by default, how pods' ranges are cut, and that none overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import combinations, islice

from emulator.api.objects import Path
from emulator.cluster.specs import ExternalSpec, Topology, TopologyError
from emulator.cluster.wiring import IPAddress, IPNetwork

EXTERNAL_PREFIX = {4: 24, 6: 80}
"""An external host's subnet; /80 keeps `2001:db8:198:51:100::7` apart from `2001:db8:198:51:101::7`."""

FIRST_NODE = 11
"""Nodes are numbered from .11 in their subnet: worker-1 is 192.168.50.11."""

_NODE_MASK = {4: 24, 6: 64}
_LONGEST_NODE_MASK = {4: 29, 6: 112}
_PUBLIC_POOLS = ("203.0.113.0/24", "192.0.2.0/24", "198.51.100.0/24", "198.18.0.0/24", "198.19.0.0/24")
_ROUTERS = {4: "172.31.255.0/24", 6: "fd00:172:31:255::/64"}
_NEVER = {
    "the loopback range": ("127.0.0.0/8", "::1/128"),
    "the link-local range": ("169.254.0.0/16", "fe80::/10"),
    "the multicast range": ("224.0.0.0/4", "ff00::/8"),
    "the reserved range": ("0.0.0.0/8", "240.0.0.0/4", "::/128"),
}


@dataclass(frozen=True, slots=True)
class Range:
    """A range with the name that a message gives it, and the field that set it."""

    label: str
    network: IPNetwork
    path: Path

    def __str__(self) -> str:
        return f"{self.label} {self.network}"


def refuse_overlaps(ranges: Sequence[Range]) -> None:
    """Raise TopologyError, naming both ranges, when any two overlap or one is not usable at all."""
    for item in ranges:
        for label, networks in _NEVER.items():
            for network in map(ip_network, networks):
                if overlap(item.network, network):
                    raise TopologyError(item.path, f"{item} overlaps {label} {network}")
    for first, second in combinations(ranges, 2):
        if overlap(first.network, second.network):
            raise TopologyError(second.path, f"{second} overlaps {first}", "give one of them another range")


def overlap(a: IPNetwork, b: IPNetwork) -> bool:
    """Whether two ranges share an address; ranges of different families never do."""
    return a.version == b.version and a.overlaps(b)


def node_subnet(number: int, version: int) -> IPNetwork:
    """The range of the topology's `number`th subnet, counted from 0."""
    if version == 4:
        return ip_network(f"192.168.{50 + number}.0/24")
    return ip_network(f"fd00:192:168:{50 + number}::/64")


def numbered(network: IPNetwork, number: int) -> IPAddress:
    """Host `number` of a range. IPv6 hosts show the same decimal digits: ::11 beside .11."""
    return network[number if network.version == 4 else int(str(number), 16)]


def external_subnet(address: IPAddress) -> IPNetwork:
    """The subnet that an external host's address lies in."""
    return ip_network(f"{address}/{EXTERNAL_PREFIX[address.version]}", strict=False)


def documentation_ipv6(address: IPAddress) -> IPAddress:
    """`198.51.100.7` as `2001:db8:198:51:100::7`: the same digits in RFC 3849's range."""
    a, b, c, d = str(address).split(".")
    return ip_address(f"2001:db8:{a}:{b}:{c}::{d}")


def router_address(number: int, version: int) -> IPAddress:
    """Address `number` (from 1) of routers that have no subnet of their own."""
    return numbered(ip_network(_ROUTERS[version]), number)


def router_ranges(families: Iterable[int]) -> tuple[IPNetwork, ...]:
    """The ranges that `router_address` draws from."""
    return tuple(ip_network(_ROUTERS[version]) for version in families)


def public_pool(external: Iterable[ExternalSpec]) -> IPNetwork:
    """The first documentation range (RFC 5737, then RFC 2544) in which no external host lives."""
    used = [external_subnet(a) for spec in external for a in spec.addresses]
    for pool in map(ip_network, _PUBLIC_POOLS):
        if not any(overlap(pool, network) for network in used):
            return pool
    raise TopologyError(("spec", "external"), "external hosts occupy every range left for public addresses")


def node_pod_cidrs(topology: Topology) -> tuple[tuple[IPNetwork, ...], ...]:
    """Each node's pod ranges, one a family, in the topology's order of nodes.

    /24 and /64 as kube-controller-manager defaults, smaller where the cluster's range
    would not suffice. The range's first part stays unused, so that node 1 has 10.244.1.0/24.
    Raises TopologyError when the range is too small for the nodes.
    """
    count = len(topology.nodes)
    families = [_cut(network, count, index) for index, network in enumerate(topology.pod_cidrs)]
    return tuple(zip(*families, strict=True))


def _cut(network: IPNetwork, count: int, index: int) -> list[IPNetwork]:
    version = network.version
    mask = max(_NODE_MASK[version], network.prefixlen + count.bit_length())
    if mask > _LONGEST_NODE_MASK[version]:
        raise TopologyError(
            ("spec", "podCIDRs", index),
            f"the pod range {network} is exhausted: it is too small for {count} nodes",
            f"each node takes a /{_LONGEST_NODE_MASK[version]} at least",
        )
    return list(islice(network.subnets(new_prefix=mask), 1, count + 1))

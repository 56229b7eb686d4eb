"""Pod addresses: the index a pod has on its node, and everything that follows from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_interface
from itertools import chain

from emulator.cluster.numbering import pod_mac
from emulator.cluster.wiring import FIRST_POD_OFPORT, IPAddress, IPNetwork, NodePlan, PodPort, Wiring

FIRST_INDEX = 2
"""Offset 0 is the range's own address and 1 the gateway."""
MAX_INDEX = 60_000
"""OpenFlow ports end at 0xfeff; interface names and MAC addresses have room for no more."""


def capacity(node: NodePlan) -> int:
    """How many pods with addresses of their own fit on a node."""
    return last_index(node) - FIRST_INDEX + 1


def last_index(node: NodePlan) -> int:
    """The greatest index that every family of the node's ranges has an address for."""
    return min(MAX_INDEX, *(_last_offset(cidr) for cidr in node.pod_cidrs))


def _last_offset(cidr: IPNetwork) -> int:
    """IPv4's last address is the broadcast address; IPv6 would not miss it."""
    return cidr.num_addresses - 2


def next_index(node: NodePlan, used: Collection[int], last: int = FIRST_INDEX - 1) -> int:
    """The next free index after `last`, going round, so that a freed address rests as long as possible.

    Raises ValueError when all are in use.
    """
    first, end = FIRST_INDEX, last_index(node)
    start = last + 1 if first <= last < end else first
    for index in chain(range(start, end + 1), range(first, start)):
        if index not in used:
            return index
    raise ValueError(f"all {capacity(node)} pod addresses of {node.name} are in use")


def pod_addresses(node: NodePlan, index: int) -> tuple[IPAddress, ...]:
    """A pod's addresses, one a family, in the order of the cluster's families."""
    return tuple(cidr[index] for cidr in node.pod_cidrs)


def index_of(node: NodePlan, address: IPAddress) -> int | None:
    """The index of a pod's address on its node; None when it is not in the node's ranges."""
    for cidr in node.pod_cidrs:
        if address.version == cidr.version and address in cidr:
            offset: int = int(address) - int(cidr.network_address)
            return offset
    return None


def port_at(wiring: Wiring, node: str, addresses: Iterable[IPAddress]) -> PodPort | None:
    """How the pod with these addresses hangs on `node`'s bridge; None when none is in the node's ranges.

    Raises KeyError for an unknown node.
    """
    plan = wiring.node(node)
    indexes = (index_of(plan, address) for address in addresses)
    return next((pod_port(wiring, node, index) for index in indexes if index is not None), None)


def pod_port(wiring: Wiring, node: str, index: int) -> PodPort:
    """How pod `index` hangs on `node`'s bridge. Raises KeyError for an unknown node."""
    plan = wiring.node(node)
    addresses = pod_addresses(plan, index)
    first = next((a for a in addresses if a.version == 4), addresses[0])
    return PodPort(
        interface=f"p{plan.index}-{index}",
        ofport=FIRST_POD_OFPORT + index,
        mac=pod_mac(first, plan.index, index),
        addresses=tuple(
            ip_interface(f"{address}/{cidr.prefixlen}")
            for address, cidr in zip(addresses, plan.pod_cidrs, strict=True)
        ),
        gateways=plan.pod_gateways,
        gateway_mac=plan.gateway_mac,
        mtu=wiring.pod_mtu,
    )

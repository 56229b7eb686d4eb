"""hostPort: ports of a node that are its pods' container ports.

`hostIP` says at which of the node's addresses: empty means all of them, `0.0.0.0` all of IPv4, `::` all
of IPv6 (the portmap CNI plugin; the scheduler counts the three as one). At 127.0.0.1 only the node
itself can ask, and no hostPort answers at ::1: Linux routes no packets out of that address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from emulator.cluster.model import ContainerPort, Protocol
from emulator.cluster.wiring import IPAddress, NodePlan

_NOWHERE_ELSE = ip_address("::1")


@dataclass(frozen=True, slots=True)
class HostPort:
    """One port of a node, in one family, and where it leads: to a port of one of the node's pods."""

    protocol: Protocol
    port: int
    to: IPAddress
    """The pod's address."""
    to_port: int
    at: IPAddress | None = None
    """The node's address that it is a port of; None is every one of the family."""


def host_ports(ports: Iterable[ContainerPort], addresses: Iterable[IPAddress]) -> Iterator[HostPort]:
    """The node's ports that a pod with these container ports and addresses answers at, none twice."""
    claimed: set[tuple[Protocol, int, IPAddress | None, int]] = set()
    addresses = tuple(addresses)
    for declared in ports:
        if declared.host_port is None:
            continue
        wanted = ip_address(declared.host_ip) if declared.host_ip else None
        if wanted == _NOWHERE_ELSE:
            continue
        at = None if wanted is None or wanted.is_unspecified else wanted
        for address in addresses:
            key = (declared.protocol, declared.host_port, at, address.version)
            if (wanted is not None and wanted.version != address.version) or key in claimed:
                continue
            claimed.add(key)
            yield HostPort(declared.protocol, declared.host_port, address, declared.port, at)


def unanswered(ports: Iterable[ContainerPort], node: NodePlan) -> Iterator[str]:
    """What is to be said of hostPorts on `node` that no packet can reach."""
    own = (*(interface.ip for interface in node.addresses), *node.pod_gateways)
    for declared in ports:
        if declared.host_port is None or not declared.host_ip:
            continue
        at = ip_address(declared.host_ip)
        if at == _NOWHERE_ELSE:
            why = "Linux routes no packets out of that address"
        elif at.is_unspecified or at.is_loopback or at in own:
            continue
        else:
            why = f"no address of node {node.name}"
        yield f"hostPort {declared.host_port} at {at} answers nowhere: {why}"

"""Ports of a node's own addresses that its own packets reach by way of its bridge, not of `lo`.

NodePorts and hostPorts answer on the node itself too, and it is the bridge that translates them: routing
rules that come before the local table send packets for them out of `eth0`. Packets to the loopback
network keep a source in it, as on a real node (iptables mode of kube-proxy, sysctl route_localnet).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from types import MappingProxyType

from emulator.cluster.host_ports import HostPort
from emulator.cluster.model import Protocol
from emulator.cluster.wiring import IPNetwork, NodePlan
from emulator.network import rtnl
from emulator.network.cables import HOST_INTERFACE, Detour, HostRoute
from emulator.network.netlink import Netlink, Request

_LOOPBACK = ip_network("127.0.0.0/8")
_LOOPBACK_SOURCE = ip_address("127.0.0.1")
_TABLE, _LOOPBACK_TABLE = 200, 201
_NODE_PORTS_PRIORITY, _HOST_PORTS_PRIORITY, LOCAL_PRIORITY = 50, 60, 100
_NUMBERS: Mapping[Protocol, int] = MappingProxyType(
    {
        Protocol.TCP: socket.IPPROTO_TCP,
        Protocol.UDP: socket.IPPROTO_UDP,
        Protocol.SCTP: socket.IPPROTO_SCTP,
    }
)
SYSCTLS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # A node that reaches itself through the bridge is the sender of what it receives.
        "net/ipv4/conf/all/accept_local": ("1",),
        f"net/ipv4/conf/{HOST_INTERFACE}/accept_local": ("1",),
        f"net/ipv4/conf/{HOST_INTERFACE}/route_localnet": ("1",),
    }
)
"""What a node's kernel has to allow for this."""


@dataclass(frozen=True, slots=True)
class Change:
    """Detours of one netns that come and go."""

    add: tuple[Detour, ...] = ()
    remove: tuple[Detour, ...] = ()


def node_port_detours(node: NodePlan, ports: range) -> tuple[Detour, ...]:
    """The detours for all NodePorts."""
    return tuple(
        Detour(destination, _NUMBERS[protocol], ports)
        for destination in _own_networks(node)
        for protocol in (Protocol.TCP, Protocol.UDP)
    )


def host_port_detours(node: NodePlan, host_ports: Iterable[HostPort]) -> Iterator[Detour]:
    """The detours for hostPorts of the node; an address that it has not got leads nowhere."""
    for found in host_ports:
        ports = range(found.port, found.port + 1)
        for network in _own_networks(node):
            if network.version != found.to.version:
                continue
            if found.at is None:
                yield Detour(network, _NUMBERS[found.protocol], ports)
            elif found.at in network:
                yield Detour(ip_network(found.at), _NUMBERS[found.protocol], ports)


def roads(index: int, routes: Iterable[HostRoute]) -> Iterator[Request]:
    """The tables that detours lead to, and the local table's new place behind them."""
    wanted = tuple(routes)
    for table, route in side_routes(wanted):
        yield rtnl.add_route(index, route.destination, route.gateway, route.source, table)
    for version in dict.fromkeys(route.gateway.version for route in wanted):
        yield rtnl.add_rule(version, LOCAL_PRIORITY, rtnl.LOCAL_TABLE)
        yield rtnl.delete_rule(version, 0, rtnl.LOCAL_TABLE)


def side_routes(routes: Iterable[HostRoute]) -> Iterator[tuple[int, HostRoute]]:
    """The routes that detours take, each with its table."""
    for route in routes:
        yield _TABLE, route
        if route.gateway.version == _LOOPBACK.version:
            yield _LOOPBACK_TABLE, HostRoute(route.destination, route.gateway, _LOOPBACK_SOURCE)


def node_port_rules(detours: Iterable[Detour]) -> Iterator[rtnl.PortRule]:
    """The rules of detours that stay."""
    return (_rule(detour, _NODE_PORTS_PRIORITY) for detour in detours)


def host_port_rules(detours: Iterable[Detour]) -> Iterator[rtnl.PortRule]:
    """The rules of those for hostPorts."""
    return (_rule(detour, _HOST_PORTS_PRIORITY) for detour in detours)


def for_node_ports(detours: Iterable[Detour]) -> Iterator[Request]:
    """What makes the rules of detours that stay."""
    return map(rtnl.add_port_rule, node_port_rules(detours))


def change(wanted: Change) -> None:
    """Make and remove the rules of hostPorts in the netns that the calling thread is in."""
    with Netlink() as netlink:
        netlink.execute(
            [
                *(rtnl.add_port_rule(_rule(detour, _HOST_PORTS_PRIORITY)) for detour in wanted.add),
                *(rtnl.delete_port_rule(_rule(detour, _HOST_PORTS_PRIORITY)) for detour in wanted.remove),
            ]
        )


def replace(detours: Iterable[Detour]) -> None:
    """Make the rules of hostPorts in the calling thread's netns these, whatever an earlier run has left."""
    with Netlink() as netlink:
        left = [
            rtnl.delete_rule(version, _HOST_PORTS_PRIORITY)
            for version in (4, 6)
            for priority in rtnl.rule_priorities(netlink, version)
            if priority == _HOST_PORTS_PRIORITY
        ]
        netlink.execute(
            [*left, *(rtnl.add_port_rule(_rule(detour, _HOST_PORTS_PRIORITY)) for detour in detours)]
        )


def _own_networks(node: NodePlan) -> Iterator[IPNetwork]:
    own = (*(interface.ip for interface in node.addresses), *node.pod_gateways)
    yield from (ip_network(address) for address in own)
    if any(address.version == _LOOPBACK.version for address in own):
        yield _LOOPBACK


def _rule(detour: Detour, priority: int) -> rtnl.PortRule:
    table = _LOOPBACK_TABLE if detour.destination.is_loopback else _TABLE
    return rtnl.PortRule(priority, table, detour.destination, detour.protocol, detour.ports)

"""Which UDP connections through the load balancer lead to a node that takes no part any more.

UDP has no end: a client that goes on from the same port would be sent to a dead node for as long as it
asks. Where others can take over, it is given to one of them; TCP stays with its node, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from controllers.pipeline.registers import MARK_TARGET
from controllers.pipeline.stale import Connection, End, connections
from controllers.pipeline.view import of_family
from emulator.cluster.model import ClusterState, LoadBalancerAddress, Protocol, Service, ServicePort
from emulator.cluster.wiring import IPNetwork

Ways = frozenset[tuple[int, End]]
"""Numbers of nodes, and where answers of each come from."""

_MARK = re.compile(r",mark=(\d+)")


@dataclass(frozen=True)
class Balanced:
    """Where clients of UDP ask the load balancer, and which ways lead on from there."""

    zone: int = 0
    """The balancer's MAIN zone; 0 where there is none."""
    pool: tuple[IPNetwork, ...] = ()
    ways: Mapping[End, Ways] = field(default_factory=dict)


def balanced(state: ClusterState) -> Balanced:
    """All UDP frontends of the topology's load balancer."""
    balancer = state.wiring.balancer
    if balancer is None:
        return Balanced()
    ways = {
        (entry.address, port.port): _ways(state, service, port, entry)
        for service in state.services
        for entry in service.load_balancer
        for port in service.ports
        if port.protocol is Protocol.UDP
    }
    return Balanced(state.wiring.bridge(balancer.bridge).zone, balancer.pool, ways)


def stale_balanced(dump: str, served: Balanced) -> Iterator[Connection]:
    """The entries in the text of `dpctl/dump-conntrack` that lead astray while another way is open."""
    for line in dump.splitlines():
        for connection in connections(line):
            address = connection.destination[0]
            if connection.zone != served.zone or not any(address in network for network in served.pool):
                continue
            mark = _MARK.search(line)
            target = (int(mark.group(1)) & MARK_TARGET.mask) >> MARK_TARGET.first if mark else 0
            ways = served.ways.get(connection.destination)
            if ways is None or (ways and (target, connection.answers) not in ways):
                yield connection


def _ways(state: ClusterState, service: Service, port: ServicePort, entry: LoadBalancerAddress) -> Ways:
    family, found = entry.address.version, set()
    for name in service.targets:
        node = state.wiring.node(name)
        if not entry.proxy:
            found.add((node.index, (entry.address, port.port)))
        elif port.node_port is not None:
            address = of_family((interface.ip for interface in node.addresses), family)[0]
            found.add((node.index, (address, port.node_port)))
    return frozenset(found)

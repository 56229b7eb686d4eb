"""Which UDP connections a change of endpoints leaves behind: kube-proxy's clean-up, as a function.

UDP has no end, so a client that goes on from the same port keeps its entry of connection tracking alive,
and with it an endpoint that may be gone. An entry is stale when it began at a frontend of a UDP service
port and its answers do not come from an endpoint that serves there. A service port without endpoints makes
no entry stale. Source: pkg/proxy/conntrack/cleanup.go. hostPorts are treated alike, which the portmap CNI
plugin does when it adds one. TCP is left alone: its connections outlive their endpoints' membership.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from controllers.pipeline.view import LOOPBACK
from emulator.cluster.host_ports import host_ports
from emulator.cluster.model import ClusterState, Pod, Protocol, Service, ServicePort
from emulator.cluster.wiring import IPAddress

End = tuple[IPAddress, int]
"""An address and a port."""
Backends = frozenset[End]
_LINE = re.compile(
    r"^udp,orig=\(src=([^,]+),dst=([^,]+),sport=(\d+),dport=(\d+)\),"
    r"reply=\(src=([^,]+),dst=[^,]+,sport=(\d+),dport=\d+\),(?:id=\d+,)?zone=(\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Connection:
    """One UDP entry of connection tracking."""

    zone: int
    source: End
    destination: End
    """As the client addressed it."""
    answers: End
    """Where its answers come from, before they are translated back."""

    @property
    def tuple(self) -> str:
        """Its original direction as `dpctl/flush-conntrack` reads it."""
        (source, source_port), (destination, destination_port) = self.source, self.destination
        kind = "nw" if source.version == 4 else "ipv6"
        return (
            f"ct_{kind}_src={source},ct_{kind}_dst={destination},ct_nw_proto=17,"
            f"ct_tp_src={source_port},ct_tp_dst={destination_port}"
        )


@dataclass(frozen=True)
class Frontends:
    """Where clients of UDP ask, and who serves them there."""

    virtual: Mapping[End, Backends] = field(default_factory=dict)
    """Cluster IPs, external IPs and load-balancer addresses."""
    node_ports: Mapping[tuple[int, int], Backends] = field(default_factory=dict)
    """By IP version and number, at every address of every node."""
    host_ports: Mapping[tuple[int, IPAddress | int, int], Backends] = field(default_factory=dict)
    """By zone, address of the node (its IP version for all of them) and number."""
    nodes: Mapping[int, frozenset[IPAddress]] = field(default_factory=dict)
    """The addresses of each node by its bridge's MAIN zone."""

    def backends(self, connection: Connection) -> Backends:
        """Who serves where the connection began; nobody where that is no frontend."""
        zone, (address, port) = connection.zone, connection.destination
        found = self.virtual.get((address, port))
        if found is not None:
            return found
        if address not in self.nodes[zone] and not (address.version == 4 and address in LOOPBACK):
            return frozenset()
        for at in (address, address.version):
            served = self.node_ports.get((address.version, port)) or self.host_ports.get((zone, at, port))
            if served:
                return served
        return frozenset()


def frontends(state: ClusterState) -> Frontends:
    """All frontends of UDP in a cluster."""
    virtual: dict[End, Backends] = {}
    node_ports: dict[tuple[int, int], Backends] = {}
    for service in state.services:
        for port in service.ports:
            if port.protocol is Protocol.UDP:
                virtual |= dict(_virtual(service, port))
                node_ports |= dict(_node_ports(service, port))
    plans = {node.name: node for node in state.wiring.nodes}
    zones = {node.name: state.wiring.bridge(node.bridge).zone for node in plans.values()}
    return Frontends(
        virtual=virtual,
        node_ports=node_ports,
        host_ports=dict(found for pod in state.pods for found in _host_ports(pod, zones)),
        nodes={
            zones[name]: frozenset((*(interface.ip for interface in plan.addresses), *plan.pod_gateways))
            for name, plan in plans.items()
        },
    )


def connections(dump: str) -> Iterator[Connection]:
    """The UDP entries in the text of `dpctl/dump-conntrack`."""
    for found in _LINE.finditer(dump):
        source, destination, source_port, destination_port, answers, answers_port, zone = found.groups()
        yield Connection(
            int(zone),
            (ip_address(source), int(source_port)),
            (ip_address(destination), int(destination_port)),
            (ip_address(answers), int(answers_port)),
        )


def stale(known: Iterable[Connection], served: Frontends) -> Iterator[Connection]:
    """The entries that lead to nobody who serves; those of their masquerade, in the zone beside, too."""
    known = tuple(known)
    masqueraded = {(one.zone, one.source, one.destination): one for one in known}
    for connection in known:
        if connection.zone in served.nodes:
            backends = served.backends(connection)
            if backends and connection.answers not in backends:
                yield connection
                beside = masqueraded.get((connection.zone + 1, connection.source, connection.answers))
                if beside is not None:
                    yield beside


def _virtual(service: Service, port: ServicePort) -> Iterator[tuple[End, Backends]]:
    balanced = (entry.address for entry in service.load_balancer if not entry.proxy)
    for address in (*service.cluster_ips, *service.external_ips, *balanced):
        yield (address, port.port), _serving(port, address.version)


def _node_ports(service: Service, port: ServicePort) -> Iterator[tuple[tuple[int, int], Backends]]:
    if port.node_port is not None:
        for address in service.cluster_ips:
            yield (address.version, port.node_port), _serving(port, address.version)


def _host_ports(
    pod: Pod, zones: Mapping[str, int]
) -> Iterator[tuple[tuple[int, IPAddress | int, int], Backends]]:
    if pod.host_network or pod.node not in zones:
        return
    for found in host_ports(pod.container_ports, pod.addresses):
        if found.protocol is Protocol.UDP:
            key = (zones[pod.node], found.at or found.to.version, found.port)
            yield key, frozenset({(found.to, found.to_port)})


def _serving(port: ServicePort, version: int) -> Backends:
    return frozenset(
        (endpoint.address, endpoint.port)
        for endpoint in port.endpoints
        if endpoint.address.version == version and (endpoint.serving or endpoint.ready)
    )

"""Where clients knock: the addresses and ports of Services, and pods' hostPorts, seen from one node.

kube-proxy's iptables mode decides (pkg/proxy/iptables/proxier.go): clusterIPs first, then what faces
outwards, then what the portmap plugin does for hostPorts. The first Service of two that claim one address and
port has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address

from emulator.cluster.model import ClusterState, Pod, Service, ServicePort, TrafficPolicy
from emulator.cluster.wiring import IPAddress, NodePlan
from emulator.oracle import endpoints
from emulator.oracle.answer import Code
from emulator.oracle.packet import Entry, Packet, place_of


@dataclass(frozen=True, slots=True)
class Door:
    """A Service's frontend that a packet meets."""

    service: Service
    port: ServicePort
    kind: str
    """`clusterIP`, `nodePort`, `externalIP`, `load balancer`."""

    @property
    def faces_outwards(self) -> bool:
        """Whether externalTrafficPolicy rules here, not internalTrafficPolicy."""
        return self.kind != "clusterIP"


def own_addresses(node: NodePlan, family: int) -> list[IPAddress]:
    """The addresses of a node's stack; the gateway of its pods is one."""
    known = (*(interface.ip for interface in node.addresses), *node.pod_gateways)
    return [address for address in known if address.version == family]


def is_own(node: NodePlan, packet: Packet, entry: Entry) -> bool:
    """Whether the destination is the node: where NodePorts and hostPorts answer.

    127.0.0.1 counts for the node itself, in IPv4 only (kube-proxy's localhostNodePorts).
    """
    if packet.destination.is_loopback:
        return entry is Entry.STACK and packet.family == 4
    return packet.destination in own_addresses(node, packet.family)


def service_door(state: ClusterState, node: NodePlan, packet: Packet, entry: Entry) -> Door | None:
    """The frontend that the packet meets on this node, if there is one."""
    found = [
        door
        for service in state.services
        if any(address.version == packet.family for address in service.cluster_ips)
        for door in _doors(service, node, packet, entry)
    ]
    return next((door for door in found if not door.faces_outwards), found[0] if found else None)


def _doors(service: Service, node: NodePlan, packet: Packet, entry: Entry) -> Iterator[Door]:
    balanced = [one.address for one in service.load_balancer if not one.proxy]
    for port in service.ports:
        if port.protocol is not packet.protocol:
            continue
        if port.port == packet.port:
            for kind, addresses in (
                ("clusterIP", service.cluster_ips),
                ("externalIP", service.external_ips),
                ("load balancer", balanced),
            ):
                if packet.destination in addresses:
                    yield Door(service, port, kind)
        if port.node_port is not None and port.node_port == packet.port and is_own(node, packet, entry):
            yield Door(service, port, "nodePort")


def refuses_source(door: Door, node: NodePlan, packet: Packet) -> bool:
    """loadBalancerSourceRanges: they guard the balancer's address alone, against pods too.

    A node that speaks to a balancer's address speaks from it; it may, where the node may (KUBE-FW chains).
    """
    ranges = [one for one in door.service.source_ranges if one.version == packet.family]
    if door.kind != "load balancer" or not ranges:
        return False
    source = packet.source
    if source == packet.destination:
        node_address = next(a.ip for a in node.addresses if a.version == packet.family)
        return not any(source in one or node_address in one for one in ranges)
    return not any(source in one for one in ranges)


def behind(door: Door, node: NodePlan, packet: Packet, entry: Entry) -> tuple[list[Packet], Packet]:
    """The packets that may come of it, one for each endpoint; and, for when there is none, why.

    Without endpoints on any node it is refused, without local ones dropped.
    """
    service, port = door.service, door.port
    policy = service.external_traffic_policy if door.faces_outwards else service.internal_traffic_policy
    local = policy is TrafficPolicy.LOCAL and not (door.faces_outwards and entry is not Entry.WIRE)
    anywhere = endpoints.everywhere(port, node, packet.family)
    chosen = endpoints.local(port, node, packet.family) if local else anywhere
    what = f"{door.kind} {packet.destination}:{packet.port} of {service.ref}"
    met = packet.because(Code.SERVICE, service.ref, f"{what} on node/{node.name}")
    if not chosen and anywhere:
        rule = "externalTrafficPolicy" if door.faces_outwards else "internalTrafficPolicy"
        why = f"{rule} of {service.ref} is Local, and node/{node.name} has none of its endpoints"
        return [], met.because(Code.NO_LOCAL_ENDPOINT, service.ref, why)
    if not chosen:
        return [], met.because(Code.NO_ENDPOINTS, service.ref, f"{service.ref} has no endpoints")
    masquerade = policy is TrafficPolicy.CLUSTER if door.faces_outwards else entry is not Entry.POD
    if door.faces_outwards and policy is TrafficPolicy.LOCAL:
        masquerade = entry is Entry.STACK
    return [
        replace(
            met,
            destination=endpoint.address,
            port=endpoint.port,
            translated=True,
            hairpin=endpoint.node == node.name and endpoint.address == packet.source,
            masquerade=masquerade or (endpoint.node == node.name and endpoint.address == packet.source),
        )
        for endpoint in chosen
    ], met


def host_port(state: ClusterState, node: NodePlan, packet: Packet, entry: Entry) -> Packet | None:
    """The packet as a pod's hostPort sends it on, if one answers here (the portmap CNI plugin)."""
    if not is_own(node, packet, entry) or packet.protocol is None:
        return None
    found = list(_claims(state, node, packet))
    exact = [claim for claim in found if claim[2]]
    for pod, port, _ in exact or found:
        address = next(one for one in pod.addresses if one.version == packet.family)
        hairpin = address == packet.source
        sent = packet.because(
            Code.HOST_PORT, pod.ref, f"port {packet.port} of node/{node.name} is {place_of(pod)}'s hostPort"
        )
        return replace(
            sent,
            destination=address,
            port=port,
            translated=True,
            hairpin=hairpin,
            masquerade=hairpin or packet.source.is_loopback,
        )
    return None


def _claims(state: ClusterState, node: NodePlan, packet: Packet) -> Iterator[tuple[Pod, int, bool]]:
    """Pod, container port, and whether the hostPort is one of this very address."""
    for pod in state.pods:
        if pod.host_network or pod.node != node.name:
            continue
        if not any(address.version == packet.family for address in pod.addresses):
            continue
        for declared in pod.container_ports:
            if (declared.protocol, declared.host_port) != (packet.protocol, packet.port):
                continue
            at = ip_address(declared.host_ip) if declared.host_ip else None
            if at is None or (at.is_unspecified and at.version == packet.family):
                yield pod, declared.port, False
            elif at == packet.destination:
                yield pod, declared.port, True

"""Addresses that face outwards: externalIPs, and the load balancer's where it keeps them on the packet.

Whoever reaches a node with such a destination, from the fabric, from a pod or from the node's own
stack, is served there as at a NodePort (`node_ports.outward`): traffic from inside the cluster never
leaves for the balancer. With ipMode Proxy the balancer wants it all (KEP-1860): nodes do not know
the address.

`loadBalancerSourceRanges` guard the balancer's address alone, pods included. A balancer that puts its
address on the node makes the node speak to it from that very address: where the node itself is
allowed, so is that (both as kube-proxy's KUBE-FW chains). Ranges of the other family guard nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline.features.node_ports import outward
from controllers.pipeline.fields import Term
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, match, src, to_port
from controllers.pipeline.tables import SERVICE_FRONTEND
from controllers.pipeline.view import NodeView, networks_of, of_family
from emulator.cluster.model import Service, ServicePort
from emulator.cluster.wiring import IPAddress, IPNetwork


def service_flows(view: NodeView, service: Service) -> Iterator[Flow]:
    """ServiceFrontend for the outward addresses of one service."""
    for family in view.families:
        if of_family(service.cluster_ips, family):
            external = of_family(service.external_ips, family)
            kept = [entry.address for entry in service.load_balancer if not entry.proxy]
            for port in service.ports:
                for address in dict.fromkeys(external):
                    yield from _external_ip(service, port, address)
                for address in dict.fromkeys(of_family(kept, family)):
                    if address not in external:
                        yield from _load_balancer(view, service, port, address)


def _external_ip(service: Service, port: ServicePort, address: IPAddress) -> Iterator[Flow]:
    if (address, port.id) not in service.yields:
        yield from outward(service, port, _knock(port, address), "external-ip")


def _load_balancer(view: NodeView, service: Service, port: ServicePort, address: IPAddress) -> Iterator[Flow]:
    if (address, port.id) in service.yields:
        return
    knock = _knock(port, address)
    ranges = networks_of(service.source_ranges, address.version)
    if not ranges:
        yield from outward(service, port, knock, "load-balancer")
        return
    for source in dict.fromkeys((*ranges, *_the_balancer_itself(view, address, ranges))):
        yield from outward(service, port, (*knock, *src(source)), "load-balancer")
    yield Flow(SERVICE_FRONTEND, 150, match(knock), (), service.ref, "not-in-source-ranges")


def _the_balancer_itself(
    view: NodeView, address: IPAddress, ranges: tuple[IPNetwork, ...]
) -> tuple[IPAddress, ...]:
    node = view.node_address(address.version)
    return (address,) if any(node in network for network in ranges) else ()


def _knock(port: ServicePort, address: IPAddress) -> tuple[Term, ...]:
    return (*dst(address), *to_port(address.version, port.protocol, port.port))

"""Which Service an address and port belong to, where several ask for the same.

Cluster IPs are given out one by one; externalIPs and load-balancer addresses are whatever somebody
wrote, and kube-proxy takes the rule that it meets first. Here that is the order of the Services,
after all cluster IPs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from emulator.cluster.model import Protocol, Service, ServicePort
from emulator.cluster.wiring import IPAddress

Claim = tuple[IPAddress, Protocol, int]
"""Address, protocol, port: what makes a frontend."""


def settled(services: Iterable[Service]) -> list[Service]:
    """The Services, each told which of its outward frontends are another's (`Service.yields`)."""
    services = list(services)
    taken: set[Claim] = {
        (address, port.protocol, port.port)
        for service in services
        for address in service.cluster_ips
        for port in service.ports
    }
    return [_settled(service, taken) for service in services]


def _settled(service: Service, taken: set[Claim]) -> Service:
    yields = []
    for address, port in _outward(service):
        claim = (address, port.protocol, port.port)
        if claim in taken:
            yields.append((address, port.id))
        taken.add(claim)
    return replace(service, yields=frozenset(yields)) if yields else service


def _outward(service: Service) -> Iterator[tuple[IPAddress, ServicePort]]:
    """A balancer's address that is an external one as well is one frontend."""
    balanced = (entry.address for entry in service.load_balancer if not entry.proxy)
    for address in dict.fromkeys((*service.external_ips, *balanced)):
        yield from ((address, port) for port in service.ports)

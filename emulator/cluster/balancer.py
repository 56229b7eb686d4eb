"""A topology's load balancer in the wiring plan: its pool, its own stack, the port that leads there."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface

from emulator.cluster.numbering import CHECKER_MAC, Draft, balancer_addresses, mac_address
from emulator.cluster.ranges import Range
from emulator.cluster.specs import RouterKind, RouterSpec, Topology, TopologyError
from emulator.cluster.wiring import Balancer, IPAddress, Link, LinkEnd, Port, PortRole

CHECKER_OFPORT = 100
"""Beyond every cable of a router."""

_GATEWAYS: dict[int, IPAddress] = {4: ip_address("169.254.1.1"), 6: ip_address("fe80::1")}
"""The stack's next hop, whose MAC address it is told; nobody has to own these."""


def plan_balancer(draft: Draft) -> Balancer | None:
    """The topology's load balancer, if it has one. Raises TopologyError when a host hangs on it."""
    topology = draft.layout.topology
    router = _router(topology)
    if router is None or router.balancer is None:
        return None
    for host, home in draft.layout.home.items():
        if home == router.name:
            raise TopologyError(
                router.balancer.path,
                f"{host} hangs on the load balancer {router.name}",
                "link it to a fabric",
            )
    return Balancer(
        name=router.name,
        place=f"router/{router.name}.checker",
        bridge=draft.bridge[router.name],
        pool=router.balancer.pool,
        mode=router.balancer.mode,
        check=router.balancer.check,
        addresses=balancer_addresses(topology, router.name),
        mac=mac_address(CHECKER_MAC, 1),
        gateways=tuple(_GATEWAYS[version] for version in topology.families),
        gateway_mac=draft.router_mac(router.name),
    )


def pool_ranges(topology: Topology) -> Iterator[Range]:
    """The pool, to be compared with all other ranges."""
    router = _router(topology)
    if router is not None and router.balancer is not None:
        for index, network in enumerate(router.balancer.pool):
            label = f"the pool of load balancer {router.name}"
            yield Range(label, network, (*router.balancer.path, "pool", index))


def checker_ports(balancer: Balancer | None) -> Iterator[Port]:
    """The port of the balancer's bridge that leads to its own stack."""
    if balancer is not None:
        yield Port(
            name=_interface(balancer),
            ofport=CHECKER_OFPORT,
            role=PortRole.CHECKER,
            mac=balancer.gateway_mac,
            peer=balancer.place,
            peer_mac=balancer.mac,
            peer_addresses=tuple(ip_interface(address) for address in balancer.addresses),
        )


def checker_links(balancer: Balancer | None) -> Iterator[Link]:
    """The cable to that stack."""
    if balancer is not None:
        near = LinkEnd(f"router/{balancer.name}", _interface(balancer), balancer.bridge)
        yield Link((near, LinkEnd(balancer.place, "eth0")))


def _interface(balancer: Balancer) -> str:
    return f"{balancer.bridge}-{CHECKER_OFPORT}"


def _router(topology: Topology) -> RouterSpec | None:
    return next((router for router in topology.routers if router.kind is RouterKind.LB), None)

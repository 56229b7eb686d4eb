"""Routers that are Linux network stacks, as the ends of cables in their namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.cluster.wiring import LinuxRouter, RouterInterface
from emulator.network.cables import HostEnd, HostNeighbour, HostRoute

FORWARDING: Mapping[str, tuple[str, ...]] = {
    "net/ipv4/ip_forward": ("1",),
    "net/ipv6/conf/all/forwarding": ("1",),
    # Over equal-cost next hops by addresses and ports: else all connections of a client went to one node.
    "net/ipv4/fib_multipath_hash_policy": ("1",),
    "net/ipv6/fib_multipath_hash_policy": ("1",),
    # A next hop whose cable is dead is none.
    "net/ipv4/conf/all/ignore_routes_with_linkdown": ("1",),
    "net/ipv6/conf/all/ignore_routes_with_linkdown": ("1",),
}
"""Settings of a router's netns."""


def router_ends(router: LinuxRouter) -> Iterator[HostEnd]:
    """Its interfaces, with the routes that lead through them."""
    for interface in router.interfaces:
        yield HostEnd(
            place=router.place,
            mac=interface.mac,
            addresses=interface.addresses,
            routes=tuple(
                HostRoute(route.destination, route.gateway)
                for route in router.routes
                if route.interface == interface.name
            ),
            interface=interface.name,
            neighbours=tuple(_neighbours(interface)),
            sysctls=FORWARDING,
        )


def _neighbours(interface: RouterInterface) -> Iterator[HostNeighbour]:
    if not interface.is_subnet:
        for address in interface.peer_addresses:
            yield HostNeighbour(address, interface.peer_mac)

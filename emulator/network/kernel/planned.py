"""The facts that follow from a plan: cables, tunnels, and the ports of nodes that pods have claimed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from emulator.network import netns, own_ports, rtnl
from emulator.network.cables import BridgeEnd, Cable, Detour, HostEnd, HostRoute, Tunnel
from emulator.network.kernel.facts import (
    THERE,
    UP,
    Facts,
    Hop,
    Kind,
    Lookup,
    RouteKey,
    Seat,
    Setting,
    Subject,
    Value,
    Way,
    usual_metric,
)

_DEFAULT = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
_EVERYWHERE: Mapping[str, tuple[str, ...]] = {
    # What interfaces have inherited from `default`, and what nobody has ever set.
    "net/ipv4/conf/{}/rp_filter": ("0",),
    "net/ipv6/conf/{}/accept_ra": ("0",),
    "net/ipv6/conf/{}/disable_ipv6": ("0",),
    "net/ipv6/conf/all/disable_ipv6": ("0",),
}
_NO_ROUTER = {"net/ipv6/conf/all/forwarding": ("0",)}

Fact = tuple[Subject, Value]


def planned(
    cables: Iterable[Cable],
    tunnels: Iterable[Tunnel],
    detours: Mapping[str, Iterable[Detour]],
    places: Mapping[str, str],
) -> Facts:
    """All facts of a network. `detours` are those for hostPorts, by place; `places` those of bridges."""
    found: dict[Subject, Value] = {}
    for cable in cables:
        far = cable.host
        for end in cable.bridge_ends():
            place = far.place if far else places[end.bridge]
            found.update(_bridge_end(place, end, cable.mtu))
        if far:
            found.update(_host_end(far, cable.mtu, detours.get(far.place, ())))
    for tunnel in tunnels:
        found.update(_tunnel(tunnel))
    return found


def _bridge_end(place: str, end: BridgeEnd, mtu: int) -> Iterator[Fact]:
    yield Subject(place, Kind.LINK, end.interface, at_switch=True), UP
    yield Subject(place, Kind.MTU, end.interface, at_switch=True), mtu
    yield Subject(place, Kind.PORT, end.interface, at_switch=True), Seat(end.bridge, end.ofport)


def _tunnel(tunnel: Tunnel) -> Iterator[Fact]:
    yield from _bridge_end(tunnel.place, tunnel.end, tunnel.mtu)
    for remote in tunnel.remotes:
        yield (
            Subject(tunnel.place, Kind.TUNNEL, tunnel.end.interface, remote.mac, at_switch=True),
            remote.address,
        )


def _host_end(host: HostEnd, mtu: int, detours: Iterable[Detour]) -> Iterator[Fact]:
    place, interface = host.place, host.interface
    yield Subject(place, Kind.LINK, "lo"), UP
    yield Subject(place, Kind.LINK, interface), UP
    yield Subject(place, Kind.MTU, interface), mtu
    yield Subject(place, Kind.MAC, interface), host.mac
    for address in host.addresses:
        yield Subject(place, Kind.ADDRESS, interface, address), THERE
    for route in host.routes:
        yield _route(place, interface, route)
        if route.gateway_mac:
            yield Subject(place, Kind.NEIGHBOUR, interface, route.gateway), route.gateway_mac
    for neighbour in host.neighbours:
        yield Subject(place, Kind.NEIGHBOUR, interface, neighbour.address), neighbour.mac
    yield from _rules(host, detours)
    yield from ((Subject(place, Kind.SYSCTL, what=key), Setting(v)) for key, v in _sysctls(host))


def _route(place: str, interface: str, route: HostRoute, table: int = rtnl.MAIN_TABLE) -> Fact:
    version = route.gateway.version
    key = RouteKey(route.destination or _DEFAULT[version], table, usual_metric(version))
    way = Way((Hop(interface, route.gateway),), route.source)
    return Subject(place, Kind.ROUTE, what=key), way


def _rules(host: HostEnd, detours: Iterable[Detour]) -> Iterator[Fact]:
    own = host.own_ports
    diverted = {route.gateway.version for route in own.routes} if own else set()
    lookups = [rtnl.MAIN_RULE, rtnl.DEFAULT_RULE]
    for version in (4, 6):
        first = own_ports.LOCAL_PRIORITY if version in diverted else 0
        yield Subject(host.place, Kind.RULE, what=Lookup(version, first, rtnl.LOCAL_TABLE)), THERE
        for priority, table in lookups if version == 4 else lookups[:1]:
            yield Subject(host.place, Kind.RULE, what=Lookup(version, priority, table)), THERE
    if own:
        for rule in (*own_ports.node_port_rules(own.detours), *own_ports.host_port_rules(detours)):
            yield Subject(host.place, Kind.RULE, what=rule), THERE
        for table, route in own_ports.side_routes(own.routes):
            yield _route(host.place, host.interface, route, table)


def _sysctls(host: HostEnd) -> Iterator[tuple[str, tuple[str, ...]]]:
    settings = dict(netns.SYSCTLS)
    settings.update({key.format(host.interface): values for key, values in _EVERYWHERE.items()})
    settings.update(_NO_ROUTER)
    if host.own_ports:
        settings.update(own_ports.SYSCTLS)
    settings.update(host.sysctls)
    yield from settings.items()

"""Configurations of BIRD, the routing daemon, as text: one for each node, and one for each router.

A node's BIRD holds its prefixes as static routes that it tells its router; it touches no kernel table, since
the node's bridge forwards. A router's BIRD learns, and writes what it learned into the kernel, where routes
of equal cost become one with several next hops. Nobody restarts gracefully: a speaker that is gone is to be
left at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emulator.cluster.advertisement import Peering, peerings
from emulator.cluster.wiring import Advertising, IPNetwork, LinuxRouter, Mode, Wiring

_FIRST_BLANK = "  "
_MOST_PATHS = 255
"""Next hops of one route, as many as BIRD knows; it would take 16."""


def node_config(wiring: Wiring, peering: Peering, prefixes: Sequence[IPNetwork]) -> str:
    """The configuration of a node's BIRD, which advertises `prefixes`."""
    own = {interface.version: interface.ip for interface in peering.node.addresses}
    lines = [
        *_head(wiring, peering.node.index),
        *_session(_advertising(wiring), peering.router, is_router=False),
    ]
    for version in own:
        chosen = [prefix for prefix in prefixes if prefix.version == version]
        lines += [
            f"protocol static services{version} {{",
            f"  ipv{version};",
            *(f"  route {prefix} blackhole;" for prefix in chosen),
            "}",
        ]
    for version, address in own.items():
        lines += [
            f"protocol bgp {session(peering.router.name, version)} from session {{",
            f"  local {address} as {_advertising(wiring).asn};",
            f"  neighbor {peering.gateway(version)} as {peering.router.asn};",
            f"  ipv{version} {{ import none; export where source = RTS_STATIC; next hop self; }};",
            "}",
        ]
    return "\n".join(lines) + "\n"


def router_config(wiring: Wiring, router: LinuxRouter) -> str:
    """The configuration of a router's BIRD: it listens to its nodes, and believes them."""
    asn = _advertising(wiring).asn
    versions = [address.version for address in router.addresses]
    lines = [
        *_head(wiring, 1 + len(wiring.nodes) + wiring.routers.index(router)),
        *_session(_advertising(wiring), router, is_router=True),
    ]
    for version in versions:
        lines += [
            f"protocol kernel kernel{version} {{",
            f"  merge paths on limit {_MOST_PATHS};",
            f"  ipv{version} {{ import none; export all; }};",
            "}",
            # What no node advertises must not follow the default route: it would come back from there.
            f"protocol static nobody{version} {{",
            f"  ipv{version} {{ preference 1; }};",
            *(f"  route {network} unreachable;" for network in _known(wiring) if network.version == version),
            "}",
        ]
    for peering in peerings(wiring):
        if peering.router.name != router.name:
            continue
        for interface in peering.node.addresses:
            version = interface.version
            lines += [
                f"protocol bgp {session(peering.node.name, version)} from session {{",
                f"  local {peering.gateway(version)} as {router.asn};",
                f"  neighbor {interface.ip} as {asn};",
                f"  ipv{version} {{ import all; export none; }};",
                "}",
            ]
    return "\n".join(lines) + "\n"


def _known(wiring: Wiring) -> tuple[IPNetwork, ...]:
    """The ranges that nodes may advertise."""
    pods = wiring.pod_cidrs if wiring.mode is Mode.ROUTED else ()
    return (*_advertising(wiring).ranges, *pods)


def _advertising(wiring: Wiring) -> Advertising:
    if wiring.advertising is None:
        raise ValueError(f"nobody speaks BGP in {wiring.name}")
    return wiring.advertising


def _head(wiring: Wiring, number: int) -> Iterator[str]:
    """The router id is a number that only looks like an address; an IPv6 cluster has no other."""
    yield f"# {wiring.name}; written anew at every change"
    yield "log stderr all;"
    yield f"router id 10.255.{number >> 8}.{number & 255};"
    yield "debug protocols { states };"
    yield "protocol device { scan time 10; }"


def _session(advertising: Advertising, router: LinuxRouter, *, is_router: bool) -> Iterator[str]:
    yield "template bgp session {"
    yield f"{_FIRST_BLANK}# AS {advertising.asn} speaks to AS {router.asn}"
    yield f"{_FIRST_BLANK}direct;"
    yield f"{_FIRST_BLANK}{'passive' if is_router else 'connect delay time 1'};"
    for words in (
        "connect retry time 1",
        "error wait time 1, 2",
        f"hold time {advertising.hold_time}",
        f"startup hold time {advertising.hold_time}",
        f"keepalive time {max(1, advertising.hold_time // 3)}",
        "graceful restart off",
        "long lived graceful restart off",
    ):
        yield f"{_FIRST_BLANK}{words};"
    yield "}"


def session(peer: str, version: int) -> str:
    """What a BIRD calls its session with a node or router: no hyphen, and no digit at the beginning."""
    symbol = f"{peer}_{version}".replace("-", "_")
    return f"_{symbol}" if symbol[0].isdigit() else symbol

"""The one list of causes, in the order in which they are looked for.

What keeps a packet from being sent comes before what becomes of it; a cause that explains another comes
before it; what the answers contradict each other about comes last, when no cause explains it.
"""

from __future__ import annotations

from emulator.verdict.causes import (
    addresses,
    daemons,
    machinery,
    name_servers,
    policies,
    sockets,
    unexplained,
)
from emulator.verdict.diagnose.diagnosis import Code, Finder

_BENEATH: tuple[Finder, ...] = (
    machinery.node_down,
    addresses.no_route,
    addresses.overlapping,
    machinery.router_down,
    machinery.link_down,
    machinery.overlay,
    machinery.bgp_down,
    machinery.bgp_session_down,
    daemons.controller_down,
    daemons.proxy_stale,
    daemons.conntrack_full,
    addresses.no_nat,
    addresses.route_missing,
)
"""Machinery: without it, manifests are words."""

_AT_THE_END: tuple[Finder, ...] = (
    addresses.ephemeral,
    name_servers.dns_server_down,
    name_servers.dns_upstream_down,
    sockets.not_listening,
    sockets.mtu_black_hole,
    daemons.stale_connection,
)
"""The packet is allowed and finds its way."""

FINDERS: tuple[Finder, ...] = (
    *_BENEATH,
    policies.source_isolated,
    policies.destination_isolated,
    *_AT_THE_END,
    unexplained.drifted,
    unexplained.tables_against_manifests,
    unexplained.packets_against_tables,
)

CODES: tuple[Code, ...] = (
    *machinery.CODES,
    *daemons.CODES,
    *addresses.CODES,
    *policies.CODES,
    *name_servers.CODES,
    *sockets.CODES,
    *unexplained.CODES,
)
"""All of them, as docs/diagnose.md lists them."""

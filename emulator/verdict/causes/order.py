"""The one list of causes, in the order in which they are looked for.

What keeps a packet from being sent comes before what becomes of it; a cause that explains another comes
before it; what the answers contradict each other about comes last, when no cause explains it.
"""

from __future__ import annotations

from emulator.verdict.causes import (
    addresses,
    cluster_policies,
    daemons,
    ingresses,
    machinery,
    name_servers,
    naming,
    node_ports,
    pods,
    policies,
    services,
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

_CANNOT_BE_SENT: tuple[Finder, ...] = (
    pods.source_ails,
    naming.blocked_by_policy,
    naming.broken_alias,
    naming.wrong_name,
    pods.target_ails,
    services.missing,
)
"""Who sends, the name, who is asked."""

_STOPPED: tuple[Finder, ...] = (
    cluster_policies.source_denied,
    policies.source_isolated,
    services.without_port,
    services.without_endpoints,
    services.without_local_endpoint,
    services.outside_source_ranges,
    cluster_policies.destination_denied,
    policies.destination_isolated,
)
"""As the manifests say."""

_AT_THE_END: tuple[Finder, ...] = (
    services.drains,
    services.wrong_target_port,
    pods.claimant_ails,
    node_ports.wrong_port,
    ingresses.unserved_class,
    ingresses.unserved_backend,
    ingresses.without_rule,
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
    *_CANNOT_BE_SENT,
    *_STOPPED,
    *_AT_THE_END,
    # The answers contradict each other.
    unexplained.drifted,
    unexplained.tables_against_manifests,
    unexplained.packets_against_tables,
)

CODES: tuple[Code, ...] = (
    *policies.CODES,
    *cluster_policies.CODES,
    *services.CODES,
    *pods.CODES,
    *naming.CODES,
    *name_servers.CODES,
    *ingresses.CODES,
    *node_ports.CODES,
    *sockets.CODES,
    *addresses.CODES,
    *machinery.CODES,
    *daemons.CODES,
    *unexplained.CODES,
)
"""All of them, as docs/diagnose.md lists them."""

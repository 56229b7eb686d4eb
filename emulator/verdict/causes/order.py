"""The one list of causes, in the order in which they are looked for.

What keeps a packet from being sent comes before what becomes of it; a cause that explains another comes
before it; what the answers contradict each other about comes last, when no cause explains it.
"""

from __future__ import annotations

from emulator.cluster.places import PlaceKind
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
from emulator.verdict.diagnose.diagnosis import Cause, Code, Finder
from emulator.verdict.diagnose.evidence import Evidence

_BENEATH: tuple[Finder, ...] = (
    daemons.switch_down,
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
    ingresses.proxy_down,
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
    machinery.link_impaired,
)
"""The packet is allowed and finds its way."""

RECOGNISED: tuple[Finder, ...] = (*_BENEATH, *_CANNOT_BE_SENT, *_STOPPED, *_AT_THE_END)
"""What something is known to be wrong by, also where nothing was sent."""

FINDERS: tuple[Finder, ...] = (
    *RECOGNISED,
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


_AT_THE_SENDER, _NAMES, _AT_ITS_NODE, _LEAVING, _BETWEEN, _ENTERING, _AT_THE_RECEIVER = range(7)
_MET: dict[str, int] = {
    code.name: stage
    for stage, codes in (
        (_AT_ITS_NODE, (*services.CODES, *pods.CODES, unexplained.DRIFTED, *daemons.CODES)),
        (_AT_ITS_NODE, (addresses.EPHEMERAL,)),
        (_AT_THE_SENDER, (addresses.NO_ROUTE, addresses.OVERLAPPING)),
        (_NAMES, (*naming.CODES, *name_servers.CODES, services.NO_SUCH_SERVICE, pods.NO_SUCH_POD)),
        (_LEAVING, (policies.SOURCE_ISOLATED, cluster_policies.SOURCE_DENIED)),
        (_BETWEEN, (*machinery.CODES, addresses.NO_NAT, addresses.ROUTE_MISSING)),
        (_ENTERING, (policies.DESTINATION_ISOLATED, cluster_policies.DESTINATION_DENIED)),
        (_AT_THE_RECEIVER, (services.WRONG_TARGET_PORT, *sockets.CODES, *ingresses.CODES, *node_ports.CODES)),
    )
    for code in codes
}
"""What is listed twice is met where it is listed last."""


def met(cause: Cause, evidence: Evidence) -> int:
    """When a packet meets the cause on its way; equal ones, as they are found."""
    own = {f"Pod/{evidence.source}", f"Pod/{evidence.asked.source}", _home(evidence)}
    if cause.object in own and cause.code in (*pods.CODES, machinery.NODE_DOWN):
        return _AT_THE_SENDER
    stage = _MET.get(cause.code.name, _BETWEEN)
    from_outside = evidence.asked.source.kind is PlaceKind.EXTERNAL
    return _ENTERING if from_outside and stage == _AT_ITS_NODE else stage


def _home(evidence: Evidence) -> str:
    pod = evidence.typed_pod(evidence.source)
    return f"Node/{pod.node}" if pod is not None else ""

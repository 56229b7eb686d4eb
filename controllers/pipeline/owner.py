"""Whom a flow serves, and the cookie that says so on the switch.

A cookie has four parts, from the top: round (16 bits; which run of the controller installed
the flow), kind (8), bridge (8; the low byte of the datapath id) and object (32; a hash of the
owner's name). The round is the only part that is not a function of the program.
"""

from __future__ import annotations

from functools import cache
from zlib import crc32

from emulator.cluster.model import Ref

KINDS = (
    "Pipeline", "Node", "Pod", "Service", "Route", "NetworkPolicy", "Ingress", "Topology", "Affinity",
    "ClusterNetworkPolicy", "Association", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy",
)  # fmt: skip
"""Kinds of owners in the order of their numbers; new ones are appended."""

ROUND_SHIFT, KIND_SHIFT, BRIDGE_SHIFT = 48, 40, 32
ROUND_MASK = 0xFFFF << ROUND_SHIFT

PIPELINE = Ref("Pipeline", "", "base")
"""Owner of the flows that every bridge of its role has."""


@cache
def owner_bits(owner: Ref) -> int:
    """Kind and object of the cookie. Raises ValueError for a kind without a number."""
    return KINDS.index(owner.kind) << KIND_SHIFT | crc32(f"{owner.namespace}/{owner.name}".encode())


def cookie_of(owner: Ref, datapath_id: int, round_number: int = 0) -> int:
    """The cookie of the owner's flows on one bridge."""
    return round_number << ROUND_SHIFT | owner_bits(owner) | (datapath_id & 0xFF) << BRIDGE_SHIFT


def without_round(cookie: int) -> int:
    """The part of a cookie that depends on the program alone."""
    return cookie & ~ROUND_MASK

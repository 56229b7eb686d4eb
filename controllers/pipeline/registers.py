"""Every bit that a packet carries from stage to stage, and every bit of a connection's mark.

Registers live as long as a packet's walk through one bridge. `ct_mark` lives as long as the
connection in the bridge's MAIN zone: it is what later packets of the connection know about
the first one.
"""

from __future__ import annotations

from enum import IntEnum

from controllers.pipeline.fields import CT_MARK, REG0, REG1, REG2, REG3, REG4, REG5, REG6, REG7, XXREG2


class Source(IntEnum):
    """Where a packet entered a node's bridge."""

    POD = 1
    HOST = 2
    TUNNEL = 3
    UPLINK = 4


class Punt(IntEnum):
    """Why a packet was handed to the controller, which answers with the ICMP error named here."""

    TIME_EXCEEDED = 1
    PORT_UNREACHABLE = 2
    NET_UNREACHABLE = 3
    HOST_UNREACHABLE = 4


SOURCE = REG0.part(0, 3)
"""Where the packet entered: 1 a pod, 2 the node's stack, 3 the tunnel, 4 the uplink."""
MASQUERADE = REG0[8]
"""This new connection is to leave with a source address of the node; its packets pass the SNAT zone."""
HAIRPIN = REG0[9]
"""The chosen endpoint is the client itself."""
KNOWN = REG0[10]
"""Policies have judged the packet's connection, which exists; of SCTP, it is an answer."""
TO_NODE_ADDRESS = REG0[11]
"""The destination is one of the node's own addresses, where NodePorts answer."""

OUT_PORT = REG1.part(0, 31)
"""The OpenFlow port that Output sends to."""

SERVICE = REG2.part(0, 15)
"""The id of the service port that the packet addresses."""
LOCAL_SET = REG2[16]
"""Only endpoints on this node may be chosen (a traffic policy is Local)."""
ENDPOINT_IPV4 = REG3.part(0, 31)
ENDPOINT_IPV6 = XXREG2.part(0, 127)
"""The chosen endpoint's address."""
ENDPOINT_PORT = REG4.part(0, 15)
"""The chosen endpoint's port."""
REMEMBERED = REG4[16]
"""The endpoint is the one that the client was given before (sessionAffinity)."""
TARGET = REG5.part(16, 31)
"""Load balancers: the number of the chosen node."""
ENDPOINT_SLOT = REG5.part(0, 15)
"""Which of the endpoints the hash chose."""

SWAP_MAC = XXREG2.part(0, 47)
SWAP_IPV4 = REG3.part(0, 31)
SWAP_IPV6 = XXREG2.part(0, 127)
"""A place to keep one of two addresses that change places."""

PUNT = REG6.part(0, 7)
"""For the controller, which ICMP error to send: 1 time exceeded, 2 port, 3 net, 4 host unreachable."""

ROUTE = REG7.part(0, 7)
"""Router bridges: the group of equal-cost next hops that the packet's route names."""
ROUTE_SLOT = REG7.part(8, 15)
"""Router bridges: which of them the hash chose."""
SEGMENT = REG7.part(16, 31)
"""Router bridges: the subnet whose hosts see each other's frames."""

MARK_SERVICE = CT_MARK[0]
"""The connection was translated to a service's endpoint."""
MARK_MASQUERADE = CT_MARK[1]
"""`MASQUERADE` of the first packet."""
MARK_HAIRPIN = CT_MARK[2]
"""`HAIRPIN` of the first packet."""
MARK_FLAGS = CT_MARK.part(1, 2)
"""`MARK_MASQUERADE` and `MARK_HAIRPIN`, in the order of `FLAGS`."""
FLAGS = REG0.part(8, 9)
"""`MASQUERADE` and `HAIRPIN`, in the order of `MARK_FLAGS`."""
MARK_SOURCE = CT_MARK.part(8, 11)
"""`SOURCE` of the first packet."""
MARK_TARGET = CT_MARK.part(16, 31)
"""`TARGET` of the first packet, in a load balancer's zone, where no `MARK_SERVICE_ID` is kept."""
MARK_SERVICE_ID = CT_MARK.part(16, 31)
"""`SERVICE` of the first packet."""

NAMED = {name: bits for name, bits in sorted(globals().items()) if name.isupper() and hasattr(bits, "mask")}
"""All of the above by name, for documentation and traces."""

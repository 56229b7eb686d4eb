"""Faults of machines and of the ways between them."""

from __future__ import annotations

from emulator.cluster.faults.kind import FaultKind, Parameter, node, router, text, whole

_NODE = Parameter("node", "The node.", node, required=True, suggests="nodes")

MACHINES: tuple[FaultKind, ...] = (
    FaultKind(
        "node-down",
        "Take a node off the network with everything on it: nothing comes or goes, not even among its pods.",
        "After a moment of silence the node is NotReady, its endpoints leave their Services, and its pods "
        "are replaced elsewhere. Until then a share of all connections is lost.",
        (_NODE,),
    ),
    FaultKind(
        "nat-gateway-down",
        "Take a NAT gateway off the network.",
        "Pods no longer reach the internet, while everything within the cluster goes on.",
        (Parameter("router", "The gateway; not needed where there is one.", router, suggests="routers"),),
    ),
    FaultKind(
        "internet-gateway-down",
        "Take the internet gateway off the network.",
        "Nobody outside reaches the cluster, and the cluster nobody outside; the NAT gateway is well.",
        (Parameter("router", "The gateway; not needed where there is one.", router, suggests="routers"),),
    ),
    FaultKind(
        "vpc-route-removed",
        "Remove a route from a router's table.",
        "What no other route leads to is answered with network unreachable, or lost; all else goes on.",
        (
            Parameter(
                "router", "Whose table, as fabric or private-a.", router, required=True, suggests="routers"
            ),
            Parameter("to", "The route's destination, as 0.0.0.0/0; all routes of that table without.", text),
        ),
    ),
    FaultKind(
        "wrong-vtep",
        "Let a node's VXLAN device have a wrong address for another node.",
        "Pods of the two nodes do not reach each other from this side, while both nodes do and all other "
        "pods, too: the overlay is told apart from what lies beneath.",
        (
            _NODE,
            Parameter("peer", "The other node.", node, required=True, suggests="nodes"),
        ),
    ),
    FaultKind(
        "conntrack-full",
        "Let a node track no more connections, or only so many.",
        "What is tracked goes on; what is new is lost: it works for some and not for others.",
        (_NODE, Parameter("left", "So many new connections are tracked at a time.", whole(0), default=0)),
    ),
)

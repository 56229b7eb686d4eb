"""Faults of what tells the switches how to forward."""

from __future__ import annotations

from emulator.cluster.faults.kind import SEED, FaultKind, Parameter, node, whole

_NODE = Parameter("node", "The node.", node, required=True, suggests="nodes")
_COUNT = Parameter("count", "How many flows.", whole(1), default=3)

RULES: tuple[FaultKind, ...] = (
    FaultKind(
        "kube-proxy-stopped",
        "Stop kube-proxy on a node: it keeps its rules for Services as they are.",
        "Services that change later change for all other nodes; pods of this one are sent to endpoints that "
        "are gone, and find new Services nowhere. NetworkPolicy and pods' routes, which the CNI plugin keeps,"
        " go on.",
        (_NODE,),
    ),
    FaultKind(
        "flows-deleted",
        "Delete flows of a node behind the controller's back, chosen at random.",
        "The controller's audit puts them back, in a second or so: inject controller-down before to see what "
        "is missing without them.",
        (_NODE, _COUNT, SEED),
    ),
    FaultKind(
        "flows-altered",
        "Let flows of a node, chosen at random, drop what they match, behind the controller's back.",
        "mininetes diff names each with its owner. The controller's audit, which puts right what anybody "
        "else alters at once, bears with these: they stay so until fault clear or diff --heal, also when the "
        "controller or Open vSwitch comes anew.",
        (_NODE, _COUNT, SEED),
    ),
)

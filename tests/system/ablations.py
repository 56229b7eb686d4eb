"""What the controller of the ablation tests can leave out, by the name that a label gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from controllers.pipeline.features import conntrack
from controllers.pipeline.flow import Flow
from controllers.pipeline.view import NodeView
from emulator.cluster.model import ClusterState
from tests import ablation
from tests.ablation import Ablation

NAMESPACE, LABEL = "shop", "without"
"""Where the controller looks for what it is to leave out."""

FEATURES: Mapping[str, Ablation] = {
    "affinity": Ablation("affinity"),
    "associations": ablation.UNASSOCIATED,
    "balanced_frames": Ablation("balanced_frames"),
    "classifier": ablation.UNCLASSIFIED,
    "cluster_network_policy": Ablation("cluster_network_policy", ("policy_flows",)),
    "conntrack": ablation.UNTRACKED,
    "forwarding": ablation.PEERS_UNROUTED,
    "host_ports": Ablation("host_ports"),
    "load_balancer": Ablation("load_balancer"),
    "loopback": Ablation("loopback"),
    "masquerade": ablation.UNMASQUERADED,
    "nat_gateway": ablation.UNTRANSLATED,
    "neighbours": Ablation("neighbours", ("node_flows",)),
    "network_policy": Ablation("network_policy", ("policy_flows",)),
    "node_ports": Ablation("node_ports", ("service_flows",)),
    "output": ablation.NO_HAIRPIN,
    "outward": Ablation("outward"),
    "router": ablation.UNSWITCHED,
    "routing": ablation.PREFIXES_UNROUTED,
    "sctp": Ablation("sctp"),
    "services": Ablation("services", ("service_flows",)),
    "spoof_guard": ablation.UNGUARDED,
    "ttl": ablation.UNCOUNTED,
}
"""One of each feature file, the one that shows what it is for."""

_TRACKED: Callable[[NodeView], Iterator[Flow]] = conntrack.flows


def _looked_up_again(view: NodeView) -> Iterator[Flow]:
    return (flow for flow in _TRACKED(view) if flow.name != "retransmitted-first-packet")


REPEATED = "repeated-first-packets"
"""The rule for a first packet that is sent again."""
ZONES = "zones"
"""A conntrack zone for each node."""
LEFT_OUT: Mapping[str, Ablation] = {
    **FEATURES,
    REPEATED: Ablation("conntrack", instead={"flows": _looked_up_again}),
}


def one_zone(state: ClusterState) -> ClusterState:
    """Worker-3 shares the zones of worker-1."""
    first, third = (state.wiring.bridge(state.wiring.nodes[number].bridge) for number in (0, 2))
    shared = replace(third, zone=first.zone)
    bridges = tuple(shared if bridge is third else bridge for bridge in state.wiring.bridges)
    return replace(state, wiring=replace(state.wiring, bridges=bridges))

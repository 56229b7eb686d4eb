"""From the state of a cluster to the flow programs of all its bridges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from controllers.pipeline.features import (
    classifier,
    conntrack,
    forwarding,
    masquerade,
    nat_gateway,
    neighbours,
    node_ports,
    output,
    router,
    routing,
    services,
    spoof_guard,
    ttl,
)
from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.view import NodeView, RouterView
from emulator.cluster.model import ClusterState
from emulator.cluster.wiring import Bridge, BridgeRole

NODE_FEATURES: tuple[Callable[[NodeView], Iterator[Flow]], ...] = (
    classifier.flows,
    spoof_guard.flows,
    neighbours.node_flows,
    ttl.node_flows,
    conntrack.flows,
    services.flows,
    node_ports.flows,
    forwarding.flows,
    masquerade.flows,
    output.node_flows,
)
"""What makes a node's bridge. A new feature is one more function here."""

ROUTER_FEATURES: Mapping[BridgeRole, tuple[Callable[[RouterView], Iterator[Flow]], ...]] = MappingProxyType(
    {
        BridgeRole.FABRIC: (router.flows, neighbours.router_flows, routing.flows),
        BridgeRole.INTERNET: (router.flows, neighbours.router_flows, routing.flows),
        BridgeRole.NAT: (router.flows, neighbours.router_flows, nat_gateway.flows),
    }
)
"""What makes the other bridges, by role."""


def compile_cluster(state: ClusterState) -> Mapping[str, FlowProgram]:
    """The program of every bridge, by the bridge's name in Open vSwitch.

    Raises PipelineError when features contradict each other, which is a bug of theirs.
    """
    return {bridge.name: compile_bridge(state, bridge) for bridge in state.wiring.bridges}


def compile_bridge(state: ClusterState, bridge: Bridge) -> FlowProgram:
    """The program of one bridge."""
    return FlowProgram.of(bridge.name, bridge.datapath_id, _flows(state, bridge))


def _flows(state: ClusterState, bridge: Bridge) -> Iterator[Flow]:
    if bridge.role is BridgeRole.NODE:
        node = next(node for node in state.wiring.nodes if node.bridge == bridge.name)
        view = NodeView(state, bridge, node)
        for feature in NODE_FEATURES:
            yield from feature(view)
    else:
        router_view = RouterView(state, bridge)
        for router_feature in ROUTER_FEATURES[bridge.role]:
            yield from router_feature(router_view)

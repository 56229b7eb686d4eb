"""From the state of a cluster to the flow programs of all its bridges."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from controllers.pipeline.claims import settled
from controllers.pipeline.features import (
    affinity,
    associations,
    balanced_frames,
    classifier,
    cluster_network_policy,
    conntrack,
    forwarding,
    host_ports,
    load_balancer,
    loopback,
    masquerade,
    nat_gateway,
    neighbours,
    network_policy,
    node_ports,
    output,
    outward,
    router,
    routing,
    sctp,
    services,
    spoof_guard,
    ttl,
)
from controllers.pipeline.flow import Flow, FlowProgram, Flows, collect
from controllers.pipeline.policies import NOTHING, NodePolicies, node_policies
from controllers.pipeline.view import BalancerView, NodeView, RouterView
from emulator.cluster.model import ClusterState, Pod, Ref, Service
from emulator.cluster.wiring import Bridge, BridgeRole, NodePlan, PodPort, Wiring

Object = TypeVar("Object", Pod, Service)

NODE_FEATURES: tuple[Callable[[NodeView], Iterator[Flow]], ...] = (
    classifier.flows,
    spoof_guard.flows,
    neighbours.node_flows,
    ttl.node_flows,
    conntrack.flows,
    services.flows,
    affinity.flows,
    node_ports.flows,
    loopback.flows,
    cluster_network_policy.flows,
    network_policy.flows,
    associations.flows,
    forwarding.flows,
    masquerade.flows,
    output.node_flows,
)
"""What makes a node's bridge, whatever runs there."""

POD_FEATURES: tuple[Callable[[NodeView, Pod, PodPort], Iterator[Flow]], ...] = (
    spoof_guard.pod_flows,
    forwarding.pod_flows,
    host_ports.pod_flows,
)
"""What each pod adds to its node's bridge."""

SERVICE_FEATURES: tuple[Callable[[NodeView, Service], Iterator[Flow]], ...] = (
    services.service_flows,
    node_ports.service_flows,
    outward.service_flows,
    sctp.service_flows,
)
"""What each service adds to every node's bridge."""

ROUTER_FEATURES: Mapping[BridgeRole, tuple[Callable[[RouterView], Iterator[Flow]], ...]] = MappingProxyType(
    {
        BridgeRole.FABRIC: (router.flows, neighbours.router_flows, routing.flows, balanced_frames.flows),
        BridgeRole.INTERNET: (router.flows, neighbours.router_flows, routing.flows),
        BridgeRole.NAT: (router.flows, neighbours.router_flows, nat_gateway.flows),
    }
)
"""What makes the other bridges, by role."""

BALANCER_FEATURES: tuple[Callable[[BalancerView], Iterator[Flow]], ...] = (router.flows, load_balancer.flows)
"""What makes a load balancer's bridge, beside what each service adds to it."""


def compile_cluster(state: ClusterState) -> Mapping[str, FlowProgram]:
    """The program of every bridge, by the bridge's name in Open vSwitch.

    Raises PipelineError when features contradict each other, which is a bug of theirs.
    """
    return Compiler().compile(state)


class Compiler:
    """Compiles one state after the other; what did not change since the last one is not compiled again.

    The result depends on the state alone.
    """

    def __init__(self) -> None:
        self._wiring: Wiring | None = None
        self._known: dict[Ref, Pod | Service] = {}
        self._policies: Mapping[str, NodePolicies] = {}
        self._units: dict[tuple[str, Ref | None], tuple[Source, Flows]] = {}

    def compile(self, state: ClusterState) -> Mapping[str, FlowProgram]:
        """The program of every bridge; raises what `compile_cluster` raises."""
        if state.wiring is not self._wiring:
            self._wiring, self._known, self._policies, self._units = state.wiring, {}, {}, {}
        pods = [pod for pod in self._recognise(state.pods) if pod.port is not None and not pod.host_network]
        services = self._recognise(settled(state.services))
        self._known = {pod.ref: pod for pod in pods} | {service.ref: service for service in services}
        self._policies = self._recall(node_policies(state))
        nodes = {node.bridge: node for node in state.wiring.nodes}
        kept = self._units
        self._units = {}
        programs = {}
        for bridge in state.wiring.bridges:
            node = nodes.get(bridge.name)
            policies = self._policies.get(node.name, NOTHING) if node else NOTHING
            recipes = _recipes(state.wiring, bridge, node, pods, services, policies)
            units: dict[Hashable, Flows] = {}
            for ref, obj, recipe in recipes:
                unit = kept.get((bridge.name, ref))
                if unit is None or unit[0] is not obj:
                    unit = (obj, collect(recipe()))
                self._units[bridge.name, ref] = unit
                units[ref] = unit[1]
            programs[bridge.name] = FlowProgram(bridge.name, bridge.datapath_id, units)
        return programs

    def _recall(self, found: Mapping[str, NodePolicies]) -> Mapping[str, NodePolicies]:
        """The nodes' policies; those that equal the last ones are replaced by them."""
        known = self._policies
        return {node: known[node] if known.get(node) == new else new for node, new in found.items()}

    def _recognise(self, objects: Iterable[Object]) -> list[Object]:
        """The objects; one that equals a known one is replaced by it, so that `is` tells what is new."""
        found: list[Object] = []
        for obj in objects:
            known = self._known.get(obj.ref)
            found.append(known if isinstance(known, type(obj)) and known == obj else obj)
        return found


POLICIES = Ref("NetworkPolicy", "", "")
"""Names the unit of all policies of a node: they share flows."""

Source = Pod | Service | NodePolicies | None
Recipe = tuple[Ref | None, Source, Callable[[], Iterable[Flow]]]
"""A unit of a program: what it is compiled from (nothing: the bridge itself), and how."""


def _recipes(
    wiring: Wiring,
    bridge: Bridge,
    node: NodePlan | None,
    pods: Iterable[Pod],
    services: Iterable[Service],
    policies: NodePolicies,
) -> Iterator[Recipe]:
    if node is None:
        if wiring.balancer is not None and bridge.role is BridgeRole.LB:
            yield from _balancer_recipes(BalancerView(wiring, bridge, wiring.balancer), services)
            return
        router_view = RouterView(wiring, bridge)
        yield None, None, partial(_all, ROUTER_FEATURES[bridge.role], router_view)
        return
    view = NodeView(wiring, bridge, node)
    yield None, None, partial(_all, NODE_FEATURES, view)
    for pod in pods:
        if pod.node == node.name:
            yield pod.ref, pod, partial(_all, POD_FEATURES, view, pod, pod.port)
    for service in services:
        yield service.ref, service, partial(_all, SERVICE_FEATURES, view, service)
    if policies is not NOTHING:
        yield POLICIES, policies, partial(_policies, view, policies)


def _policies(view: NodeView, policies: NodePolicies) -> Iterator[Flow]:
    yield from cluster_network_policy.policy_flows(view, policies)
    yield from network_policy.policy_flows(view, policies)
    yield from associations.policy_flows(view)


def _balancer_recipes(view: BalancerView, services: Iterable[Service]) -> Iterator[Recipe]:
    yield None, None, partial(_all, BALANCER_FEATURES, view)
    for service in services:
        if service.load_balancer:
            yield service.ref, service, partial(load_balancer.service_flows, view, service)


def _all(features: Iterable[Callable[..., Iterator[Flow]]], *arguments: object) -> Iterator[Flow]:
    for feature in features:
        yield from feature(*arguments)

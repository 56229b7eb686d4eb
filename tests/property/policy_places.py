"""Nine pods that policies are tried on, without a network: documents become flows, which say who passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from controllers.pipeline.compile import Compiler
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import to_port
from emulator.api.defaults import with_defaults
from emulator.api.validate import check
from emulator.cluster.model import ClusterState, ContainerPort, Direction, NetworkPolicy, Pod, Protocol, Ref
from emulator.cluster.policies import network_policies
from tests.property.policy_suite import NAMESPACES, PLACES, PORTS, Object, labels, named_ports
from tests.unit.controllers.cluster import pod
from tests.unit.controllers.policy_lab import PLAN, STAGES_OF, last_word, question

FAMILIES = (4, 6)


def _pod(place: str) -> Pod:
    namespace, name = place.split("/")
    number = "abc".index(name) + 1
    declared = (
        ContainerPort(one["name"], Protocol(one["protocol"]), one["containerPort"])
        for one in named_ports(place)
    )
    made = pod(PLAN, name, f"worker-{number}", "xyz".index(namespace) + 2)
    return replace(
        made,
        ref=Ref("Pod", namespace, name),
        labels=labels(place),
        uid=place,
        container_ports=tuple(declared),
    )


PODS = {place: _pod(place) for place in PLACES}
ADDRESSES = {
    (place, address.version): str(address) for place, one in PODS.items() for address in one.addresses
}
AT = {place.replace("/", "") + str(family): text for (place, family), text in ADDRESSES.items()}


def read(document: Object) -> NetworkPolicy:
    """As the API server would take it, defaults and all."""
    checked = check(document)
    assert not checked.findings, (document, checked.findings)
    (policy,) = network_policies([with_defaults(checked.obj)])
    return policy


@dataclass(frozen=True)
class Compiled:
    """The cluster with some policies."""

    state: ClusterState
    flows: dict[tuple[str, Direction], list[Flow]]
    """Those that policies are about, by node."""

    @classmethod
    def of(cls, compiler: Compiler, documents: Iterable[Object]) -> Compiled:
        """Of policies as they are written."""
        policies = tuple(map(read, documents))
        state = ClusterState(PLAN, pods=tuple(PODS.values()), namespaces=NAMESPACES, policies=policies)
        programs = compiler.compile(state)
        flows = {
            (node.name, direction): [
                flow for flow in programs[node.bridge] if flow.stage in STAGES_OF[direction]
            ]
            for node in PLAN.nodes
            for direction in Direction
        }
        return cls(state, flows)

    def end_allows(
        self, direction: Direction, source: str, target: str, family: int, protocol: Protocol, port: int
    ) -> bool:
        """Whether the flows at one end let the first packet out, or in."""
        one, other = PODS[source], PODS[target]
        node = (one if direction is Direction.EGRESS else other).node
        packet = question(one, other, to_port(family, protocol, port), direction)
        return bool(last_word(self.flows[node, direction], direction, packet).actions)

    def ways(self, protocol: Protocol) -> set[tuple[str, str, int, int]]:
        """Who reaches whom, over which family and at which port."""
        return {
            (source, target, family, port)
            for source, target, family, port in product(PLACES, PLACES, FAMILIES, PORTS)
            if source != target
            and all(self.end_allows(side, source, target, family, protocol, port) for side in Direction)
        }

"""Policies of every kind, as conformance suites generate them: three readings agree on every way.

The documents as they are written (`policy_truth`), the objects as the oracle judges them, and the flows that
are compiled of them, each end by itself. `make test` takes some of the worlds, `make soak` all of them;
packets meet some in `tests/system/policies/test_conformance.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product

import pytest

from controllers.pipeline.compile import Compiler
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import to_port
from emulator.api.defaults import with_defaults
from emulator.api.validate import check
from emulator.cluster.model import ClusterState, ContainerPort, Direction, NetworkPolicy, Pod, Protocol, Ref
from emulator.cluster.policies import network_policies
from emulator.oracle.policy import Peer, judge
from tests.conftest import SEED
from tests.property.policy_suite import (
    NAMESPACES,
    PLACES,
    PORTS,
    PORTS_OF_RULES,
    Object,
    crossed,
    labels,
    named_ports,
    peers,
    worlds,
)
from tests.property.policy_truth import World
from tests.unit.controllers.cluster import pod
from tests.unit.controllers.policy_lab import PLAN, STAGES_OF, last_word, question

EXHAUSTIVE = "MININETES_EXAMPLES" in os.environ
SOME = 3
"""Worlds of nine policies and more in `make test`."""
FAMILIES = (4, 6)

Flows = dict[tuple[str, Direction], list[Flow]]


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


def test_every_dimension_is_crossed_with_every_other() -> None:
    assert len(crossed(AT, SEED)) == 2 * len(peers(AT)) * len(PORTS_OF_RULES)
    assert crossed(AT, 1) == crossed(AT, 1)


@pytest.mark.timeout(900 if EXHAUSTIVE else 120)
def test_documents_objects_and_flows_agree() -> None:
    compiler, found = Compiler(), Counter[bool]()
    for policies in islice(worlds(AT, SEED), None if EXHAUSTIVE else SOME):
        _agree(compiler, policies, found)
    print(f"seed {SEED}: {found.total()} ends of connections, {dict(found)}")
    # Were all of them open or all of them shut, nothing would have been told apart.
    assert min(found[True], found[False]) > found.total() / 10


def _agree(compiler: Compiler, policies: Sequence[Object], found: Counter[bool]) -> None:
    known = {place: named_ports(place) for place in PLACES}
    world = World(policies, {place: labels(place) for place in PLACES}, NAMESPACES, known, ADDRESSES)
    state = ClusterState(
        PLAN, pods=tuple(PODS.values()), namespaces=NAMESPACES, policies=tuple(map(_read, policies))
    )
    flows: Flows = {
        (node.name, direction): [
            flow for flow in compiler.compile(state)[node.bridge] if flow.stage in STAGES_OF[direction]
        ]
        for node in PLAN.nodes
        for direction in Direction
    }
    for source, target, direction, family, (protocol, port) in product(
        PLACES, PLACES, Direction, FAMILIES, product(Protocol, PORTS)
    ):
        if source != target:
            one, other = PODS[source], PODS[target]
            own, peer = (one, other) if direction is Direction.EGRESS else (other, one)
            packet = question(one, other, to_port(family, protocol, port), direction)
            address = next(address for address in peer.addresses if address.version == family)
            said = {
                "documents": world.end_allows(direction, source, target, family, protocol, port),
                "objects": judge(state, direction, own, Peer(address, peer), protocol, port).passes,
                "flows": bool(last_word(flows[own.node, direction], direction, packet).actions),
            }
            assert len({*said.values()}) == 1, (
                source,
                target,
                direction,
                family,
                protocol,
                port,
                said,
                policies,
            )
            found[said["documents"]] += 1


def _read(document: Object) -> NetworkPolicy:
    checked = check(document)
    assert not checked.findings, (document, checked.findings)
    (policy,) = network_policies([with_defaults(checked.obj)])
    return policy

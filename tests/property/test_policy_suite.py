"""Policies of every kind, as conformance suites generate them: three readings agree on every way.

The documents as they are written (`policy_truth`), the objects as the oracle judges them, and the flows that
are compiled of them, each end by itself. `make test` takes some of the worlds, `make soak` all of them;
packets meet some in `tests/system/policies/test_conformance.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from itertools import islice, product

import pytest

from controllers.pipeline.compile import Compiler
from emulator.cluster.model import Direction, Protocol
from emulator.oracle.policy import Peer, judge
from tests.conftest import SEED
from tests.property.policy_places import ADDRESSES, AT, FAMILIES, PODS, Compiled
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

EXHAUSTIVE = "MININETES_EXAMPLES" in os.environ
SOME = 2
"""Worlds of nine policies and more in `make test`."""


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
    compiled = Compiled.of(compiler, policies)
    for source, target, side, family, (protocol, port) in product(
        PLACES, PLACES, Direction, FAMILIES, product(Protocol, PORTS)
    ):
        if source != target:
            one, other = PODS[source], PODS[target]
            own, peer = (one, other) if side is Direction.EGRESS else (other, one)
            address = next(address for address in peer.addresses if address.version == family)
            way = (side, source, target, family, protocol, port)
            said = {
                "documents": world.end_allows(*way),
                "objects": judge(compiled.state, side, own, Peer(address, peer), protocol, port).passes,
                "flows": compiled.end_allows(*way),
            }
            assert len({*said.values()}) == 1, (way, said, policies)
            found[said["documents"]] += 1

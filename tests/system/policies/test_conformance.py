"""The 48 cases by name: all 72 pairs of nine pods, two ports, IPv4 and IPv6, no fixed waits.

What packets do (wire), what the objects mean (spec) and what the flow tables have (trace) are found out by
three programs that share nothing, and each has to be what the case asserts.
"""

from __future__ import annotations

import pytest

from tests.conftest import SEED
from tests.property.policy_suite import NAMESPACES, labels, named_ports, worlds
from tests.property.policy_truth import World
from tests.system.policies.cases import CASES
from tests.system.policies.conftest import Object, Playground
from tests.system.policies.steps import Apply, Case, Delete, Expect, Label
from tests.system.policies.table import FAMILIES, PODS, Way, expected


def test_all_cases_are_there() -> None:
    assert [case.number for case in CASES] == list(range(1, 49))


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_without_policies_everybody_reaches_everybody(playground: Playground, protocol: str) -> None:
    assert_agreed(playground, protocol, expected(()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}: {case.name}")
def test_network_policy(playground: Playground, case: Case) -> None:
    for step in case.steps:
        match step:
            case Apply():
                playground.apply(step.namespace, step.name, step.spec)
            case Delete():
                playground.delete(step.namespace, step.name)
            case Label():
                playground.label(step.place, **step.labels)
            case Expect():
                assert_agreed(playground, step.protocol, expected(step.rows))


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_policies_as_a_suite_generates_them(playground: Playground, direction: str) -> None:
    """Ten at a time, of every kind; what they mean is read from the documents themselves."""
    at = {(place, family): playground.address(place, family) for place in PODS for family in FAMILIES}
    policies = next(iter(worlds(playground.addresses, SEED, direction)))
    playground.put(*policies)
    world = World(policies, {one: labels(one) for one in PODS}, NAMESPACES, dict(map(_named, PODS)), at)
    for protocol in ("tcp", "udp", "sctp"):
        wanted = {way for way in expected(()) if world.passes(*way[:3], protocol.upper(), way[3])}
        assert playground.reached(protocol) == wanted, (SEED, policies)


def _named(place: str) -> tuple[str, list[Object]]:
    return place, named_ports(place)


def assert_agreed(playground: Playground, protocol: str, wanted: set[Way]) -> None:
    """Wire, spec and trace are all of them as the case has it."""
    answers = {"wire": playground.reached(protocol), **playground.said(protocol)}
    wrong = {
        name: {"missing": sorted(wanted - found), "too many": sorted(found - wanted)}
        for name, found in answers.items()
        if found != wanted
    }
    assert not wrong

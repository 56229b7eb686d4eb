"""The 48 cases by name: all 72 pairs of nine pods, two ports, IPv4 and IPv6, no fixed waits.

What packets do (wire), what the objects mean (spec) and what the flow tables have (trace) are found out by
three programs that share nothing, and each has to be what the case asserts.
"""

from __future__ import annotations

import pytest

from tests.system.policies.cases import CASES
from tests.system.policies.conftest import Playground
from tests.system.policies.steps import Apply, Case, Delete, Expect, Label
from tests.system.policies.table import Way, expected


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


def assert_agreed(playground: Playground, protocol: str, wanted: set[Way]) -> None:
    """Wire, spec and trace are all of them as the case has it."""
    answers = {"wire": playground.reached(protocol), **playground.said(protocol)}
    wrong = {
        name: {"missing": sorted(wanted - found), "too many": sorted(found - wanted)}
        for name, found in answers.items()
        if found != wanted
    }
    assert not wrong

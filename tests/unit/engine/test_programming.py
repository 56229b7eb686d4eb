from __future__ import annotations

import asyncio

import pytest

from emulator.engine.programming import REPAIRS_KEPT, Programming
from emulator.engine.pulse import Pulse


def test_waiting_ends_with_the_acknowledgement_of_that_version() -> None:
    async def play() -> bool:
        programming = Programming(Pulse())
        waiting = asyncio.ensure_future(programming.wait(7))
        programming.acknowledge({"resourceVersion": "6", "bridges": {"n1": {"flows": 3}}})
        await asyncio.wait({waiting}, timeout=0)
        early = waiting.done()
        programming.acknowledge({"resourceVersion": "7", "bridges": {"n2": {"flows": 4}}})
        await waiting
        return early or programming.flows != 7

    assert not asyncio.run(play())


@pytest.mark.parametrize("body", [{}, {"resourceVersion": "x", "bridges": {}}, {"resourceVersion": "1"}])
def test_what_is_no_acknowledgement_is_refused(body: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Programming(Pulse()).acknowledge(body)


def test_errors_are_those_of_the_last_acknowledgement() -> None:
    programming = Programming(Pulse())
    programming.acknowledge({"resourceVersion": "1", "bridges": {}, "errors": ["n1: bad match"]})
    assert programming.errors == ("n1: bad match",)
    programming.acknowledge({"resourceVersion": "2", "bridges": {}})
    assert programming.errors == ()


def test_what_was_repaired_is_kept_for_a_while() -> None:
    programming = Programming(Pulse())
    one = {"did": "deleted", "stage": "SNAT", "owner": "Node/worker-1", "name": "as-the-node"}
    for version in range(REPAIRS_KEPT):
        bridge = {"flows": 3, "repaired": [one, one]}
        programming.acknowledge(
            {"resourceVersion": str(version), "bridges": {"n1": bridge, "n2": {"flows": 1}}}
        )
    told = [repaired.as_json() for repaired in programming.repairs(60)]
    assert len(told) == REPAIRS_KEPT
    assert {**told[0], "at": ""} == {"bridge": "n1", "at": "", **one}
    assert programming.repairs(-1) == []
    with pytest.raises(KeyError):
        programming.acknowledge({"resourceVersion": "1", "bridges": {"n1": {"flows": 1, "repaired": [{}]}}})

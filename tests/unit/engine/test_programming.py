from __future__ import annotations

import asyncio

import pytest

from emulator.engine.programming import Programming
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

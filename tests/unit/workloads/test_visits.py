"""When a server that is told to end may close."""

from __future__ import annotations

import asyncio

from emulator.workloads.servers.visits import QUIET, Visits


def test_a_server_without_visitors_may_close_at_once() -> None:
    async def play() -> float:
        clock = asyncio.get_running_loop().time
        visits, began = Visits(), clock()
        await visits.over(30)
        return clock() - began

    assert asyncio.run(play()) < QUIET


def test_it_waits_for_a_quiet_moment_after_the_last_visitor() -> None:
    async def play() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        visits, began = Visits(), loop.time()
        visits.seen()
        over = loop.create_task(visits.over(30))
        with visits.visit():
            await asyncio.wait({over}, timeout=3 * QUIET)
            waited = not over.done()
        await over
        return loop.time() - began, waited

    seconds, waited = asyncio.run(play())
    assert waited, "somebody was being served"
    assert seconds >= 4 * QUIET


def test_it_does_not_wait_for_ever() -> None:
    async def play() -> float:
        clock = asyncio.get_running_loop().time
        visits, began = Visits(), clock()
        with visits.visit():
            await visits.over(QUIET)
        return clock() - began

    assert asyncio.run(play()) >= QUIET

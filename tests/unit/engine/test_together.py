"""Work for many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from emulator.engine.together import Together


class Work:
    """Does not get on until it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> None:
        self.batches.append(list(items))
        await self.gate.wait()
        if 13 in items:
            raise ValueError("unlucky")


async def several(together: Together[int], items: Sequence[int]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(together.do(item)) for item in items]
    await asyncio.wait(tasks, timeout=0)
    return tasks


def test_what_comes_while_one_batch_runs_is_the_next() -> None:
    async def scenario() -> list[list[int]]:
        work = Work()
        together = Together(work)
        tasks = [*await several(together, [1]), *await several(together, [2, 3, 4])]
        assert not any(task.done() for task in tasks)
        work.gate.set()
        await asyncio.gather(*tasks)
        await together.do(5)
        return work.batches

    assert asyncio.run(scenario()) == [[1], [2, 3, 4], [5]]


def test_a_failure_is_told_to_its_batch_alone() -> None:
    async def scenario() -> None:
        work = Work()
        together = Together(work)
        tasks = [*await several(together, [1]), *await several(together, [12, 13])]
        work.gate.set()
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert first is None
        assert all(isinstance(error, ValueError) for error in others)
        await together.do(14)

    asyncio.run(scenario())


def test_who_gives_up_waiting_disturbs_nobody() -> None:
    async def scenario() -> list[list[int]]:
        work = Work()
        together = Together(work)
        impatient, patient = await several(together, [1, 2])
        impatient.cancel()
        work.gate.set()
        await patient
        with pytest.raises(asyncio.CancelledError):
            await impatient
        return work.batches

    assert asyncio.run(scenario()) == [[1, 2]]

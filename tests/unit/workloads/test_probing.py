from __future__ import annotations

import asyncio

import pytest

from emulator.workloads.probing import ProbeError, Schedule, watch


def verdicts(outcomes: list[bool], schedule: Schedule, enough: int) -> list[tuple[bool, str]]:
    """The first `enough` verdicts on attempts with these outcomes, the last one for ever."""
    told: list[tuple[bool, str]] = []
    left = list(outcomes)
    done = asyncio.Event()

    async def try_once() -> None:
        passes = left.pop(0) if len(left) > 1 else left[0]
        if not passes:
            raise ProbeError("no")

    def tell(passes: bool, message: str) -> None:
        told.append((passes, message))
        if len(told) >= enough:
            done.set()

    async def scenario() -> None:
        watching = asyncio.create_task(watch(schedule, try_once, tell))
        await asyncio.wait_for(done.wait(), 5)
        watching.cancel()

    asyncio.run(scenario())
    return told[:enough]


def test_defaults_are_the_api_servers() -> None:
    assert Schedule.of({}) == Schedule(0, 10, 1, 1, 3)
    assert Schedule.of({"periodSeconds": 2, "failureThreshold": 1}) == Schedule(0, 2, 1, 1, 1)


def test_the_first_success_is_found_long_before_the_next_period() -> None:
    slow = Schedule(0, 60, 1, 1, 3)
    assert verdicts([False, False, True], slow, 1) == [(True, "")]


def test_early_failures_do_not_count() -> None:
    patient = Schedule(0, 60, 1, 1, 2)
    assert verdicts([False, False, False, False, True], patient, 1) == [(True, "")]


@pytest.mark.parametrize(
    ("threshold", "expected"), [(1, [(True, ""), (False, "no")]), (2, [(True, ""), (False, "no")])]
)
def test_failures_count_once_it_has_passed(threshold: int, expected: list[tuple[bool, str]]) -> None:
    assert verdicts([True, False], Schedule(0, 0.05, 1, 1, threshold), 2) == expected


def test_a_recovery_needs_its_successes() -> None:
    told = verdicts([True, True, False, True, True], Schedule(0, 0.02, 1, 2, 1), 3)
    assert told == [(True, ""), (False, "no"), (True, "")]

"""The control loops, driven by the store: when they run, and what they leave to everybody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from itertools import count

import pytest

from emulator.api.objects import JsonObject
from emulator.api.store import Store
from emulator.cluster.wiring import Wiring
from emulator.engine import reconciler
from emulator.engine.pulse import Pulse
from emulator.engine.reconciler import Reconciler

from ..cluster.lab import wiring_of

HEAVY = 0.02
"""Seconds that a run of the control loops takes in these tests."""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the control loops ran; they take their time and do nothing."""
    found: list[float] = []

    def settle(*_: object) -> tuple[()]:
        found.append(time.monotonic())
        while time.monotonic() < found[-1] + HEAVY:
            pass
        return ()

    monkeypatch.setattr(reconciler, "settle", settle)
    return found


def a_config_map(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


def store_with_a_namespace() -> Store:
    store = Store()
    store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    return store


def names() -> Iterator[str]:
    return (f"c{number}" for number in count())


async def until_settled(subject: Reconciler, pulse: Pulse) -> None:
    async with asyncio.timeout(10):
        await pulse.until(lambda: subject.is_settled)


def test_a_change_is_seen(runs: list[float]) -> None:
    async def scenario() -> None:
        store, pulse = store_with_a_namespace(), Pulse()
        subject = Reconciler(store, wiring(), pulse)
        task = asyncio.create_task(subject.run())
        await until_settled(subject, pulse)
        store.create(a_config_map("one"))
        assert not subject.is_settled
        await until_settled(subject, pulse)
        task.cancel()

    asyncio.run(scenario())
    assert len(runs) == 2


def test_changes_without_end_leave_half_of_the_time_to_others(runs: list[float]) -> None:
    def at_least(wanted: int) -> bool:
        return len(runs) >= wanted

    async def scenario() -> None:
        store, pulse = store_with_a_namespace(), Pulse()
        task = asyncio.create_task(Reconciler(store, wiring(), pulse).run())
        fresh = names()
        async with asyncio.timeout(20):
            for wanted in range(1, 11):
                store.create(a_config_map(next(fresh)))
                await pulse.until(partial(at_least, wanted))
        task.cancel()

    asyncio.run(scenario())
    assert runs[-1] - runs[0] >= 9 * 2 * HEAVY


def wiring() -> Wiring:
    return wiring_of("single-node")

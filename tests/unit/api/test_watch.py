"""Following the store."""

from __future__ import annotations

import asyncio

import pytest

from emulator.api.errors import ApiError
from emulator.api.objects import Key
from emulator.api.store import Store
from emulator.api.watch import KEPT_ALWAYS, KEPT_SECONDS, Event, EventLog, EventType
from tests.unit.api.test_store import config, make_store, pod


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.type.value, event.object["metadata"]["name"]) for event in events]


def test_events_since_a_version() -> None:
    store = make_store()
    start = store.resource_version
    store.create(config("a"))
    store.replace(config("a", x="1"))
    store.create(pod())
    store.delete(Key("ConfigMap", "shop", "a"))
    watch = store.watch(["ConfigMap"], start)
    events = watch.pending()
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert events[0].previous is None
    assert events[1].previous == events[0].object
    assert events[2].object["metadata"]["resourceVersion"] == str(store.resource_version)
    assert watch.resource_version == store.resource_version
    assert watch.pending() == []
    assert told(store.watch(None, start + 2).pending()) == [("ADDED", "web"), ("DELETED", "a")]


def test_a_watch_wakes_up() -> None:
    async def follow(store: Store) -> list[list[tuple[str, str]]]:
        watch = store.watch(["ConfigMap"])
        batches = []
        waiting = asyncio.create_task(watch.batch())
        await asyncio.wait([waiting], timeout=0)
        store.create(pod())
        _, still = await asyncio.wait([waiting], timeout=0)
        assert still
        store.create(config("a"))
        store.create(config("b"))
        batches.append(told(await waiting))
        store.create(config("c"))
        batches.append(told(await watch.batch()))
        return batches

    assert asyncio.run(follow(make_store())) == [[("ADDED", "a"), ("ADDED", "b")], [("ADDED", "c")]]


def test_a_watch_is_an_iterator() -> None:
    async def follow(store: Store) -> list[str]:
        watch = store.watch(None, 0)
        return [(await anext(watch)).object["metadata"]["name"] for _ in range(2)]

    assert asyncio.run(follow(make_store())) == ["default", "shop"]


def test_versions_that_are_forgotten() -> None:
    store = make_store(history=3)
    follower = store.watch()
    for number in range(5):
        store.create(config(f"c{number}"))
    assert len(store.watch(None, store.resource_version - 3).pending()) == 3
    for watching in (lambda: store.watch(None, store.resource_version - 4), follower.pending):
        with pytest.raises(ApiError) as caught:
            watching()
        assert (caught.value.code, caught.value.reason) == (410, "Expired")


def test_what_is_old_is_forgotten_but_for_the_latest() -> None:
    moment = 0.0
    log = EventLog(0, 10 * KEPT_ALWAYS, clock=lambda: moment)

    def happen(version: int) -> None:
        log.append(Event(EventType.ADDED, config("a"), None, version))

    for version in range(1, 3 * KEPT_ALWAYS + 1):
        happen(version)
    assert len(log.after(0)) == 3 * KEPT_ALWAYS
    moment = KEPT_SECONDS + 1
    happen(3 * KEPT_ALWAYS + 1)
    assert [event.resource_version for event in log.after(3 * KEPT_ALWAYS - 1)] == [3000, 3001]
    assert len(log.after(2 * KEPT_ALWAYS + 1)) == KEPT_ALWAYS
    with pytest.raises(ApiError):
        log.after(2 * KEPT_ALWAYS)

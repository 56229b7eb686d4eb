"""Changes as they happen: the store's recent events, and iterators that follow them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from emulator.api.errors import expired
from emulator.api.objects import JsonObject

KEPT_SECONDS = 300.0
"""How long every event can be replayed, as etcd keeps them for Kubernetes."""
KEPT_ALWAYS = 1000
"""So many can be replayed however old they are."""


class EventType(StrEnum):
    """What happened to an object; values as watch streams write them."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `object` is the state after it (at a deletion the last state, with the deletion's
    version)."""

    type: EventType
    object: JsonObject
    previous: JsonObject | None
    resource_version: int

    def to_json(self) -> JsonObject:
        """As a watch stream carries it."""
        return {"type": self.type.value, "object": self.object}


class EventLog:
    """The latest events, `capacity` at most, and whoever waits for the next one.

    Each keeps two states of an object, so old ones are let go of. Belongs to one event loop's thread.
    """

    def __init__(self, start: int, capacity: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._events: deque[Event] = deque()
        self._moments: deque[float] = deque()
        self._capacity = capacity
        self._clock = clock
        self._forgotten = start  # events up to this version cannot be replayed
        self._wakers: set[asyncio.Event] = set()

    def append(self, event: Event) -> None:
        """Add an event and wake every watch."""
        now = self._clock()
        self._events.append(event)
        self._moments.append(now)
        while len(self._events) > self._capacity or (
            len(self._events) > KEPT_ALWAYS and self._moments[0] < now - KEPT_SECONDS
        ):
            self._forgotten = self._events.popleft().resource_version
            self._moments.popleft()
        for waker in self._wakers:
            waker.set()

    def after(self, version: int) -> list[Event]:
        """The events younger than `version`. Raises ApiError 410 when some are forgotten."""
        if version < self._forgotten:
            raise expired(version, self._forgotten)
        found = []
        for event in reversed(self._events):
            if event.resource_version <= version:
                break
            found.append(event)
        found.reverse()
        return found

    def watch(self, kinds: Collection[str] | None, since: int) -> Watch:
        """Follow the events of `kinds` (None: all) younger than `since`. Raises ApiError 410."""
        self.after(since)
        return Watch(self, kinds, since)

    def register(self, waker: asyncio.Event) -> None:
        """Have `waker` set at every event."""
        self._wakers.add(waker)

    def unregister(self, waker: asyncio.Event) -> None:
        """Forget `waker`."""
        self._wakers.discard(waker)


class Watch(AsyncIterator[Event]):
    """Follows the log from one version on. Iterate event by event, or take `batch()` after `batch()`.

    Reads nothing ahead, so a slow reader costs no memory; one that falls behind the log gets ApiError 410.
    """

    def __init__(self, log: EventLog, kinds: Collection[str] | None, since: int) -> None:
        self._log = log
        self._kinds = None if kinds is None else frozenset(kinds)
        self._ready: deque[Event] = deque()
        self.resource_version = since
        """Everything up to this version has been delivered by `pending` or `batch`."""

    def pending(self) -> list[Event]:
        """The events since the last call, at once; perhaps none."""
        events = self._log.after(self.resource_version)
        if events:
            self.resource_version = events[-1].resource_version
        kinds = self._kinds
        return events if kinds is None else [e for e in events if e.object["kind"] in kinds]

    async def batch(self) -> list[Event]:
        """Everything that happened since the last call; waits until there is something."""
        waker = asyncio.Event()
        self._log.register(waker)
        try:
            while not (events := self.pending()):
                await waker.wait()
                waker.clear()
            return events
        finally:
            self._log.unregister(waker)

    async def __anext__(self) -> Event:
        if not self._ready:
            self._ready.extend(await self.batch())
        return self._ready.popleft()

"""Runs the control loops whenever something changed, or time alone changes something."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from emulator.api.store import Store
from emulator.cluster.manager import next_wake, settle
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Wiring
from emulator.engine.pulse import Pulse

log = logging.getLogger(__name__)


class Reconciler:
    """The control loops of a cluster, driven by the store's events."""

    def __init__(self, store: Store, wiring: Wiring, pulse: Pulse) -> None:
        self._store = store
        self._wiring = wiring
        self._pulse = pulse
        self.settled_version = -1
        """The loops have seen everything up to this version, and done what they wanted about it."""

    @property
    def is_settled(self) -> bool:
        """Whether the loops have seen everything in the store and want nothing."""
        return self.settled_version == self._store.resource_version

    @property
    def has_run(self) -> bool:
        """Whether the loops have seen, once in this process, everything that there was."""
        return self.settled_version >= 0

    async def run(self) -> None:
        """Follow the store for ever."""
        watch = self._store.watch()
        clock = asyncio.get_running_loop()
        while True:
            began = clock.time()
            for refusal in settle(self._store, self._wiring, datetime.now(UTC)):
                log.error("a control loop's change was refused: %s", refusal.error)
            self.settled_version = self._store.resource_version
            watch.pending()
            self._pulse.beat()
            await _leave_to_others(clock.time() - began)
            with suppress(TimeoutError):
                await asyncio.wait_for(watch.batch(), self._seconds_to_wake())

    def _seconds_to_wake(self) -> float | None:
        now = datetime.now(UTC)
        moment = next_wake(Snapshot(self._store.objects(), self._wiring), now)
        return None if moment is None else (moment - now).total_seconds()


async def _leave_to_others(seconds: float) -> None:
    """Keep the control loops from taking more than half of the time.

    Where every turn of the event loop ended with a run of them, a probe, which needs several turns, would
    fail in a large cluster for no fault of its pod; and each failure is a change that starts another run.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_future()

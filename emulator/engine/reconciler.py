"""Runs the control loops whenever something changed, until they want nothing more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from emulator.api.store import Store
from emulator.cluster.changes import Change, apply_changes
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Wiring
from emulator.engine.pulse import Pulse

Reconcile = Callable[[Snapshot, datetime], Sequence[Change]]

MOST_ROUNDS = 200
"""Rounds after which loops that still want changes are taken to quarrel; the next event goes on with them."""

log = logging.getLogger(__name__)


class Reconciler:
    """The control loops of a cluster, driven by the store's events."""

    def __init__(self, store: Store, wiring: Wiring, reconcile: Reconcile, pulse: Pulse) -> None:
        self._store = store
        self._wiring = wiring
        self._reconcile = reconcile
        self._pulse = pulse
        self._settled_version = -1

    @property
    def is_settled(self) -> bool:
        """Whether the loops have seen everything in the store and want nothing."""
        return self._settled_version == self._store.resource_version

    async def run(self) -> None:
        """Follow the store for ever."""
        watch = self._store.watch()
        while True:
            self.settle()
            self._pulse.beat()
            await watch.batch()

    def settle(self) -> None:
        """Run the loops until they want nothing."""
        for _ in range(MOST_ROUNDS):
            if self.is_settled:
                return
            version = self._store.resource_version
            changes = self._reconcile(Snapshot(self._store.objects(), self._wiring), datetime.now(UTC))
            for refusal in apply_changes(self._store, changes):
                if not refusal.is_outdated:
                    log.error("%s was refused: %s", refusal.change, refusal.error)
            if self._store.resource_version == version:
                self._settled_version = version
        if not self.is_settled:
            log.warning("the control loops still want changes after %d rounds", MOST_ROUNDS)

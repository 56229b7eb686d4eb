"""Takes stale connections out of Open vSwitch."""

from __future__ import annotations

import logging
from contextlib import suppress

from controllers import unixctl
from controllers.pipeline.stale import Connection, Frontends, connections, stale
from controllers.pipeline.stale_balanced import Balanced, stale_balanced
from controllers.pipeline.stale_pods import Owners, Remains, left, remains

TRIES = 5
"""Open vSwitch 3.1.0 may pass over an entry; it is looked for again."""

log = logging.getLogger(__name__)


class Cleaner:
    """Remembers for which frontends and pods connection tracking has been gone through."""

    def __init__(self) -> None:
        self._done: tuple[Frontends, Balanced] | None = None
        self._owners: Owners = {}

    def clean(self, served: Frontends, beyond: Balanced, owners: Owners) -> int:
        """Forget what leads to nobody who serves any more, and what pods that are gone have left behind.

        Counts them; there is nothing to do where nothing has changed.

        The flows that choose endpoints must be in force: until then, new entries may be stale at birth. All
        bridges share one table. Raises OSError, ValueError or ControlError when Open vSwitch does not answer.
        """
        gone = left(self._owners, owners)
        if (served, beyond) == self._done and not gone:
            self._owners = owners
            return 0
        forgotten = 0
        known: set[Remains] = set()
        for _ in range(TRIES):
            dump = unixctl.command("dpctl/dump-conntrack")
            # Who speaks on to a pod that is gone is known again at once, and judged as a stranger before.
            ended = set(remains(dump, gone)) - known
            known |= ended
            found: tuple[Connection | Remains, ...]
            found = (*stale(connections(dump), served), *stale_balanced(dump, beyond), *ended)
            if not found:
                break
            for connection in found:
                # Refused is the flush of one that has ended since; one that is still there is found again.
                with suppress(unixctl.ControlError):
                    unixctl.command("dpctl/flush-conntrack", f"zone={connection.zone}", connection.tuple)
            forgotten += len(found)
        else:
            log.error("%d stale connections remain", len(found))
        self._done, self._owners = (served, beyond), owners
        return forgotten

"""Takes stale UDP connections out of Open vSwitch."""

from __future__ import annotations

import logging
from contextlib import suppress

from controllers import unixctl
from controllers.pipeline.stale import Frontends, connections, stale
from controllers.pipeline.stale_balanced import Balanced, stale_balanced

TRIES = 5
"""Open vSwitch 3.1.0 may pass over an entry; it is looked for again."""

log = logging.getLogger(__name__)


class Cleaner:
    """Remembers for which frontends connection tracking has been gone through."""

    def __init__(self) -> None:
        self._done: tuple[Frontends, Balanced] | None = None

    def clean(self, served: Frontends, beyond: Balanced) -> int:
        """Forget what leads to nobody who serves any more, and count it; nothing to do where nothing changed.

        The flows that choose endpoints must be in force: until then, new entries may be stale at birth. All
        bridges share one table. Raises OSError, ValueError or ControlError when Open vSwitch does not answer.
        """
        if (served, beyond) == self._done:
            return 0
        forgotten = 0
        for _ in range(TRIES):
            dump = unixctl.command("dpctl/dump-conntrack")
            found = (*stale(connections(dump), served), *stale_balanced(dump, beyond))
            if not found:
                break
            for connection in found:
                # Refused is the flush of one that has ended since; one that is still there is found again.
                with suppress(unixctl.ControlError):
                    unixctl.command("dpctl/flush-conntrack", f"zone={connection.zone}", connection.tuple)
            forgotten += len(found)
        else:
            log.error("%d stale UDP connections remain", len(found))
        self._done = (served, beyond)
        return forgotten

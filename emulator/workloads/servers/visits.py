"""Who is being served, so that a server that is told to end can finish what it has begun.

nginx and httpd do that when their containers are stopped (STOPSIGNAL is SIGQUIT, or SIGWINCH). A client whose
connection is on its way is not seen yet, so a server that had visitors until now waits for a quiet moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

QUIET = 0.25
"""Seconds without a visitor after which nobody is expected to be on the way any more."""


class Visits:
    """The visits to one server."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._open = 0
        self._last = self._clock() - QUIET
        self._news = asyncio.Event()

    def seen(self) -> None:
        """Somebody came, or went."""
        self._last = self._clock()
        self._news.set()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Somebody is being served inside the block."""
        self._open += 1
        self.seen()
        try:
            yield
        finally:
            self._open -= 1
            self.seen()

    async def over(self, seconds: float) -> None:
        """Return once all visits are over and nobody has come for a moment; `seconds` at most."""
        end = self._clock() + seconds
        while True:
            calm = self._last + QUIET
            until = end if self._open else min(end, calm)
            if self._clock() >= until:
                return
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._news.wait()

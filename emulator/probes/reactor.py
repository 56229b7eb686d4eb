"""Waiting for many sockets in one thread."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable


class Reactor:
    """A selector whose registrations carry what to call."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def pump(self, until: Callable[[], bool], seconds: float) -> None:
        """Handle what happens until it is enough, for `seconds` at most."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._handle(left)

    def drain(self) -> None:
        """Handle what has happened already."""
        self._handle(0)

    def _handle(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            key.data()

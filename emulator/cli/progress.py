"""Progress on stderr, for waits that last: nothing is shown in the first half second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer

import click

from emulator.cli.terminal import Terminal

PATIENCE = 0.5
"""Seconds of silence before the first word."""


class Progress:
    """Calling it says what is going on now. Safe to call from any thread."""

    def __init__(self, terminal: Terminal, text: str) -> None:
        self._terminal = terminal
        self._text = text
        self._shown = ""
        self._talking = False
        self._lock = Lock()
        self._timer = Timer(PATIENCE, self._start)
        self._timer.daemon = True

    def __call__(self, text: str) -> None:
        """Say `text` from now on."""
        with self._lock:
            self._text = text
            if self._talking:
                self._show()

    def begin(self) -> None:
        """Start the half second."""
        self._timer.start()

    def end(self) -> None:
        """Fall silent; on a terminal the line disappears."""
        self._timer.cancel()
        with self._lock:
            if self._shown and self._terminal.live:
                click.echo("\r\x1b[K", err=True, nl=False, color=True)
            self._talking = False

    def _start(self) -> None:
        with self._lock:
            self._talking = True
            self._show()

    def _show(self) -> None:
        if self._text == self._shown:
            return
        self._shown = self._text
        if self._terminal.live:
            click.echo(f"\r\x1b[K{self._text} …", err=True, nl=False, color=True)
        else:
            click.echo(f"{self._text} …", err=True)


@contextmanager
def progress(terminal: Terminal, text: str) -> Iterator[Progress]:
    """Say `text` on stderr while the block lasts longer than half a second, unless quiet."""
    shown = Progress(terminal, text)
    if terminal.verbosity >= 0:
        shown.begin()
    try:
        yield shown
    finally:
        shown.end()

"""A program on the user's own terminal."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence


def attended(argv: Sequence[str]) -> int:
    """Run a program that the user types to: Ctrl-C is for it alone, not for this process or nsenter."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.call(argv)
    finally:
        signal.signal(signal.SIGINT, before)

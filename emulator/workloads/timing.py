"""How restarts of containers are spaced."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """How restarts are spaced, in seconds; kubelet's values."""

    backoff: float = 10.0
    """Before the second restart; doubled for each one after it."""
    longest_backoff: float = 300.0

    @property
    def forgiven(self) -> float:
        """A container that ran for so long starts with a clean slate."""
        return 2 * self.longest_backoff


def duration(seconds: float) -> str:
    """As Go prints it: `10s`, `2m40s`."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"

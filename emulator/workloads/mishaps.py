"""What goes wrong with containers on purpose."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

from emulator.api.objects import JsonObject


@dataclass(frozen=True, slots=True)
class Victim:
    """One container of a pod."""

    pod: JsonObject
    container: str
    is_proxy: bool
    """It is an ingress proxy."""


@dataclass(frozen=True)
class Mishaps:
    """Which containers crash as soon as they start, and which pods count as not ready. By reason, so that
    each can be taken back."""

    crashing: MutableMapping[str, Callable[[Victim], bool]] = field(default_factory=dict)
    unready: MutableMapping[str, Callable[[JsonObject], bool]] = field(default_factory=dict)

    def crashes(self, victim: Victim) -> bool:
        """Whether it is to crash."""
        return any(concerns(victim) for concerns in self.crashing.values())

    def is_unready(self, pod: JsonObject) -> bool:
        """Whether it is not to be ready."""
        return any(concerns(pod) for concerns in self.unready.values())

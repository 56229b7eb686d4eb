"""What a client is told: the fate of objects, and of commands in pods."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.api.objects import Key
from emulator.engine.readiness import Readiness


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` and `delete` did: each object with its fate, warnings, and whether it is in force."""

    changed: tuple[tuple[Key, str], ...]
    warnings: tuple[str, ...]
    ready: Readiness


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ran in a pod, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str

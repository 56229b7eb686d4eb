"""What a client is told: the fate of objects and of commands in pods, and what cannot be done."""

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


class ClusterError(Exception):
    """A request that a cluster cannot fulfil; `hint` says what to do instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ClusterNotFound(ClusterError):  # noqa: N818 - the name that users catch
    """No cluster of that name runs."""

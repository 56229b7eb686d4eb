"""What does the faults of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulator.cluster.faults.fault import Fault
from emulator.cluster.faults.kind import Value

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fault is going to do."""

    did: tuple[str, ...]
    """A phrase for each thing, in the past tense: `took n2-up down`."""
    memo: Mapping[str, Any] = field(default_factory=dict)
    """As in `Fault.memo`."""


class Handler:
    """Does the faults of a kind; all methods run in the engine's event loop.

    `plan` changes nothing; what it notes is kept before `impose` does anything, so that a fault can be
    cleared whatever dies in between. `impose` and `clear` may be repeated.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """Look at what is there. Raises FaultMistake when these arguments mean nothing in this cluster."""
        raise NotImplementedError

    async def impose(self, fault: Fault) -> None:
        """Make it happen; returns when it has."""
        raise NotImplementedError

    async def clear(self, fault: Fault) -> None:
        """Restore what was; returns when it is so. Faults that do not last are never cleared."""

    async def resume(self, fault: Fault) -> None:
        """The engine or Open vSwitch came anew: let it hold on as a real one would."""
        await self.impose(fault)

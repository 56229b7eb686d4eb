"""What to start when: the life of every unit as a state machine that knows no process and no clock.

The first process of the sandbox (`emulator.sandbox.init`) tells it what happened and does what it says.
Times are seconds of one monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from emulator.sandbox.services import Ready, Unit

SHORT_LIFE = 1.0
"""A program that died within this many seconds of its start counts as crashing; one that died before it was
ready does so however long it took."""
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0


class State(StrEnum):
    """Where a unit is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    CRASHED = "crashed"
    """It crashes again and again; its next start is delayed."""
    DONE = "done"
    """A step of the start that has succeeded."""
    FAILED = "failed"
    """A step of the start that did not succeed: nothing after it can start."""
    HELD = "held"
    """It does not run and is not to, until it is released."""


@dataclass
class Life:
    """What is known of one unit."""

    unit: Unit
    state: State = State.WAITING
    pid: int = 0
    since: float = 0.0
    due: float = 0.0
    crashes: int = 0
    restarts: int = 0
    served: bool = False
    """Whether it was ever ready."""
    last_exit: int | None = None
    status: str = ""
    held: bool = False
    """Whether it is to stay down once it is."""

    @property
    def settled(self) -> bool:
        """Whether what waits for this unit may go on."""
        return self.state in (State.READY, State.DONE)


class Supervisor:
    """The lives of all units of a sandbox."""

    def __init__(self, units: Sequence[Unit]) -> None:
        names = {unit.name for unit in units}
        if len(names) != len(units):
            raise ValueError("two units have one name")
        for unit in units:
            if missing := set(unit.after) - names:
                raise ValueError(f"{unit.name} waits for {', '.join(sorted(missing))}, which is no unit")
        self.lives = {unit.name: Life(unit) for unit in units}
        for life in self.lives.values():
            if life.unit.held:
                life.held, life.state = True, State.HELD

    def due(self, now: float) -> list[Unit]:
        """Units to start now; each must be followed by `started` or `exited`."""
        return [
            life.unit
            for life in self.lives.values()
            if (life.state is State.WAITING and all(self._open(name) for name in life.unit.after))
            or (life.state is State.CRASHED and life.due <= now)
        ]

    def deadline(self) -> float | None:
        """When `due` is to be asked next if nothing happens before."""
        return min((life.due for life in self.lives.values() if life.state is State.CRASHED), default=None)

    def _open(self, name: str) -> bool:
        life = self.lives[name]
        # Only the first start waits: a restart must not hold others up that were running with it.
        return life.settled or life.served

    def started(self, name: str, pid: int, now: float) -> None:
        """A process for the unit was made."""
        life = self.lives[name]
        life.pid, life.since = pid, now
        life.state = State.READY if life.unit.ready is Ready.AT_START else State.STARTING

    def notified(self, name: str, lines: Sequence[str]) -> None:
        """The unit sent a message of the sd_notify protocol."""
        life = self.lives[name]
        for line in lines:
            key, _, value = line.partition("=")
            if key == "READY" and value == "1" and life.state is State.STARTING:
                life.state = State.READY
            elif key == "STATUS":
                life.status = value

    def hold(self, name: str) -> None:
        """Do not start it again. The caller ends its process, if it has one."""
        life = self.lives[name]
        life.held = True
        if not life.pid:
            life.state = State.HELD

    def release(self, name: str) -> None:
        """Take `hold` back: it is started, if it does not run any more."""
        life = self.lives[name]
        life.held = False
        if life.state is State.HELD:
            life.state, life.crashes = State.WAITING, 0

    def adopted(self, name: str, pid: int) -> None:
        """The daemon that the unit's start left behind is `pid`."""
        life = self.lives[name]
        life.pid, life.state = pid, State.READY

    def named(self, pid: int) -> Life | None:
        """The life that runs as process `pid`."""
        return next((life for life in self.lives.values() if life.pid == pid), None)

    def exited(self, name: str, code: int, now: float) -> None:
        """The unit's process ended with `code` (a signal number below zero)."""
        life = self.lives[name]
        life.pid, life.last_exit, life.status = 0, code, ""
        short = life.state is State.STARTING or now - life.since < SHORT_LIFE
        life.served |= life.state is State.READY
        if life.held:
            life.state, life.crashes = State.HELD, 0
            return
        if life.unit.ready is Ready.EXIT:
            life.state = State.DONE if code == 0 else State.FAILED
            return
        life.restarts += 1
        life.crashes = life.crashes + 1 if short else 0
        # The first crash may be bad luck; from the second on, it gets ever more time.
        delay = 0.0 if life.crashes < 2 else min(FIRST_DELAY * 2 ** (life.crashes - 2), LONGEST_DELAY)
        life.state, life.due = State.CRASHED, now + delay

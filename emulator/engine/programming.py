"""What the OpenFlow controller has put in force, as it acknowledges it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.engine.pulse import Pulse

REPAIRS_KEPT = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BridgeProgram:
    """The last acknowledged program of one bridge."""

    flows: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Repaired:
    """A flow that somebody else had changed, and that the controller has put right by itself."""

    bridge: str
    at: datetime
    did: str
    """What was done to it: `deleted`, `modified`, `added`."""
    stage: str
    owner: str
    name: str

    def as_json(self) -> JsonObject:
        """For `diff -o json`."""
        words = {"did": self.did, "stage": self.stage, "owner": self.owner, "name": self.name}
        return {"bridge": self.bridge, "at": timestamp(self.at), **words}


class Programming:
    """Follows the controller's acknowledgements.

    `resource_version` is the newest version of the objects that every bridge has confirmed
    with a barrier reply; 0 while no controller that runs has spoken.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self.resource_version = 0
        self.bridges: dict[str, BridgeProgram] = {}
        self.acknowledged = 0
        """How often the controller has spoken."""
        self.errors: tuple[str, ...] = ()
        self.processes: frozenset[int] = frozenset()
        """The switch processes that have confirmed it; one that died has taken its flows along."""
        self._repairs: deque[Repaired] = deque(maxlen=REPAIRS_KEPT)

    def acknowledge(self, body: Mapping[str, Any]) -> None:
        """Take the controller's word: the body of `POST /mininetes/v1/programmed`.

        Raises KeyError, TypeError or ValueError when the body is not of that form.
        """
        bridges = {
            name: BridgeProgram(int(b["flows"]), int(b.get("added", 0)), int(b.get("removed", 0)))
            for name, b in body["bridges"].items()
        }
        now = datetime.now(UTC)
        repairs = [
            Repaired(name, now, *(str(one[word]) for word in ("did", "stage", "owner", "name")))
            for name, b in body["bridges"].items()
            for one in b.get("repaired", ())
        ]
        self.resource_version = int(body["resourceVersion"])
        self.acknowledged += 1
        self.bridges.update(bridges)
        self.errors = tuple(str(error) for error in body.get("errors", ()))
        self.processes = frozenset(int(process) for process in body.get("processes", ()))
        self._repairs += repairs
        log.info(
            "programmed up to %d: %d flows on %d bridges",
            self.resource_version,
            self.flows,
            len(self.bridges),
        )
        self._pulse.beat()

    def forget(self) -> None:
        """The controller is gone: what it said counts no longer."""
        self.resource_version = 0
        self._pulse.beat()

    def repairs(self, seconds: float) -> list[Repaired]:
        """What the controller has put right by itself in the last so many seconds, the oldest first."""
        since = datetime.now(UTC) - timedelta(seconds=seconds)
        return [one for one in self._repairs if one.at >= since]

    @property
    def flows(self) -> int:
        """Flows in force on all bridges."""
        return sum(bridge.flows for bridge in self.bridges.values())

    async def wait(self, resource_version: int) -> None:
        """Return once the switches hold everything up to `resource_version`."""
        await self._pulse.until(lambda: self.resource_version >= resource_version)

"""What the OpenFlow controller has put in force, as it acknowledges it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BridgeProgram:
    """The last acknowledged program of one bridge."""

    flows: int
    added: int
    removed: int


@dataclass(slots=True)
class Programming:
    """Follows the controller's acknowledgements.

    `resource_version` is the newest version of the objects that every bridge has confirmed
    with a barrier reply; 0 while no controller has spoken.
    """

    resource_version: int = 0
    bridges: dict[str, BridgeProgram] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def acknowledge(self, body: Mapping[str, Any]) -> None:
        """Take the controller's word: the body of `POST /mininetes/v1/programmed`.

        Raises KeyError or ValueError when the body is not of that form.
        """
        version = int(body["resourceVersion"])
        bridges = {
            name: BridgeProgram(int(b["flows"]), int(b.get("added", 0)), int(b.get("removed", 0)))
            for name, b in body["bridges"].items()
        }
        async with self._changed:
            self.resource_version = version
            self.bridges.update(bridges)
            self.errors = [str(error) for error in body.get("errors", ())]
            self._changed.notify_all()

    async def wait(self, resource_version: int) -> None:
        """Return once the switches hold everything up to `resource_version`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.resource_version >= resource_version)

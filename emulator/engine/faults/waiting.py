"""Until what a fault changes is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

PATIENCE = 10.0
"""Seconds; what takes longer waits for somebody else, such as a controller that is down."""


async def await_flows(engine: Engine) -> None:
    """Wait until the switches have confirmed what the Topology says now, if there is a controller."""
    topology = engine.store.list("Topology")[0]
    version = int(topology["metadata"]["resourceVersion"])
    await until(engine, lambda: not engine.has_controller or engine.programming.resource_version >= version)


async def until(engine: Engine, holds: Callable[[], bool]) -> None:
    """Wait until something holds, but not for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await engine.pulse.until(holds)

"""What the kernel and the routers hold, against the plan; and putting it right."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

from emulator.cluster.state import state_of
from emulator.network.kernel.facts import Kind
from emulator.verdict import kernel_drift
from emulator.verdict.kernel_drift import KernelDrift

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine


async def found(engine: Engine, node: str | None) -> tuple[KernelDrift, ...]:
    """What differs, everywhere or at a node (with its pods) or router. Blocks no one."""
    if not engine.network_built:
        return ()
    told = await asyncio.to_thread(engine.network.differences)
    for router, expected, there in engine.advertising.compared():
        told = (*told, *kernel_drift.learned(router, expected, there))
    items = kernel_drift.owned(told, state_of(engine.snapshot()))
    return tuple(item for item in items if node is None or node in _names(item))


async def heal(engine: Engine, before: Collection[KernelDrift], seconds: float) -> None:
    """Put right whatever differs where these were found, within so many seconds."""
    await asyncio.to_thread(engine.network.mend, {item.place for item in before})
    routers = {item.place for item in before if item.kind is Kind.BGP_ROUTE}
    if routers:
        await engine.advertising.catch_up()
        await engine.advertising.write_again(routers)
        try:
            async with asyncio.timeout(seconds):
                await engine.pulse.until(lambda: not any(engine.advertising.missing()))
        except TimeoutError:
            pass


def _names(item: KernelDrift) -> tuple[str, ...]:
    return item.node, item.place, item.place.partition("/")[2]

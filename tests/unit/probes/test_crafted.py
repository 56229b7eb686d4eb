"""Listening for what comes of crafted packets."""

from __future__ import annotations

import asyncio
from typing import Any

from emulator.probes.crafted import Fate, _Sending
from emulator.probes.request import Site, Sites
from emulator.probes.workshop import CraftedPacket


def test_a_packet_that_wants_no_answer_leaves_the_loop_to_others() -> None:
    """An announcement is listened after for the whole time; meanwhile everything else goes on."""
    nothing: Any = None
    sending = _Sending(nothing, {}, Site("shop/a", None), Sites({}), nothing)
    sending._fates = [Fate(CraftedPacket((b"",), {}, (), None), {}, ())]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> None:
        going_on = asyncio.ensure_future(others())
        await sending._listen(0.05)
        going_on.cancel()

    asyncio.run(both())
    assert turns > 1

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from emulator.probes.workshop import Origin, Workshop, WorkshopError

ORIGIN = Origin("0a:58:0a:f4:01:03", "10.244.1.3", "0a:58:0a:f4:01:01", "10.244.2.4", 5432)


def test_orders_are_answered_and_a_dead_worker_is_replaced() -> None:
    async def scene() -> None:
        workshop = Workshop()
        one, two = await asyncio.gather(
            workshop.craft({"packet": "tcp"}, ORIGIN, count=2), workshop.craft({"packet": "udp"}, ORIGIN)
        )
        assert (len(one), len(two)) == (2, 1)
        assert workshop.pid is not None
        os.kill(workshop.pid, signal.SIGKILL)
        assert len(await workshop.craft({"packet": "tcp"}, ORIGIN)) == 1
        await workshop.close()

    asyncio.run(scene())


def test_what_cannot_be_built_is_an_error() -> None:
    async def scene() -> None:
        workshop = Workshop()
        with pytest.raises(WorkshopError, match="cannot build fragments"):
            await workshop.craft({"packet": "fragments", "protocol": "ospf"}, ORIGIN)
        await workshop.close()

    asyncio.run(scene())

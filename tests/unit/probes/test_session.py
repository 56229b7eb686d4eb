"""Packets of several places are told in the order in which they passed, however late a place is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from emulator.probes import bpf
from emulator.probes.capture import Direction, Record, Tap
from emulator.probes.request import Site
from emulator.probes.session import CaptureSession


class Queue(Tap):
    """A place whose packets wait until they are read."""

    def __init__(self, site: Site, receive: Callable[[Record], None]) -> None:
        self.site = site
        self.lost = 0
        self.waiting: list[Record] = []
        self.hand_over = receive

    def passed(self, stamp: int) -> None:
        self.waiting.append(Record(self.site.place, "eth0", Direction.IN, stamp, b""))

    def take(self) -> None:
        while self.waiting:
            self.hand_over(self.waiting.pop(0))

    drain = close = take


async def watched(
    monkeypatch: pytest.MonkeyPatch, told: Callable[[Record], None]
) -> tuple[CaptureSession, list[Queue]]:
    taps: list[Queue] = []

    async def opened(site: Site, _program: bpf.Program, receive: Callable[[Record], None], _snap: int) -> Tap:
        taps.append(Queue(site, receive))
        return taps[-1]

    monkeypatch.setattr(Tap, "open", opened)
    session = CaptureSession([Site(name, None, name) for name in ("first", "second")], told)
    await session.start()
    return session, taps


def test_what_came_earlier_elsewhere_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    async def scene() -> None:
        session, (first, second) = await watched(monkeypatch, lambda record: told.append(record.time))
        for stamp in (1, 2, 4):
            first.passed(stamp)
        second.passed(3)
        second.take()  # the event loop comes to the second place first
        await asyncio.sleep(0)
        assert told == [1, 2, 3, 4]
        session.stop()

    asyncio.run(scene())


def test_what_comes_meanwhile_waits_for_what_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    async def scene() -> None:
        session, (first, second) = await watched(monkeypatch, lambda record: told.append(record.time))
        later = time.time_ns() + 10**12
        second.passed(1)
        second.take()
        second.passed(later)  # and `first` has one from before, which is read the next time only
        await asyncio.sleep(0)
        assert told == [1]
        first.passed(later - 1)
        await asyncio.sleep(0)
        assert told == [1, later - 1, later]
        second.passed(later + 1)
        session.stop()
        assert told[-1] == later + 1, "the end keeps nothing back"

    asyncio.run(scene())

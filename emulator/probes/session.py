"""Captures that last: start, wait for what should come, stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from emulator.probes import bpf
from emulator.probes.capture import FULL_SNAP, Record, Tap
from emulator.probes.checks import Check, CheckResult, Tally
from emulator.probes.request import Site

MOST_RECORDS = 200_000


@dataclass(frozen=True, slots=True)
class Capture:
    """A finished capture."""

    records: tuple[Record, ...]
    """In the order of their time stamps."""
    lost: dict[str, int]
    """Packets that were not recorded, by place: the kernel's queue or ours was full."""


class CaptureSession:
    """Watches several places at once.

    As an asynchronous context manager it is armed on entry: everything sent inside the block is seen.
    """

    def __init__(
        self,
        sites: Iterable[Site],
        on_record: Callable[[Record], None] | None = None,
        program: bpf.Program | None = None,
    ) -> None:
        """Records go to `on_record` as they come, instead of being kept, in the order of their time stamps.

        `program` accepts some packets only.
        """
        self._program = program or bpf.everything(FULL_SNAP)
        self._sites = tuple(dict.fromkeys(sites))
        self._on_record = on_record
        self._records: list[Record] = []
        self._unordered: list[Record] = []
        self._overflow: dict[str, int] = {}
        self._taps: list[Tap] = []
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Arm every tap. Raises OSError, with nothing left open, when a place cannot be watched."""
        opening = [Tap.open(site, self._program, self._receive, FULL_SNAP) for site in self._sites]
        opened = await asyncio.gather(*opening, return_exceptions=True)
        self._taps = [tap for tap in opened if isinstance(tap, Tap)]
        for site, tap in zip(self._sites, opened, strict=True):
            if isinstance(tap, BaseException):
                self.stop()
                raise OSError(f"cannot capture at {site.place}: {tap}") from tap

    def stop(self) -> Capture:
        """Take what has come so far and close the taps."""
        lost = dict(self._overflow)
        for tap in self._taps:
            tap.close()
            if tap.lost:
                lost[tap.site.place] = lost.get(tap.site.place, 0) + tap.lost
        self._taps = []
        self._hand_over(self._unordered)
        return Capture(tuple(sorted(self._records, key=lambda record: record.time)), lost)

    async def until(self, checks: Sequence[Check], timeout: float) -> tuple[CheckResult, ...]:
        """Wait until every claim holds, or for `timeout` seconds.

        A claim of "at least" ends the waiting as soon as it holds. One of "none" or "exactly" can only
        be known at the end, so it makes the session watch for the whole time.
        """
        loop = asyncio.get_running_loop()
        deadline, counted = loop.time() + timeout, 0
        tallies = [Tally(check) for check in checks]
        patient = not all(check.is_settled_early for check in checks)
        while True:
            self._news.clear()
            for tap in self._taps:
                tap.drain()
            for record in self._records[counted:]:
                for tally in tallies:
                    tally.add(record)
            counted = len(self._records)
            left = deadline - loop.time()
            if left <= 0 or (not patient and all(tally.holds for tally in tallies)):
                return tuple(tally.result() for tally in tallies)
            await _event_within(self._news, left)

    async def __aenter__(self) -> CaptureSession:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _receive(self, record: Record) -> None:
        if self._on_record is not None:
            if not self._unordered:
                asyncio.get_running_loop().call_soon(self._put_in_order)
            self._unordered.append(record)
        elif len(self._records) < MOST_RECORDS:
            self._records.append(record)
            self._news.set()
        else:
            self._overflow[record.at] = self._overflow.get(record.at, 0) + 1

    def _put_in_order(self) -> None:
        """Hand over what has come, with what came earlier elsewhere and waits there to be read.

        What comes while the others are read is kept for the next time: something that came before it may
        be at a place that has been read already.
        """
        horizon = max(time.time_ns(), *(record.time for record in self._unordered))
        for tap in self._taps:
            tap.take()
        due = [record for record in self._unordered if record.time <= horizon]
        self._unordered = [record for record in self._unordered if record.time > horizon]
        if self._unordered:
            asyncio.get_running_loop().call_soon(self._put_in_order)
        self._hand_over(due)

    def _hand_over(self, records: Iterable[Record]) -> None:
        for record in sorted(records, key=lambda record: record.time):
            if self._on_record is not None:
                self._on_record(record)


async def _event_within(event: asyncio.Event, seconds: float) -> None:
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({waiting}, timeout=seconds)
    waiting.cancel()

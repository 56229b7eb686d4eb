"""What one direction of an impaired link makes of frames: pure, so that it can be tested without a network.

It does what tc-netem(8) does, behind a token bucket as tc-tbf(8) has one: a frame is lost, doubled or
corrupted first, then waits for its turn at the rate, then for its delay.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from emulator.cluster.impairments import Impairment

SMALLEST_BURST = 15_000
"""Bytes: ten full frames, or one segment train would never fit the bucket."""
REFILLS = 100
"""Refills a second that the slowest kernel timer manages; the bucket holds what passes between two."""
LONGEST_QUEUE = 0.05
"""Seconds that a frame waits for the rate; who would wait longer is dropped."""
MOST_FRAMES = 10_000
"""Frames that may be on their way at a time."""


def burst(rate: int) -> int:
    """The bytes that pass at once at a rate in bit/s."""
    return max(SMALLEST_BURST, rate // 8 // REFILLS)


@dataclass(slots=True)
class Count:
    """What became of the frames so far. A frame that is doubled and lost passes once, as with netem."""

    offered: int = 0
    lost: int = 0
    duplicated: int = 0
    corrupted: int = 0
    reordered: int = 0
    overflowed: int = 0
    """Dropped because a queue was full: the one for the rate, or that of frames on their way."""


class Channel:
    """One direction. Times are seconds of one monotonic clock, given by the caller.

    What becomes of the n-th frame follows from the seed alone, and not from when it comes: as many random
    numbers are drawn for each, whatever the impairment.
    """

    def __init__(self, impairment: Impairment, seed: str) -> None:
        self.count = Count()
        self._impairment = impairment
        self._random = random.Random(seed)
        self._empty_at = 0.0
        """When the bucket, drained at the rate, has let everything pass that was let in."""

    def offer(self, frame: bytes, now: float, on_their_way: int = 0) -> Iterator[tuple[float, bytes]]:
        """What to deliver of a frame that is sent at `now`, and when: nothing, itself, or itself twice.

        `on_their_way` are the frames that are to be delivered yet.
        """
        self.count.offered += 1
        draw = self._random.random
        lost, doubled, corrupted, bit = draw(), draw(), draw(), draw()
        chances = ((draw(), draw()), (draw(), draw()))
        wanted = self._impairment
        copies = 1
        if doubled < (wanted.duplicate or 0):
            self.count.duplicated += 1
            copies += 1
        if lost < (wanted.loss or 0):
            self.count.lost += 1
            copies -= 1
        if copies and corrupted < (wanted.corrupt or 0):
            self.count.corrupted += 1
            frame = with_a_bit_turned(frame, bit)
        for overtakes, jitter in chances[:copies]:
            passed = self._pass(len(frame), now) if on_their_way < MOST_FRAMES else None
            if passed is None:
                self.count.overflowed += 1
            else:
                on_their_way += 1
                yield passed + self._delay(overtakes, jitter), frame

    def _pass(self, length: int, now: float) -> float | None:
        """When the rate lets a frame of so many bytes pass; None when the queue is full."""
        rate = self._impairment.rate
        if rate is None:
            return now
        # The bucket as its own virtual queue: it is full when that has been empty for a whole burst.
        empty_at = max(self._empty_at, now - burst(rate) * 8 / rate) + length * 8 / rate
        passes_at = max(now, empty_at)
        if passes_at - now > LONGEST_QUEUE:
            return None
        self._empty_at = empty_at
        return passes_at

    def _delay(self, overtakes: float, jitter: float) -> float:
        wanted = self._impairment
        if not wanted.delay:
            return 0.0
        if overtakes < (wanted.reorder or 0):
            self.count.reordered += 1
            return 0.0
        return (wanted.delay + (wanted.jitter or 0) * (2 * jitter - 1)) / 1_000_000


def with_a_bit_turned(frame: bytes, where: float) -> bytes:
    """The frame with the bit turned over that is at `where`, 0..1, of its length."""
    position = int(where * len(frame) * 8)
    changed = bytearray(frame)
    changed[position // 8] ^= 1 << position % 8
    return bytes(changed)

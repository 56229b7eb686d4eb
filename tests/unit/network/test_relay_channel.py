"""What one direction of an impaired link makes of frames: shares, times, and that a seed repeats them.

The seeds are fixed, so nothing here is left to chance; that the shares are right is judged at alpha 0.001.
"""

from __future__ import annotations

from math import comb, sqrt
from statistics import mean

import pytest

from emulator.cluster.impairments import SOUND, Impairment
from emulator.network.relay.channel import (
    LONGEST_QUEUE,
    MOST_FRAMES,
    Channel,
    burst,
    with_a_bit_turned,
)

ALPHA = 0.001
FRAME = bytes(range(256)) * 4
MANY = 2000
Delivery = tuple[float, bytes]


def passed(impairment: Impairment, frames: int = MANY, seed: str = "7/a/eth0") -> list[list[Delivery]]:
    """What becomes of so many frames, all sent at 100 s."""
    channel = Channel(impairment, seed)
    return [list(channel.offer(FRAME, 100.0)) for _ in range(frames)]


def probability_at_least_as_odd(found: int, trials: int, share: float) -> float:
    """Two-sided, exact: how probable a count is that differs from the expected one as much as this."""
    distance = abs(found - trials * share)
    odd = (k for k in range(trials + 1) if abs(k - trials * share) >= distance - 1e-9)
    return sum(comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in odd)


def test_a_sound_link_passes_everything_at_once() -> None:
    assert passed(SOUND, 3) == [[(100.0, FRAME)]] * 3


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_shares_are_what_was_asked_for(share: float) -> None:
    trials = 400
    lost = sum(not fate for fate in passed(Impairment(loss=share), trials))
    doubled = sum(len(fate) == 2 for fate in passed(Impairment(duplicate=share), trials))
    corrupted = sum(fate[0][1] != FRAME for fate in passed(Impairment(corrupt=share), trials))
    early = sum(fate[0][0] == 100.0 for fate in passed(Impairment(delay=1000, reorder=share), trials))
    for found in (lost, doubled, corrupted, early):
        assert probability_at_least_as_odd(found, trials, share) > ALPHA, found


def test_everything_and_nothing() -> None:
    assert not any(passed(Impairment(loss=1.0), 50))
    assert all(len(fate) == 2 for fate in passed(Impairment(duplicate=1.0), 50))
    assert all(len(fate) == 1 for fate in passed(Impairment(duplicate=1.0, loss=1.0), 50)), "as with netem"


def test_the_same_seed_repeats_every_choice_and_another_one_does_not() -> None:
    wanted = Impairment(delay=2000, jitter=500, loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.1)
    assert passed(wanted, 300) == passed(wanted, 300)
    # Two seeds agree on the loss of one frame with probability 0.68; on 300 of them with 1e-50.
    assert passed(wanted, 300) != passed(wanted, 300, seed="8/a/eth0")


def test_a_frame_is_lost_whatever_else_happens_to_it() -> None:
    bare = [bool(fate) for fate in passed(Impairment(loss=0.3), 200)]
    more = passed(Impairment(loss=0.3, delay=1000, jitter=900, corrupt=0.5, rate=10**9), 200)
    assert [bool(fate) for fate in more] == bare


def test_jitter_is_uniform_around_the_delay() -> None:
    waits = [fate[0][0] - 100.0 for fate in passed(Impairment(delay=10_000, jitter=4000))]
    assert 0.006 - 1e-9 <= min(waits) < max(waits) <= 0.014 + 1e-9
    # The mean of n uniform draws is normal with this deviation; 3.29 of them leave 0.001 outside.
    assert abs(mean(waits) - 0.010) < 3.29 * 0.004 / sqrt(3 * MANY)
    low = sum(wait < 0.008 for wait in waits[:400])
    assert probability_at_least_as_odd(low, 400, 0.25) > ALPHA
    assert waits != sorted(waits), "frames overtake each other"


def test_a_delay_alone_keeps_the_order() -> None:
    channel = Channel(Impairment(delay=1500), "")
    dues = [due for k in range(5) for due, _ in channel.offer(FRAME, 1.0 + k / 1000)]
    assert dues == pytest.approx([1.0015, 1.0025, 1.0035, 1.0045, 1.0055])


def test_one_bit_is_turned_anywhere() -> None:
    for where, position in ((0.0, 0), (0.5, 512 * 8), (0.999999, 1024 * 8 - 1)):
        changed = with_a_bit_turned(FRAME, where)
        difference = int.from_bytes(changed, "little") ^ int.from_bytes(FRAME, "little")
        assert difference == 1 << position


def test_the_rate_is_a_token_bucket() -> None:
    rate = 8_000_000  # a megabyte a second
    channel = Channel(Impairment(rate=rate), "")
    assert burst(rate) == 15_000
    frame = bytes(1000)
    dues = [due for _ in range(200) for due, _ in channel.offer(frame, 5.0)]
    at_once = [due for due in dues if due < 5.0005]
    assert len(at_once) == 15, "the bucket was full"
    waiting = dues[len(at_once) :]
    assert waiting == pytest.approx([5.0 + (k + 1) / 1000 for k in range(len(waiting))])
    assert len(waiting) in (49, LONGEST_QUEUE * 1000), "then a frame a millisecond, as long as anyone waits"
    assert channel.count.overflowed == 200 - len(dues)


def test_the_bucket_fills_again_and_no_further() -> None:
    channel = Channel(Impairment(rate=8_000_000), "")
    for _ in range(15):
        list(channel.offer(bytes(1000), 5.0))
    assert [due for due, _ in channel.offer(bytes(1000), 5.0)] == pytest.approx([5.001])
    later = [due for _ in range(20) for due, _ in channel.offer(bytes(1000), 60.0)]
    assert later == pytest.approx([60.0] * 15 + [60.0 + k / 1000 for k in range(1, 6)])


def test_over_a_long_time_the_rate_is_exact() -> None:
    rate, now = 1_000_000, 0.0
    channel = Channel(Impairment(rate=rate), "")
    let_through = 0
    for _ in range(20_000):
        now += 0.0005
        let_through += sum(len(frame) for _, frame in channel.offer(bytes(500), now))
    assert abs(let_through - rate / 8 * now) <= burst(rate) + rate / 8 * LONGEST_QUEUE + 500


def test_a_full_queue_drops() -> None:
    channel = Channel(Impairment(delay=1000, duplicate=1.0), "")
    assert len(list(channel.offer(FRAME, 1.0, MOST_FRAMES - 1))) == 1
    assert not list(channel.offer(FRAME, 1.0, MOST_FRAMES))
    assert channel.count.overflowed == 3

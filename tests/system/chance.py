"""Statistical claims that fail for a reason only: alpha is 0.001 a sample, and a second sample decides.

The randomness of a spread is that of the source ports, which the kernel chooses: it has no seed to print.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import comb
from typing import TypeVar

from emulator.verdict.spread import p_value

ALPHA = 0.001

Sample = TypeVar("Sample")


def assert_even(draw: Callable[[], Mapping[str, int]]) -> None:
    """`draw` counts connections by who took them, as an even choice may have it (chi-square)."""
    _decide(draw, lambda counts: p_value(tuple(counts.values())))


def assert_share(share: float, trials: int, draw: Callable[[], int]) -> None:
    """`draw` counts how many of `trials` met what `share` of them should meet (binomial, two-sided)."""
    _decide(draw, lambda found: binomial(found, trials, share))


def binomial(found: int, trials: int, share: float) -> float:
    """The probability of a count at least as far from `trials * share` as `found` is."""
    distance = abs(found - trials * share)
    odd = (k for k in range(trials + 1) if abs(k - trials * share) >= distance - 1e-9)
    return sum(comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in odd)


def _decide(draw: Callable[[], Sample], chance: Callable[[Sample], float]) -> None:
    seen = []
    while len(seen) < 2:
        sample = draw()
        if chance(sample) > ALPHA:
            return
        seen.append((sample, chance(sample)))
    raise AssertionError(f"twice running what chance hardly gives: {seen}")

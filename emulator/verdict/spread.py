"""Is a spread of connections over endpoints even? Pearson's chi-square test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

EVEN = 0.001
"""A spread is called uneven when chance alone gives one as skewed less often than this.

One sample in a thousand of an even choice is called so: ask for a second one before something fails.
"""

_TINY = 1e-300
_STEPS = 1000


def p_value(counts: Sequence[int]) -> float:
    """The probability that an even random choice gives counts at least as skewed as `counts`.

    One count or none has nothing to be skewed against: 1.0.
    """
    total = sum(counts)
    if len(counts) < 2 or total == 0:
        return 1.0
    expected = total / len(counts)
    statistic = sum((count - expected) ** 2 for count in counts) / expected
    return chi_square_tail(statistic, len(counts) - 1)


def is_even(counts: Mapping[str, int]) -> bool:
    """Whether connections counted by endpoint may come from an even choice (p > 0.001)."""
    return p_value(tuple(counts.values())) > EVEN


def chi_square_tail(statistic: float, degrees: int) -> float:
    """P(X >= statistic) for a chi-square distribution of `degrees` degrees of freedom.

    The regularised upper incomplete gamma function Q(degrees/2, statistic/2): its series
    where that converges fast, else its continued fraction by Lentz's method
    (Abramowitz and Stegun 6.5.29 and 6.5.31).
    """
    shape, x = degrees / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    return 1.0 - scale * _series(shape, x) if x < shape + 1 else scale * _fraction(shape, x)


def _series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    for step in range(1, _STEPS):
        term *= x / (shape + step)
        total += term
        if term < total * 1e-15:
            break
    return total


def _fraction(shape: float, x: float) -> float:
    b = x + 1 - shape
    c = 1 / _TINY
    d = 1 / b
    result = d
    for step in range(1, _STEPS):
        a = -step * (step - shape)
        b += 2
        d = 1 / (a * d + b or _TINY)
        c = b + a / c or _TINY
        factor = c * d
        result *= factor
        if abs(factor - 1) < 1e-15:
            break
    return result

from __future__ import annotations

import pytest

from emulator.verdict.spread import chi_square_tail, is_even, p_value


@pytest.mark.parametrize(
    ("statistic", "degrees", "tail"),
    [  # critical values as printed in any table of the distribution
        (3.841, 1, 0.05),
        (10.828, 1, 0.001),
        (13.816, 2, 0.001),
        (5.991, 2, 0.05),
        (16.919, 9, 0.05),
        (27.877, 9, 0.001),
        (124.342, 100, 0.05),
        (149.449, 100, 0.001),
        (77.929, 100, 0.95),
    ],
)
def test_tail_matches_the_tables(statistic: float, degrees: int, tail: float) -> None:
    assert chi_square_tail(statistic, degrees) == pytest.approx(tail, rel=2e-3)


def test_even_and_uneven() -> None:
    assert p_value([100, 100, 100]) == 1.0
    assert is_even({"a": 104, "b": 95, "c": 101})
    assert not is_even({"a": 150, "b": 100, "c": 50})
    assert not is_even({"a": 300, "b": 0, "c": 0})
    assert is_even({"a": 7})
    assert is_even({})

"""The two vocabularies of the project: what became of a packet, and whether that was right."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from emulator.cluster.outcome import Outcome

EXPECTABLE = (Outcome.CONNECTED, Outcome.DROPPED, Outcome.REJECTED)
"""What a scenario, or `probe --expect`, may ask for."""


class Verdict(StrEnum):
    """Whether one check came out as expected."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    """It could not be decided: the probe, a control or the machine failed."""
    SKIP = "skip"
    """Not run, because something before it failed."""


_GRAVITY = {Verdict.SKIP: 0, Verdict.PASS: 1, Verdict.FAIL: 2, Verdict.ERROR: 3}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of `verdicts`; pass when there are none.

    A skip beside a pass does not make the whole a skip, but only skips do.
    """
    return max(verdicts, key=_GRAVITY.__getitem__, default=Verdict.PASS)

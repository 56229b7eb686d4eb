"""What an exit code means. Grading and CI depend on 1 meaning only that."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The program's exit codes, a contract."""

    AS_EXPECTED = 0
    NOT_AS_EXPECTED = 1
    """The network did not behave as expected, or a difference was found."""
    USAGE = 2
    """Wrong usage, or an invalid file."""
    CANNOT_RUN = 3
    """This machine cannot run it."""
    BUG = 4
    """Our bug."""
    INTERRUPTED = 130

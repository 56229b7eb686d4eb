"""The error that the sandbox raises."""

from __future__ import annotations


class SandboxError(Exception):
    """A sandbox could not be started, entered or reached.

    `hint` says what to do next; `log` holds the last lines of the log that tells why, if there is one.
    """

    def __init__(self, message: str, *, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.log = log


class ClusterNameError(SandboxError):
    """No cluster can have that name, or one has it already: the user has to choose another one."""

    exit_code = 2

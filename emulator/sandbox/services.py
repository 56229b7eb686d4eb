"""What the sandbox's first process starts and keeps alive, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Ready(StrEnum):
    """The event that tells that a program does its work."""

    AT_START = "at-start"
    """It was started: nothing more is known of it."""
    NOTIFY = "notify"
    """It sent `READY=1` to `NOTIFY_SOCKET` (the sd_notify protocol)."""
    DAEMON = "daemon"
    """The started process exited with 0 and left a daemon behind, named in its pid file."""
    EXIT = "exit"
    """It exited with 0: a step of the start, which is never restarted."""


@dataclass(frozen=True)
class ServiceSpec:
    """A program that runs in the sandbox as long as the sandbox lives, restarted whenever it dies.

    `after` names the services and Open vSwitch daemons that must be ready before the first start. A service
    that `listens` inherits the sockets of the cluster's REST front; it gets them from
    `emulator.sandbox.inherited_listeners()`. They outlive it, so that clients which come while it restarts
    wait and are not refused. One that is `held` does not start before it is released.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    notify: bool = False
    after: tuple[str, ...] = ("ovs-vswitchd",)
    listens: bool = False
    held: bool = False


@dataclass(frozen=True)
class Unit:
    """One program under supervision, as the first process sees it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Ready = Ready.AT_START
    after: tuple[str, ...] = ()
    listens: bool = False
    pid_file: str = ""
    held: bool = False

    @classmethod
    def of(cls, spec: ServiceSpec) -> Unit:
        """The unit that a service asked for by the caller becomes."""
        ready = Ready.NOTIFY if spec.notify else Ready.AT_START
        return cls(
            spec.name,
            tuple(spec.argv),
            dict(spec.env),
            ready,
            tuple(spec.after),
            spec.listens,
            held=spec.held,
        )

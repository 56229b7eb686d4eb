"""The relay of impaired links, as a service of the cluster's sandbox. It does not run before a link
needs it."""

from __future__ import annotations

import sys
from pathlib import Path

from emulator.network.relay.orders import UNIT
from emulator.network.shaping import RelayService
from emulator.sandbox import ServiceSpec, control

_PATIENCE = 30.0
_DIRECTORY = "relay"
"""Of its files, in the run's own."""


def relay_service(run_dir: Path) -> ServiceSpec:
    """The relay as the sandbox supervises it."""
    argv = (sys.executable, "-m", "emulator.network.relay", str(run_dir / _DIRECTORY))
    return ServiceSpec(UNIT, argv, notify=True, after=(), held=True)


def relay_of(run_dir: Path) -> RelayService:
    """The relay as the network starts it; that blocks and raises OSError."""

    def ask(what: str) -> None:
        control.ask(run_dir / "control.sock", {"do": what, "service": UNIT}, timeout=_PATIENCE)

    def start() -> None:
        ask("release")
        ask("wait")

    return RelayService(run_dir / _DIRECTORY, start)

"""Faults of the sandbox's services: killed, or kept down."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from emulator.cluster.faults.fault import Fault
from emulator.cluster.faults.kind import Value
from emulator.engine.faults.handler import Handler, Plan
from emulator.sandbox import control

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

CONTROLLER, SWITCH = "controller", "ovs-vswitchd"
_PATIENCE = 30.0


class Killed(Handler):
    """Kills a service's process; the sandbox starts it again. Returns when it is back."""

    def __init__(self, engine: Engine, service: str) -> None:
        super().__init__(engine)
        self._service = service

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:  # noqa: ARG002
        """It runs, or it cannot be killed."""
        life = await service(self.engine, self._service)
        return Plan((f"killed {self._service} (process {life['pid']})",), {"pid": life["pid"]})

    async def impose(self, fault: Fault) -> None:
        """SIGKILL, then wait for the next one."""
        before = await service(self.engine, self._service)
        with suppress(ProcessLookupError):
            os.kill(int(fault.memo["pid"]), signal.SIGKILL)
        restarts = int(before["restarts"]) + 1
        await ask(self.engine, {"do": "wait", "service": self._service, "restarts": restarts})


class Down(Handler):
    """Kills a service and keeps it down until it is cleared."""

    def __init__(self, engine: Engine, service: str) -> None:
        super().__init__(engine)
        self._service = service

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:  # noqa: ARG002
        """There is nothing to note."""
        return Plan((f"killed {self._service}, and keeps it down",))

    async def impose(self, fault: Fault) -> None:  # noqa: ARG002
        """Hold it."""
        await ask(self.engine, {"do": "hold", "service": self._service})

    async def clear(self, fault: Fault) -> None:  # noqa: ARG002
        """Start it, and wait until it is ready."""
        await ask(self.engine, {"do": "release", "service": self._service})
        await ask(self.engine, {"do": "wait", "service": self._service})


async def ask(engine: Engine, request: control.Message) -> control.Message:
    """Ask the sandbox's first process. Raises OSError."""
    path = engine.run_dir / "control.sock"
    return await asyncio.to_thread(control.ask, path, request, timeout=_PATIENCE)


async def service(engine: Engine, name: str) -> dict[str, Any]:
    """What the sandbox knows of a service."""
    found: dict[str, Any] = (await ask(engine, {"do": "status"}))["services"][name]
    return found


PROCESSES: Mapping[str, Callable[[Engine], Handler]] = {
    "controller-killed": partial(Killed, service=CONTROLLER),
    "controller-down": partial(Down, service=CONTROLLER),
    "switch-killed": partial(Killed, service=SWITCH),
}

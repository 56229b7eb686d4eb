"""Which handler does which kind of fault. A test holds it to the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from emulator.engine.faults.handler import Handler
from emulator.engine.faults.links import LINK_HANDLERS
from emulator.engine.faults.machines import MACHINES
from emulator.engine.faults.processes import PROCESSES
from emulator.engine.faults.rules import RULES
from emulator.engine.faults.workloads import WORKLOADS

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

HANDLERS: Mapping[str, Callable[[Engine], Handler]] = {
    **LINK_HANDLERS,
    **MACHINES,
    **RULES,
    **PROCESSES,
    **WORKLOADS,
}

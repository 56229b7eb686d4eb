"""All kinds of faults. Each is done by a handler of the same name in `emulator.engine.faults`."""

from __future__ import annotations

from emulator.cluster.faults.kind import FaultKind, FaultMistake, nearest
from emulator.cluster.faults.links import LINKS
from emulator.cluster.faults.machines import MACHINES
from emulator.cluster.faults.processes import PROCESSES
from emulator.cluster.faults.rules import RULES
from emulator.cluster.faults.workloads import WORKLOADS

KINDS: tuple[FaultKind, ...] = (
    *LINKS,
    *MACHINES,
    *RULES,
    *PROCESSES,
    *WORKLOADS,
)

_BY_NAME = {kind.name: kind for kind in KINDS}


def kind_of_fault(name: str) -> FaultKind:
    """The kind of that name. Raises FaultMistake with the nearest one."""
    found = _BY_NAME.get(name)
    if found is None:
        hint = nearest(name, list(_BY_NAME)) or "list them with: mininetes fault list"
        raise FaultMistake("", f"there is no fault {name!r}", hint)
    return found

"""What somebody did to a switch behind the controller's back, and what puts it right."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from controllers import openflow
from controllers.flow_monitor import METER_DELETED, Change, What
from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.owner import ROUND_SHIFT, without_round
from controllers.pipeline.tables import STAGES

_NAMES = {stage.number: stage.name for stage in STAGES}
TOLD = 20
"""How many changes are told one by one."""
_HEAD = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Suspects:
    """Changes that have to be undone."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __add__(self, more: Iterable[Change]) -> Suspects:
        return Suspects(tuple(dict.fromkeys((*self.changes, *more))))

    @property
    def without_meter(self) -> bool:
        """Whether meters went, and took flows along, which a switch does not take back before the meters."""
        return any(change.reason == METER_DELETED for change in self.changes)

    def to_remove(self) -> Iterator[Change]:
        """What must go before anything is given again."""
        return (change for change in self.changes if change.what is not What.DELETED)

    def to_give_again(self, program: FlowProgram) -> tuple[Flow, ...]:
        """The program's flows that may be gone, or other than they ought to be.

        A cookie tells whose flows were deleted or altered. One that was added has its own cookie, and may
        have taken the place of any with its priority in its table.
        """
        owners = {
            owner for change in self.changes for owner in program.owners.get(without_round(change.cookie), ())
        }
        where = {(change.table, change.priority) for change in self.to_remove()}
        return tuple(
            flow for flow in program if flow.owner in owners or (flow.stage.number, flow.priority) in where
        )

    def told(self, program: FlowProgram) -> Iterator[str]:
        """Each change in words, with the owner of the flow that it was done to."""
        touched = {(change.table, change.priority) for change in self.changes}
        flows = {
            (*place, conditions(openflow.match(flow.match))): flow
            for flow in program
            if (place := (flow.stage.number, flow.priority)) in touched
        }
        for change in self.changes[:TOLD]:
            flow = flows.get((change.table, change.priority, conditions(change.match)))
            whose = f"{flow.owner} ({flow.name})" if flow else _owners(change, program)
            yield f"{change.what.name.lower()} in {_NAMES.get(change.table, change.table)}: {whose}"
        if len(self.changes) > TOLD:
            yield f"did to {len(self.changes) - TOLD} flows more"


def foreign(
    changes: Iterable[Change], taught: Collection[tuple[int, int]], round_number: int
) -> tuple[Change, ...]:
    """Those of the changes that have to be undone.

    Flows are learned, used and forgotten by themselves, with the tables and cookies of `taught`; that others
    take away what others gave is well.
    """
    return tuple(
        change
        for change in changes
        if change.cookie >> ROUND_SHIFT == round_number
        or (change.what is not What.DELETED and (change.table, change.cookie) not in taught)
    )


def conditions(match: bytes) -> frozenset[bytes]:
    """An encoded match as it can be compared: the order of its conditions means nothing."""
    _, length = _HEAD.unpack_from(match)
    found, offset = set(), _HEAD.size
    while offset < length:
        end = offset + 4 + match[offset + 3]
        found.add(match[offset:end])
        offset = end
    return frozenset(found)


def _owners(change: Change, program: FlowProgram) -> str:
    owners = program.owners.get(without_round(change.cookie), ())
    return ", ".join(sorted(map(str, owners))) or "nobody's"

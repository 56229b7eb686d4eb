"""What somebody did to a switch behind the controller's back, and what puts it right."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from controllers import openflow
from controllers.flow_monitor import METER_DELETED, Change, What, conditions
from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.owner import ROUND_SHIFT, without_round
from controllers.pipeline.tables import STAGES

_NAMES = {stage.number: stage.name for stage in STAGES}
TOLD = 50
"""How many changes are told one by one."""
NOBODY = "nobody's"


@dataclass(frozen=True, slots=True)
class Repair:
    """One flow that is again as it ought to be."""

    did: str
    """What somebody else did to it: `deleted`, `modified`, `added`."""
    stage: str
    owner: str
    """Empty: nobody's, and it is gone."""
    name: str
    """What packets experience by it; empty where no flow of the program has its match."""

    def __str__(self) -> str:
        named = f" ({self.name})" if self.name else ""
        return f"{self.did} in {self.stage}: {self.owner or NOBODY}{named}"

    def as_json(self) -> dict[str, str]:
        """For the engine, which tells it with `diff`."""
        return {"did": self.did, "stage": self.stage, "owner": self.owner, "name": self.name}


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

    def repairs(self, program: FlowProgram) -> Iterator[Repair]:
        """What undoing them means, each with the owner of the flow that it was done to; the first `TOLD`."""
        touched = {(change.table, change.priority) for change in self.changes}
        flows = {
            (*place, conditions(openflow.match(flow.match))): flow
            for flow in program
            if (place := (flow.stage.number, flow.priority)) in touched
        }
        for change in self.changes[:TOLD]:
            flow = flows.get((change.table, change.priority, conditions(change.match)))
            owner, name = (str(flow.owner), flow.name) if flow else (_owners(change, program), "")
            stage = _NAMES.get(change.table, f"table {change.table}")
            yield Repair(change.what.name.lower(), stage, owner, name)


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


def _owners(change: Change, program: FlowProgram) -> str:
    owners = program.owners.get(without_round(change.cookie), ())
    return ", ".join(sorted(map(str, owners)))

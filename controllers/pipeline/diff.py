"""What has to be sent to a switch so that it holds one program instead of another."""

from __future__ import annotations

from dataclasses import dataclass

from controllers.pipeline.flow import Flow, FlowProgram


@dataclass(frozen=True, slots=True)
class Change:
    """The difference of two programs of one bridge."""

    add: tuple[Flow, ...]
    """New matches, and flows whose owner or name is another one: an ADD replaces the cookie too."""
    modify: tuple[Flow, ...]
    """Other actions for the same match and owner: a MODIFY_STRICT keeps counters and cookie."""
    remove: tuple[Flow, ...]

    def __bool__(self) -> bool:
        return bool(self.add or self.modify or self.remove)


def diff(old: FlowProgram | None, new: FlowProgram) -> Change:
    """The change from `old` (None: an empty switch) to `new`; units that are the same object are equal."""
    if old is None:
        return Change(tuple(new), (), ())
    add, modify = [], []
    for name, unit in new.units.items():
        if old.units.get(name) is not unit:
            for key, flow in unit.items():
                known = old.flows.get(key)
                if known is None or known.owner != flow.owner:
                    add.append(flow)
                elif known.actions != flow.actions:
                    modify.append(flow)
    removed = (
        flow
        for name, unit in old.units.items()
        if new.units.get(name) is not unit
        for key, flow in unit.items()
        if key not in new.flows
    )
    return Change(tuple(add), tuple(modify), tuple(removed))

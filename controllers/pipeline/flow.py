"""Flows and the programs they make up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from controllers.pipeline.actions import (
    Action,
    Ct,
    DecTtl,
    Goto,
    Learn,
    Load,
    Move,
    Multipath,
    Resubmit,
    Set,
    text,
)
from controllers.pipeline.fields import NW_TTL, Field
from controllers.pipeline.match import Match
from controllers.pipeline.owner import cookie_of
from controllers.pipeline.registers import Punt
from controllers.pipeline.tables import Stage, by_name
from emulator.cluster.model import Ref

PUNTS_PER_SECOND = 500
"""How many packets a second each kind of punt may cost the controller, a bridge."""


class PipelineError(ValueError):
    """A flow breaks the declarations of its stage, or two flows contradict each other: a bug of a feature."""


FlowKey = tuple[int, int, Match]
"""Table number, priority, match: what identifies a flow on a switch."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One entry of a flow table."""

    stage: Stage
    priority: int
    match: Match
    actions: tuple[Action, ...]
    """None at all: the packet is dropped."""
    owner: Ref
    name: str
    """What the packet experiences, in a few words: `retransmitted-first-packet`."""

    @property
    def key(self) -> FlowKey:
        """What identifies the flow on its switch."""
        return self.stage.number, self.priority, self.match

    def text(self, label: Callable[[Stage], str]) -> str:
        """The flow as `ovs-ofctl` reads it, with stages as `label` calls them (`by_name`, `by_number`)."""
        words = [f"priority={self.priority}", *filter(None, [str(self.match)])]
        actions = ",".join(text(action, label) for action in self.actions) or "drop"
        return f"table={label(self.stage)}, {','.join(words)} actions={actions}"

    def __str__(self) -> str:
        return f"{self.text(by_name)}  # {self.name}: {self.owner}"


Flows = Mapping[FlowKey, Flow]


def collect(flows: Iterable[Flow]) -> Flows:
    """Check flows against their stages and put them together.

    Raises PipelineError when a flow breaks its stage's declarations or repeats another's match.
    """
    found: dict[FlowKey, Flow] = {}
    for flow in flows:
        check(flow)
        known = found.setdefault(flow.key, flow)
        if known is not flow:
            raise PipelineError(f"two flows with one match:\n  {known}\n  {flow}")
    return found


@dataclass(frozen=True)
class FlowProgram:
    """Everything that one bridge is to hold."""

    bridge: str
    datapath_id: int
    units: Mapping[Hashable, Flows]
    """The flows by what they were compiled from: the bridge, a pod, a service. A unit that did not
    change from one program to the next is the same object in both."""

    @cached_property
    def flows(self) -> Flows:
        """All flows. Raises PipelineError when two units have a flow with the same match."""
        found: dict[FlowKey, Flow] = {}
        for unit in self.units.values():
            found.update(unit)
        if len(found) != sum(len(unit) for unit in self.units.values()):
            raise PipelineError(f"{self.bridge}: {self._contradiction()}")
        return found

    def _contradiction(self) -> str:
        try:
            collect(flow for unit in self.units.values() for flow in unit.values())
        except PipelineError as error:
            return str(error)
        return "a flow is there twice"

    def __iter__(self) -> Iterator[Flow]:
        return iter(self.flows.values())

    def __len__(self) -> int:
        return len(self.flows)

    @cached_property
    def owners(self) -> Mapping[int, frozenset[Ref]]:
        """Who owns the flows of a cookie (without its round); learned flows are their teacher's."""
        found: dict[int, set[Ref]] = {}
        for flow in self:
            found.setdefault(cookie_of(flow.owner, self.datapath_id), set()).add(flow.owner)
            for learned in learns(flow.actions):
                found.setdefault(learned.cookie, set()).add(flow.owner)
        return {cookie: frozenset(owners) for cookie, owners in found.items()}

    @cached_property
    def taught(self) -> frozenset[tuple[int, int]]:
        """Table and cookie of what its flows have learned."""
        return frozenset(
            (action.stage.number, action.cookie) for flow in self for action in learns(flow.actions)
        )

    @cached_property
    def meters(self) -> Mapping[int, int]:
        """Rates in packets a second by meter id: one for each kind of punt."""
        return {int(reason): PUNTS_PER_SECOND for reason in Punt}

    def without(self, *names: str) -> FlowProgram:
        """The program less the flows of these names: how tests show what a flow is for."""
        kept = {
            unit: {key: flow for key, flow in flows.items() if flow.name not in names}
            for unit, flows in self.units.items()
        }
        program = FlowProgram(self.bridge, self.datapath_id, kept)
        if len(program) == len(self):
            raise KeyError(f"{self.bridge} has no flow named {', '.join(names)}")
        return program

    def dropping(self, keys: Collection[tuple[int, int, str]]) -> FlowProgram:
        """The program with flows, by table, priority and text of the match, that drop what they match.

        Keys of no flow mean nothing; units without such a flow stay the same objects.
        """
        places = {(table, priority) for table, priority, _ in keys}

        def chosen(flow: Flow) -> bool:
            table, priority = flow.stage.number, flow.priority
            return (table, priority) in places and (table, priority, str(flow.match)) in keys

        units: dict[Hashable, Flows] = {}
        for name, flows in self.units.items():
            altered = {key: replace(flow, actions=()) for key, flow in flows.items() if chosen(flow)}
            units[name] = {**flows, **altered} if altered else flows
        return FlowProgram(self.bridge, self.datapath_id, units)

    def text(self) -> str:
        """All flows by stage and falling priority, for people."""
        ordered = sorted(self, key=lambda flow: (flow.stage.number, -flow.priority, str(flow.match)))
        return "".join(f"{flow}\n" for flow in ordered)


def check(flow: Flow) -> None:
    """Raise PipelineError when the flow does something that its stage does not declare."""
    stage = flow.stage
    for term in flow.match.terms:
        if term.field not in stage.matches:
            raise PipelineError(f"{stage} does not declare a match on {term.field.name}: {flow}")
    for field in written_fields(flow.actions):
        if field not in stage.sets:
            raise PipelineError(f"{stage} does not declare that it sets {field.name}: {flow}")
    for following in next_stages(flow.actions):
        if following.name not in stage.follows:
            raise PipelineError(f"{stage} does not declare that {following} follows: {flow}")
    for learned in learns(flow.actions):
        _check_learned(learned, flow)


def _check_learned(learned: Learn, flow: Flow) -> None:
    """What is learned has to keep to the stage that it is put into."""
    stage = learned.stage
    if learned_fields(learned) - stage.matches or set(written_fields(learned.loads)) - stage.sets:
        raise PipelineError(f"{stage} does not declare what is learned for it: {flow}")


def learns(actions: Iterable[Action]) -> list[Learn]:
    """What the actions have remembered."""
    return [action for action in actions if isinstance(action, Learn)]


def learned_fields(learned: Learn) -> set[Field]:
    """The fields that the learned flow matches."""
    return {condition.field for condition in learned.matches}


def next_stages(actions: Iterable[Action]) -> list[Stage]:
    """The stages that the actions lead to."""
    found = []
    for action in actions:
        if isinstance(action, (Goto, Resubmit)):
            found.append(action.stage)
        elif isinstance(action, Ct):
            found.append(action.then)
    return found


def written_fields(actions: Iterable[Action]) -> list[Field]:
    """The fields that the actions write."""
    found: list[Field] = []
    for action in actions:
        if isinstance(action, (Load, Move, Multipath)):
            found.append(action.to.field)
        elif isinstance(action, Set):
            found.append(action.field)
        elif isinstance(action, DecTtl):
            found.append(NW_TTL)
        elif isinstance(action, Ct):
            found += (part.to.field for part in action.mark)
    return found

"""What each flow of a trace is for: computed programs, looked up by what Open vSwitch prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from controllers.pipeline.flow import Flow, FlowProgram
from controllers.pipeline.owner import PIPELINE, without_round
from controllers.pipeline.tables import STAGES
from emulator.cluster.model import Ref
from emulator.verdict.trace.text import Step

_TCP_FLAGS: Mapping[str, int] = MappingProxyType(
    {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128}
)
NAMES: Mapping[int, str] = {stage.number: stage.name for stage in STAGES}


def stage_name(table: int) -> str:
    """What people call a table; its number where the pipeline has no such stage."""
    return NAMES.get(table, f"table {table}")


@dataclass(frozen=True)
class Legend:
    """One bridge's program, by stage, priority and match."""

    program: FlowProgram

    @cached_property
    def _flows(self) -> dict[tuple[int, int, frozenset[str]], Flow]:
        return {(flow.stage.number, flow.priority, terms(str(flow.match))): flow for flow in self.program}

    def flow(self, table: int, priority: int, match: str) -> Flow | None:
        """The computed flow of that match; None when there is none."""
        return self._flows.get((table, priority, terms(match)))

    def owner(self, table: int, priority: int, match: str, cookie: int) -> Ref | None:
        """Whom a flow on the switch serves: what its cookie says; None when no computed flow has it."""
        flow = self.flow(table, priority, match)
        owners = self.program.owners.get(without_round(cookie), frozenset())
        if flow is not None and (flow.owner in owners or not cookie):
            return flow.owner
        return min(owners, default=None)

    def words(self, step: Step) -> str:
        """What the packet experiences, as the flow's author named it; else the actions."""
        flow = self.flow(step.table, step.priority, step.match)
        if flow is not None:
            return flow.name.replace("-", " ")
        return ", ".join(step.actions) or "drop"

    def is_plain(self, owner: Ref | None) -> bool:
        """Whether every bridge of this kind has the flow."""
        return owner == PIPELINE


def terms(match: str) -> frozenset[str]:
    """The conditions of a match; their order, and that of the flags of ct_state, means nothing."""
    return frozenset(term for word in match.split(",") if word for term in _terms(word))


def _terms(word: str) -> tuple[str, ...]:
    name, is_pair, value = word.partition("=")
    if name == "ct_state" and is_pair:
        states = sorted(value[i : i + 4] for i in range(0, len(value), 4))
        return (f"ct_state={''.join(states)}",)
    if name == "xxreg2":
        # Open vSwitch prints four registers.
        pieces = ((int(value, 16) >> shift) & 0xFFFFFFFF for shift in (96, 64, 32, 0))
        return tuple(f"reg{number}={piece}" for number, piece in enumerate(pieces, start=8))
    if name == "tcp_flags" and value.startswith(("+", "-")):
        told = [value[i : i + 4] for i in range(0, len(value), 4)]
        on = sum(_TCP_FLAGS[flag[1:]] for flag in told if flag[0] == "+")
        return (f"tcp_flags={on}/{sum(_TCP_FLAGS[flag[1:]] for flag in told)}",)
    return (f"{name}={'/'.join(map(_number, value.split('/')))}",) if is_pair else (word,)


def _number(text: str) -> str:
    """Numbers in one form; 0 is printed without 0x."""
    return str(int(text, 16)) if text.startswith("0x") else text

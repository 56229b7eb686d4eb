"""Flows as switches hold them, and how they differ from what is computed. Text in, values out.

The texts are those of ovs-ofctl(8): `dump-flows`, and `diff-flows`, which knows best when two flows are the
same. Flows that a switch has learned itself (EndpointDNAT has clients remembered) are nobody's drift.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controllers.pipeline.flow import Flow as Computed
from controllers.pipeline.flow import FlowProgram, learns
from controllers.pipeline.owner import cookie_of, without_round
from controllers.pipeline.tables import by_number
from emulator.api.objects import JsonObject
from emulator.cluster.model import Ref
from emulator.network.kernel.facts import Fault
from emulator.verdict.trace.legend import Legend, stage_name, terms

_DUMPED = re.compile(
    r"^\s*cookie=(0x[0-9a-f]+), duration=([\d.]+)s, table=(\d+), n_packets=(\d+), n_bytes=(\d+),"
    r"(?: idle_timeout=\d+,)?(?: hard_timeout=\d+,)?(?: (?:send_flow_rem|reset_counts|importance=\d+)[, ])*"
    r"(?: idle_age=\d+,)?(?: hard_age=\d+,)? ?(?:priority=(\d+))?,?(\S*) actions=(.*)$"
)
_DIFFERS = re.compile(r"^([-+])(?:table=(\d+) )?(?:priority=(\d+))?,?(\S*?)((?: \S+)*?) actions=(.*)$")
_COOKIE = re.compile(r"cookie=0x([0-9a-f]+)")
_DEFAULT_PRIORITY = 32768


class DumpTextError(ValueError):
    """The text is not what ovs-ofctl of Open vSwitch 3 prints."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow of a switch."""

    bridge: str
    table: int
    priority: int
    match: str
    actions: str
    cookie: int
    packets: int = 0
    octets: int = 0
    owner: Ref | None = None
    name: str = ""
    """What the packet experiences, by its author; empty where no computed flow has this match."""
    learned: bool = False

    def as_json(self) -> JsonObject:
        """For `flows -o json`."""
        return {
            "bridge": self.bridge,
            "stage": stage_name(self.table),
            "table": self.table,
            "priority": self.priority,
            "match": self.match,
            "actions": self.actions,
            "cookie": f"{self.cookie:#x}",
            "owner": str(self.owner) if self.owner else "",
            "name": self.name,
            "packets": self.packets,
            "bytes": self.octets,
            "learned": self.learned,
        }


def flows(bridge: str, dump: str, legend: Legend) -> Iterator[Flow]:
    """The flows of `ovs-ofctl dump-flows`, with their owners. Raises DumpTextError."""
    taught = learned_cookies(legend.program)
    for line in _lines(dump):
        found = _DUMPED.match(line)
        if found is None:
            raise DumpTextError(f"{bridge}: not a flow: {line!r}")
        cookie, table = int(found[1], 16), int(found[3])
        priority = int(found[6]) if found[6] else _DEFAULT_PRIORITY
        computed = legend.flow(table, priority, found[7])
        yield Flow(
            bridge,
            table,
            priority,
            found[7],
            found[8],
            cookie,
            int(found[4]),
            int(found[5]),
            legend.owner(table, priority, found[7], cookie),
            computed.name if computed else "",
            cookie in taught,
        )


def learned_cookies(program: FlowProgram) -> frozenset[int]:
    """Cookies of flows that the switch is told to learn."""
    return frozenset(learned.cookie for flow in program for learned in learns(flow.actions))


# -- drift -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drift:
    """One flow that a switch lacks, has too much, or has otherwise than it was computed."""

    bridge: str
    fault: Fault
    table: int
    priority: int
    match: str
    computed: str
    """The actions that it should have; empty for an extra flow."""
    installed: str
    """Those that it has; empty for a missing one."""
    owner: Ref | None
    name: str

    def as_json(self) -> JsonObject:
        """For `diff -o json` and diagnoses."""
        return {
            "bridge": self.bridge,
            "kind": "flow",
            "fault": self.fault.value,
            "stage": stage_name(self.table),
            "table": self.table,
            "priority": self.priority,
            "match": self.match,
            "computed": self.computed,
            "installed": self.installed,
            "owner": str(self.owner) if self.owner else "",
            "name": self.name,
        }


@dataclass(frozen=True, slots=True)
class _Difference:
    """A line of diff-flows."""

    is_computed: bool
    table: int
    priority: int
    match: str
    cookie: int
    actions: str


def installed_text(dump: str, program: FlowProgram) -> str:
    """A dump as a file for diff-flows, less learned flows, and less the run of the controller in cookies."""
    taught = learned_cookies(program)
    kept = []
    for line in _lines(dump):
        cookie = _COOKIE.search(line)
        if cookie is None or int(cookie[1], 16) not in taught:
            kept.append(_COOKIE.sub(lambda found: f"cookie={without_round(int(found[1], 16)):#x}", line, 1))
    return "".join(f"{line.strip()}\n" for line in kept)


def computed_text(program: FlowProgram) -> str:
    """A program as a file for diff-flows."""
    return "".join(_line(flow, program.datapath_id) for flow in program)


def drift(bridge: str, differences: str, legend: Legend) -> tuple[Drift, ...]:
    """What `ovs-ofctl diff-flows INSTALLED COMPUTED` says, flow by flow. Raises DumpTextError."""
    found: dict[tuple[int, int, frozenset[str]], list[_Difference]] = {}
    for one in map(_difference, filter(None, differences.splitlines())):
        found.setdefault((one.table, one.priority, terms(one.match)), []).append(one)
    told = (_drift(bridge, pair, legend) for pair in found.values())
    return tuple(sorted(told, key=lambda one: (one.table, -one.priority, one.match)))


def _drift(bridge: str, sides: Iterable[_Difference], legend: Legend) -> Drift:
    installed = next((side for side in sides if not side.is_computed), None)
    computed = next((side for side in sides if side.is_computed), None)
    one = computed or installed
    assert one is not None
    fault = Fault.EXTRA if computed is None else Fault.MISSING if installed is None else Fault.ALTERED
    flow = legend.flow(one.table, one.priority, one.match)
    return Drift(
        bridge,
        fault,
        one.table,
        one.priority,
        one.match,
        computed.actions if computed else "",
        installed.actions if installed else "",
        legend.owner(one.table, one.priority, one.match, one.cookie),
        flow.name if flow and computed else "",
    )


def _difference(line: str) -> _Difference:
    found = _DIFFERS.match(line)
    if found is None:
        raise DumpTextError(f"not a difference: {line!r}")
    cookie = _COOKIE.search(found[5])
    return _Difference(
        found[1] == "+",
        int(found[2] or 0),
        int(found[3]) if found[3] else _DEFAULT_PRIORITY,
        found[4],
        int(cookie[1], 16) if cookie else 0,
        found[6],
    )


def _line(flow: Computed, datapath_id: int) -> str:
    return f"cookie={cookie_of(flow.owner, datapath_id):#x}, {flow.text(by_number)}\n"


def _lines(dump: str) -> Iterator[str]:
    return (line for line in dump.splitlines() if line.lstrip().startswith("cookie="))

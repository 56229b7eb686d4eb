"""Writes docs/pipeline.md from the stage list, the registers and recorded programs.

`python -m controllers.pipeline.document` prints the page; a test holds the committed one to it.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from controllers.pipeline import registers
from controllers.pipeline.fields import Field
from controllers.pipeline.tables import STAGES, Stage

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
EXAMPLES = ("three-node/n1", "three-node/fabric", "three-node/nat", "leaf-spine/leaf1")
"""Recorded programs that give the examples, in this order: topology and bridge."""

_LINE = re.compile(r"table=(?P<stage>\w+), (?P<flow>.*)  # (?P<name>[\w-]+): (?P<owner>.*)")
_NUMBERED = re.compile(r"-(worker-)?\d+$")

_INTRODUCTION = """# The pipeline

*Generated from `controllers/pipeline` by `python -m controllers.pipeline.document`; a test keeps it current.*

Every bridge, of a node or of a router, holds one program of flows. A packet walks through *stages*
(OpenFlow tables) in the order of this page; each stage does one thing. Stages bear the names of Antrea's
where they mean the same. A node's bridge is what the CNI plugin and kube-proxy are on a real node; router
bridges are the fabric, the NAT gateway and the internet.

A flow says who wants it (its *owner*, also in its cookie) and what the packet experiences (its *name*).
The examples are real: they are lines of the recorded programs in `tests/golden`, one for each
kind of flow. They read `priority,match actions=...`, in the syntax of ovs-ofctl(8) with stages by name.

## Rules that shape it

- A packet recirculates once for every `ct(...)`, and the userspace datapath allows six rounds: the longest
  walk here takes five. Choices between endpoints or routes are made by `multipath`, which costs none.
- Bridges are joined by veth pairs. Patch ports would join their walks into one and share the six rounds.
- All bridges of one ovs-vswitchd share one connection table, so every bridge has zones of its own.
- TTL is checked before translation, because an ICMP error quotes the packet that caused it.
- What the node's own stack sends and receives is not routed by the bridge: its TTL is left alone.
- Packets are handed to the controller only for ICMP errors, and no faster than a meter allows.
  ARP, neighbour discovery and pings to routers are answered by the switch, also without a controller.

## Walks

| from → to | stages that do something | recirculations |
|---|---|---|
| pod → pod, same node | SpoofGuard, ConntrackZone, L3Forwarding, L3DecTTL, ConntrackCommit, Output | 2 |
| pod → pod, other node | the same, out of the tunnel, and once more at the other end | 2 + 2 |
| pod → cluster IP | SpoofGuard, ConntrackZone, ServiceFrontend to EndpointDNAT, L3Forwarding, Output | 2 |
| its answer | SpoofGuard, ConntrackZone (translates back), L3Forwarding, Output | 1 |
| pod → cluster IP → itself | as above, and SNAT to the pod gateway | 3 |
| off-cluster → NodePort | UnSNAT, ConntrackZone, NodePortMark, ServiceFrontend to EndpointDNAT, SNAT | 4 |
| pod → internet | SpoofGuard, ConntrackZone, ConntrackCommit, SNAT to the node's address | 3 |

## Registers and marks

Registers live as long as a packet's walk through one bridge; `ct_mark` as long as the connection.

"""


def document(programs: Mapping[str, str]) -> str:
    """The page, with examples from recorded programs (`topology/bridge` → text)."""
    examples = _examples(programs)
    stages = "\n".join("\n".join(_stage(stage, examples.get(stage.name, {}))) for stage in STAGES)
    return f"{_INTRODUCTION}{_registers()}\n## Stages\n\n{stages}"


def recorded(directory: Path = GOLDEN) -> Mapping[str, str]:
    """The recorded programs that the examples come from."""
    return {program: (directory / f"{program}.flows").read_text() for program in EXAMPLES}


def _registers() -> str:
    meanings = dict(_attribute_docstrings(inspect.getsource(registers)))
    rows = ["| name | bits | meaning |", "|---|---|---|"]
    for name, bits in sorted(registers.NAMED.items(), key=lambda item: (item[1].field.name, item[1].first)):
        rows.append(f"| {name} | `{bits}` | {meanings.get(name, '')} |")
    return "\n".join(rows) + "\n"


def _attribute_docstrings(source: str) -> Iterator[tuple[str, str]]:
    """The strings that stand below assignments; neighbours without one of their own share the next."""
    waiting: list[str] = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            waiting.append(statement.targets[0].id)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            text = " ".join(str(statement.value.value).split())
            yield from ((name, text) for name in waiting)
            waiting = []
        else:
            waiting = []


def _examples(programs: Mapping[str, str]) -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """Stage → kind of flow → (a flow of that kind, its program); the first one found, IPv4 before IPv6."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for program, text in programs.items():
        for line in text.splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{program}: not a recorded flow: {line}")
            name = _NUMBERED.sub("", match["name"])
            example = f"{match['flow']}  # {match['owner']}"
            found.setdefault(match["stage"], {}).setdefault(name, (example, program))
    return found


def _stage(stage: Stage, examples: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield f"### {stage.number} {stage.name}"
    yield ""
    yield stage.purpose
    yield ""
    yield f"Matches {_names(stage.matches)}."
    if stage.sets:
        yield f"Sets {_names(stage.sets)}."
    if stage.follows:
        yield f"Followed by {', '.join(stage.follows)}."
    yield ""
    for program in EXAMPLES:
        shown = {name: example for name, (example, where) in examples.items() if where == program}
        if shown:
            yield f"On `{program}`:"
            yield "```"
            for name, example in shown.items():
                yield f"# {name}"
                yield example
            yield "```"
    yield ""


def _names(fields: Iterable[Field]) -> str:
    return ", ".join(sorted({f"`{field.in_actions}`" for field in fields}))


if __name__ == "__main__":
    print(document(recorded()), end="")

"""What `ofproto/trace` of Open vSwitch prints (ovs-vswitchd(8)), read into values.

The text has one part for each pass through the tables: a packet that meets ct() is traced to there, and
then, with the connection state that `--ct-next` gave, from the table where it resumes. Each part names the
packet before and after, the flows that it met and the actions of each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_STEP = re.compile(r"^\s*(\d+)\. (?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$")
_MISS = re.compile(r"^\s*(\d+)\. No match\.$")
_OUTPUT = re.compile(r"^output(?::| port is )(\d+)$")
_PART = re.compile(r"^Flow: ", re.MULTILINE)


class TraceTextError(ValueError):
    """The text is not what ofproto/trace of Open vSwitch 3 prints."""


@dataclass(frozen=True, slots=True)
class Step:
    """One flow that the packet met."""

    table: int
    match: str
    """As Open vSwitch prints it; empty matches everything."""
    priority: int
    cookie: int
    actions: tuple[str, ...]
    """One a line, less their explanations."""
    hit: bool = True
    """False: the table had no flow for the packet, which was dropped."""


@dataclass(frozen=True, slots=True)
class Part:
    """One pass through the tables."""

    before: Mapping[str, str]
    """The packet's fields and metadata; its kind (`tcp`, `icmp6`) is the value of `kind`."""
    after: Mapping[str, str]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    """OpenFlow ports that it left by."""
    returned: bool
    """It was sent back out of the port that it came in by."""
    punted: bool
    """It was handed to the controller."""


_KINDS = frozenset({"tcp", "udp", "sctp", "icmp", "tcp6", "udp6", "sctp6", "icmp6", "ip", "ipv6", "arp"})


def parse(text: str) -> tuple[Part, ...]:
    """The passes in order. Raises TraceTextError."""
    starts = [found.start() for found in _PART.finditer(text)]
    if not starts:
        raise TraceTextError(f"no `Flow:` in {text[:200]!r}")
    ends = [*starts[1:], len(text)]
    return tuple(_part(text[start:end]) for start, end in zip(starts, ends, strict=True))


def fields(text: str) -> Mapping[str, str]:
    """`tcp,in_port=1,nw_ttl=64` as a mapping; the kind of packet is the value of `kind`."""
    found: dict[str, str] = {}
    for word in text.strip().split(","):
        name, is_pair, value = word.partition("=")
        if is_pair:
            found[name] = value
        elif name in _KINDS:
            found["kind"] = name
    return found


def _part(text: str) -> Part:
    lines = text.splitlines()
    before = fields(lines[0].removeprefix("Flow: "))
    after: Mapping[str, str] | None = None
    steps: list[Step] = []
    actions: list[str] = []
    outputs: list[int] = []
    for line in lines[1:]:
        if line.startswith("Final flow: "):
            told = line.removeprefix("Final flow: ")
            after = before if told.strip() == "unchanged" else fields(told)
            break
        step, word = _step(line), line.strip()
        if step is not None:
            actions = []
            steps.append(step)
        elif steps and line.startswith("    "):
            output = _OUTPUT.match(word.removeprefix("-> "))
            if output:
                outputs.append(int(output[1]))
            if not word.startswith(("->", ">>")):
                actions.append(word)
                steps[-1] = replace(steps[-1], actions=tuple(actions))
    if after is None:
        raise TraceTextError(f"no `Final flow:` behind {lines[0]!r}")
    said = [action for step in steps for action in step.actions]
    return Part(
        before,
        after,
        tuple(steps),
        tuple(outputs),
        returned="IN_PORT" in said,
        punted=any(action.startswith("CONTROLLER") for action in said),
    )


def _step(line: str) -> Step | None:
    found = _STEP.match(line)
    if found:
        return Step(int(found[1]), found[2] or "", int(found[3]), int(found[4] or "0", 16), ())
    missed = _MISS.match(line)
    return Step(int(missed[1]), "", 0, 0, (), hit=False) if missed else None

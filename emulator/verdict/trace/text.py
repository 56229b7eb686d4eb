"""What `ofproto/trace` of Open vSwitch prints (ovs-vswitchd(8)), read into values.

The text has one part for each pass through the tables: a packet that meets ct() is traced to there, and
then, with the connection state that `--ct-next` gave, from the table where it resumes. Each part names the
packet before and after, the flows that it met and the actions of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

_STEP = re.compile(r"^\s*(\d+)\. (?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$")
_MISS = re.compile(r"^\s*(\d+)\. No match\.$")
_OUTPUT = re.compile(
    r"^ +(?:-> )?output(?::| port is )(\d+)$(?!\n +>> skipping output to input port)", re.MULTILINE
)
_RETURN = re.compile(r"^ +IN_PORT$", re.MULTILINE)
_PUNT = re.compile(r"^ +CONTROLLER", re.MULTILINE)
_PART = re.compile(r"^Flow: ", re.MULTILINE)
_END = re.compile(r"^Final flow: (.*)$", re.MULTILINE)


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


@dataclass(frozen=True)
class Part:
    """One pass through the tables; what nobody asks for is not read."""

    text: str

    @cached_property
    def before(self) -> Mapping[str, str]:
        """The packet's fields and metadata; its kind (`tcp`, `icmp6`) is the value of `kind`."""
        return fields(self.text[: self.text.index("\n")].removeprefix("Flow: "))

    @cached_property
    def after(self) -> Mapping[str, str]:
        """The same, as it leaves the tables. Raises TraceTextError."""
        found = _END.search(self.text)
        if found is None:
            raise TraceTextError(f"no `Final flow:` behind {self.text[:200]!r}")
        told = found[1].strip()
        return self.before if told == "unchanged" else fields(told)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The flows that it met."""
        return tuple(_steps(self.text))

    @property
    def outputs(self) -> tuple[int, ...]:
        """OpenFlow ports that it left by."""
        return tuple(int(found) for found in _OUTPUT.findall(self.text))

    @property
    def returned(self) -> bool:
        """It was sent back out of the port that it came in by."""
        return _RETURN.search(self.text) is not None

    @property
    def punted(self) -> bool:
        """It was handed to the controller."""
        return _PUNT.search(self.text) is not None


_KINDS = frozenset({"tcp", "udp", "sctp", "icmp", "tcp6", "udp6", "sctp6", "icmp6", "ip", "ipv6", "arp"})


def parse(text: str) -> tuple[Part, ...]:
    """The passes in order. Raises TraceTextError."""
    starts = [found.start() for found in _PART.finditer(text)]
    if not starts:
        raise TraceTextError(f"no `Flow:` in {text[:200]!r}")
    ends = [*starts[1:], len(text)]
    parts = tuple(Part(text[start:end]) for start, end in zip(starts, ends, strict=True))
    assert parts[-1].after
    return parts


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


def _steps(text: str) -> Iterator[Step]:
    step: Step | None = None
    actions: list[str] = []
    for line in text.splitlines()[1:]:
        if line.startswith("Final flow: "):
            break
        found, word = _step(line), line.strip()
        if found is not None:
            if step is not None:
                yield replace(step, actions=tuple(actions))
            step, actions = found, []
        elif step is not None and line.startswith("    ") and not word.startswith(("->", ">>")):
            actions.append(word)
    if step is not None:
        yield replace(step, actions=tuple(actions))


def _step(line: str) -> Step | None:
    found = _STEP.match(line)
    if found:
        return Step(int(found[1]), found[2] or "", int(found[3]), int(found[4] or "0", 16), ())
    missed = _MISS.match(line)
    return Step(int(missed[1]), "", 0, 0, (), hit=False) if missed else None

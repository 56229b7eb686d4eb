"""A scenario as a value: a cluster to start from, and steps of actions and expectations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.api.objects import JsonObject, Key
from emulator.cluster.drain import DrainOptions
from emulator.cluster.faults.kind import Value
from emulator.verdict.expectation import Expectation


@dataclass(frozen=True, slots=True)
class Apply:
    """Create or change what the files and the objects in place say."""

    files: tuple[Path, ...] = ()
    objects: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete what files hold, and objects by name."""

    files: tuple[Path, ...] = ()
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """Set the number of replicas of a workload."""

    key: Key
    replicas: int


@dataclass(frozen=True, slots=True)
class Label:
    """Set labels of an object; None removes one."""

    key: Key
    labels: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Restart a workload and wait until the new pods have taken over."""

    key: Key


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a command in a pod; its exit code and output may be claimed."""

    pod: str
    command: tuple[str, ...]
    container: str | None = None
    exits: int = 0
    stdout: str = ""
    """Text that must be in what it prints; empty claims nothing."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until everything is in force, or until one field of an object is as told."""

    key: Key | None = None
    claim: Claim | None = None
    seconds: float | None = None
    """Own deadline; None takes what is left of the scenario's."""


@dataclass(frozen=True, slots=True)
class BeginLoad:
    """Begin a steady load, which goes on until a later step judges it."""

    name: str
    streams: tuple[Mapping[str, Any], ...]
    """As `LiveCluster.start_load` takes them."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Cordon a node and move its pods elsewhere."""

    node: str
    options: DrainOptions = field(default_factory=DrainOptions)


@dataclass(frozen=True, slots=True)
class Cordon:
    """Keep new pods from a node."""

    node: str


@dataclass(frozen=True, slots=True)
class Uncordon:
    """Let a node have pods again."""

    node: str


@dataclass(frozen=True, slots=True)
class Inject:
    """Make a fault happen."""

    fault: str
    arguments: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Clear:
    """Undo faults by name or kind; none means all."""

    names: tuple[str, ...] = ()


Action = (
    Apply
    | Delete
    | Scale
    | Label
    | Rollout
    | Exec
    | Wait
    | BeginLoad
    | Drain
    | Cordon
    | Uncordon
    | Inject
    | Clear
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a field of an object must be. Exactly one of the four says something."""

    path: str
    """Dotted, with list items picked by index or content: `status.containerStatuses[name=web].ready`."""
    equals: Any = None
    differs: Any = None
    contains: str = ""
    exists: bool | None = None


@dataclass(frozen=True, slots=True)
class ProbeCheck:
    """Send traffic and compare what became of it."""

    source: str
    target: str
    port: str | None
    expected: Expectation
    line: int
    count: int = 1
    http: str | None = None
    family: int | None = None
    packet: Mapping[str, Any] | None = None
    timeout: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """More of what `LiveCluster.probe` takes: size, exchanges, interval, …"""
    cause: str = ""
    """What `diagnose` must name: a code, an object, or `none`; empty claims nothing."""
    controls: tuple[Control, ...] | None = None
    """Controls of the author's; None lets the engine choose them."""


@dataclass(frozen=True, slots=True)
class Control:
    """A probe that must be answered for a silence to mean anything."""

    source: str
    target: str
    port: str | None
    why: str
    outcomes: tuple[str, ...] = ("connected",)
    """What counts as an answer."""


@dataclass(frozen=True, slots=True)
class ObjectCheck:
    """Compare a field of an object."""

    key: Key
    claim: Claim
    line: int


@dataclass(frozen=True, slots=True)
class LogCheck:
    """Look for a text in what a container wrote."""

    pod: str
    container: str | None
    contains: str
    line: int
    previous: bool = False


@dataclass(frozen=True, slots=True)
class LoadCheck:
    """End a load and compare what became of its requests."""

    name: str
    line: int
    lost: int = 0
    """So many may have been lost."""
    sent: int = 1
    """It goes on until so many have been sent."""
    answers: int = 0
    """So many different answers, pods as a rule, must have come."""


Check = ProbeCheck | ObjectCheck | LogCheck | LoadCheck


@dataclass(frozen=True, slots=True)
class Step:
    """Actions, in the order they are written, then expectations."""

    name: str
    line: int
    actions: tuple[Action, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole file. Relative paths are already those beside the file."""

    name: str
    title: str
    file: Path
    topology: str
    nodes: int | None
    manifests: tuple[Path, ...]
    steps: tuple[Step, ...]

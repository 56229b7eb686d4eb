"""Faults that a cluster suffers from. They are kept in the status of its Topology, which the journal keeps
and the controller follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.api.objects import JsonObject
from emulator.cluster.faults.kind import Value


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was injected."""

    name: str
    """What to clear it by: its kind and a number, `node-down-1`."""
    kind: str
    arguments: Mapping[str, Value]
    since: str
    """When, as Kubernetes writes time."""
    did: tuple[str, ...] = ()
    """What was done, a phrase each."""
    memo: Mapping[str, Any] = field(default_factory=dict)
    """What has to be known to undo it, or to make it happen again after a restart; JSON."""

    def as_json(self) -> JsonObject:
        """The form of answers and reports; without the memo."""
        return {
            "apiVersion": "mininetes.io/v1",
            "kind": "Fault",
            "name": self.name,
            "fault": self.kind,
            "arguments": dict(self.arguments),
            "since": self.since,
            "did": list(self.did),
        }

    def record(self) -> JsonObject:
        """The form in which it is kept."""
        return {**self.as_json(), "memo": dict(self.memo)}

    @classmethod
    def of(cls, record: JsonObject) -> Fault:
        """The inverse of `record`."""
        return cls(
            name=record["name"],
            kind=record["fault"],
            arguments=record["arguments"],
            since=record["since"],
            did=tuple(record["did"]),
            memo=record["memo"],
        )


def faults_in(topologies: Iterable[JsonObject]) -> tuple[Fault, ...]:
    """What a cluster suffers from, by its Topology; in the order in which it was injected."""
    return tuple(
        Fault.of(record)
        for topology in topologies
        for record in (topology.get("status") or {}).get("faults") or ()
    )


def new_name(kind: str, taken: Iterable[Fault]) -> str:
    """A name that no active fault has."""
    names = {fault.name for fault in taken}
    return next(name for number in range(1, len(names) + 2) if (name := f"{kind}-{number}") not in names)


def named(faults: Iterable[Fault], word: str) -> tuple[Fault, ...]:
    """Those that `word` means: the one of that name, or all of that kind."""
    return tuple(fault for fault in faults if word in (fault.name, fault.kind))

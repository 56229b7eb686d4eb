"""What came of scenarios, as values that every report is rendered from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.verdict.outcome import Verdict, worst


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One action or expectation, and what came of it."""

    text: str
    """`shop/web → svc/shop/db:5432/tcp`, or what was done."""
    verdict: Verdict
    found: str = ""
    """What was found, in a word or two: the outcome of a probe."""
    reasons: tuple[str, ...] = ()
    line: int = 0
    seconds: float = 0.0
    report: Mapping[str, Any] | None = None
    controls: tuple[Mapping[str, Any], ...] = ()
    """The positive controls of an expected drop, with their outcomes."""
    exit_code: int | None = None
    """Set when what kept it from being decided has an exit code of its own."""

    def to_json(self) -> dict[str, Any]:
        """Its part of the Run contract."""
        return {
            "check": self.text,
            "verdict": self.verdict.value,
            "found": self.found,
            "reasons": list(self.reasons),
            "line": self.line,
            "seconds": round(self.seconds, 3),
            "probe": self.report,
            "controls": list(self.controls),
        }


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: its actions' notes and its checks."""

    number: int
    name: str
    verdict: Verdict
    checks: tuple[CheckResult, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    line: int = 0

    def to_json(self) -> dict[str, Any]:
        """Its part of the Run contract."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
            "checks": [check.to_json() for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the scenario ran on."""

    topology: str
    nodes: int = 0
    pods: int = 0
    services: int = 0
    seconds: float = 0.0
    """From the start to ready."""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """One scenario."""

    name: str
    title: str
    file: str
    verdict: Verdict
    steps: tuple[StepResult, ...] = ()
    facts: ClusterFacts | None = None
    reasons: tuple[str, ...] = ()
    """Why it could not be run, when it could not."""
    seconds: float = 0.0
    exit_code: int | None = None
    """The exit code that the reason stands for, when it has one of its own."""

    @property
    def checks(self) -> Iterable[CheckResult]:
        """All checks of all steps."""
        return (check for step in self.steps for check in step.checks)

    def count(self, verdict: Verdict) -> int:
        """How many checks came out so."""
        return sum(1 for check in self.checks if check.verdict is verdict)

    def to_json(self) -> dict[str, Any]:
        """Its part of the Run contract."""
        facts = self.facts
        return {
            "name": self.name,
            "title": self.title,
            "file": self.file,
            "verdict": self.verdict.value,
            "seconds": round(self.seconds, 3),
            "topology": facts.topology if facts else None,
            "cluster": None
            if facts is None
            else {
                "nodes": facts.nodes,
                "pods": facts.pods,
                "services": facts.services,
                "readySeconds": round(facts.seconds, 3),
            },
            "reasons": list(self.reasons),
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class RunResult:
    """One `mininetes run`."""

    scenarios: tuple[ScenarioResult, ...]
    seed: int = 0
    seconds: float = 0.0
    folder: str = ""
    """Where the evidence lies."""

    @property
    def verdict(self) -> Verdict:
        """The gravest of all."""
        return worst(scenario.verdict for scenario in self.scenarios)

    def count(self, verdict: Verdict) -> int:
        """How many checks came out so."""
        return sum(scenario.count(verdict) for scenario in self.scenarios)

    def to_json(self) -> dict[str, Any]:
        """The Run contract."""
        return {
            "apiVersion": "mininetes.io/v1",
            "kind": "Run",
            "verdict": self.verdict.value,
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
            "scenarios": [scenario.to_json() for scenario in self.scenarios],
        }

"""The report that people read while it happens: one line a check, nothing moves or disappears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emulator.scenario.model import Scenario, Step
from emulator.scenario.results import CheckResult, ClusterFacts, RunResult, ScenarioResult, StepResult
from emulator.verdict.outcome import Verdict

MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.ERROR: "!", Verdict.SKIP: "–"}
STYLES = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.ERROR: "bad", Verdict.SKIP: "faint"}
_WIDTH = 48


@dataclass(frozen=True, slots=True)
class TextReport:
    """Writes lines as things happen."""

    write: Callable[[str], None]
    style: Callable[[str, str], str] = lambda text, _style: text
    """Gives a text one of the styles good, bad, doubt, faint, strong."""
    verbose: bool = False
    """With the controls of expected drops."""
    brief: bool = False
    """Only what did not pass, and the counts."""

    def scenario(self, name: str, title: str) -> None:
        """The headline."""
        self._tell(f"{self.style(name, 'strong')}   {title}".rstrip())

    def ready(self, scenario: Scenario, facts: ClusterFacts) -> None:  # noqa: ARG002
        """What it runs on."""
        self._tell(
            f"topology {facts.topology}: {_counted(facts.nodes, 'node')}, {_counted(facts.pods, 'pod')},"
            f" {_counted(facts.services, 'service')}, up in {facts.seconds:.1f}s"
        )

    def step(self, number: int, step: Step) -> None:
        """A step's name."""
        self._tell(f"\n{number}  {step.name}")

    def note(self, text: str) -> None:
        """What was done."""
        self._tell(self.style(f"   · {text}", "faint"))

    def check(self, result: CheckResult) -> None:
        """A check: what was asked, what was found, and what was expected where that differs."""
        if self.brief and result.verdict is Verdict.PASS:
            return
        mark = self.style(MARKS[result.verdict], STYLES[result.verdict])
        line = f"   {mark} {result.text:<{_WIDTH}}  {result.found:<10}"
        first = result.reasons[0] if result.reasons else ""
        if result.verdict is Verdict.PASS and result.controls:
            line += f"  {self.style(f'{len(result.controls)} controls answered', 'faint')}"
        if first:
            line += f"  {self.style(first, STYLES[result.verdict])}"
        self.write(line.rstrip())
        for reason in result.reasons[1:]:
            self.write(f"       {reason}")
        for control in result.controls if self.verbose else ():
            self.write(
                f"       control {control['from']} → {control['to']} {control['outcome']}: {control['why']}"
            )

    def done(self, step: StepResult) -> None:
        """Why a step was skipped."""
        if step.verdict is Verdict.SKIP:
            self._tell(self.style(f"\n{step.number}  {step.name}   skipped: {step.notes[0]}", "faint"))

    def scenario_done(self, result: ScenarioResult) -> None:
        """The count."""
        for reason in result.reasons:
            self.write(f"   {self.style('!', 'bad')} {reason}")
        summary = f"{self._headline(result.verdict)}  {counts(result)}   {result.seconds:.1f}s"
        self.write(f"{summary}   {result.name}" if self.brief else f"\n{summary}\n")

    def kept(self, cluster: str) -> None:
        """A cluster goes on running because somebody wants to look around."""
        self.write(f"kept      mininetes get pods -A --name {cluster}; mininetes down --name {cluster}")

    def run_done(self, result: RunResult) -> None:
        """The count over all scenarios, when there are several, and where the evidence lies."""
        if len(result.scenarios) > 1:
            for scenario in result.scenarios:
                mark = self.style(MARKS[scenario.verdict], STYLES[scenario.verdict])
                self.write(f"{mark} {scenario.name:<32} {counts(scenario)}   {scenario.seconds:.1f}s")
            self.write(f"\n{self._headline(result.verdict)}  {counts(result)}   {result.seconds:.1f}s")
        if result.folder:
            self.write(f"evidence  {result.folder}")

    def _tell(self, text: str) -> None:
        if not self.brief:
            self.write(text)

    def _headline(self, verdict: Verdict) -> str:
        return self.style(verdict.value.upper(), STYLES[verdict])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def counts(result: ScenarioResult | RunResult) -> str:
    """`3 passed, 1 failed, 2 not run`."""
    words = {
        Verdict.PASS: "passed",
        Verdict.FAIL: "failed",
        Verdict.ERROR: "undecided",
        Verdict.SKIP: "not run",
    }
    counted = [(result.count(verdict), word) for verdict, word in words.items()]
    return ", ".join(f"{count} {word}" for count, word in counted if count or word == "passed")

"""Runs one scenario against a cluster of its own: actions, expectations, verdicts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from emulator.api.errors import ApiError
from emulator.api.kinds import kind_named
from emulator.cluster.places import PlaceError
from emulator.scenario import changes
from emulator.scenario.asking import ask
from emulator.scenario.claims import failure
from emulator.scenario.cluster import Applied, LiveCluster, Readiness
from emulator.scenario.faults import clear, inject
from emulator.scenario.loads import judge
from emulator.scenario.model import (
    Action,
    Apply,
    BeginLoad,
    Check,
    Clear,
    Cordon,
    Delete,
    Drain,
    Exec,
    Inject,
    Label,
    LoadCheck,
    LogCheck,
    ObjectCheck,
    ProbeCheck,
    Rollout,
    Scale,
    Scenario,
    Step,
    Uncordon,
    Wait,
)
from emulator.scenario.pods import pod_named, site_named
from emulator.scenario.results import CheckResult, ClusterFacts, ScenarioResult, StepResult
from emulator.verdict.outcome import Verdict, worst

Load = Callable[[Sequence[Path]], Sequence[Any]]
"""Reads manifests into what `LiveCluster.apply` takes; raises when they cannot be used."""


class Listener(Protocol):
    """Hears of a run as it goes."""

    def ready(self, scenario: Scenario, facts: ClusterFacts) -> None:
        """The cluster is up and the scenario's own manifests are in force."""

    def step(self, number: int, step: Step) -> None:
        """A step begins."""

    def note(self, text: str) -> None:
        """An action is done, or has something to say."""

    def check(self, result: CheckResult) -> None:
        """A check is decided."""

    def done(self, step: StepResult) -> None:
        """A step ended, or was skipped."""


class NotReady(Exception):  # noqa: N818 - what it is called in the design
    """Something is still missing at the deadline."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which everything must be done."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """`seconds` from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left. Raises NotReady when there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise NotReady("the scenario's time is over")
        return left


@dataclass(frozen=True, slots=True)
class Conductor:
    """One scenario on one running cluster."""

    scenario: Scenario
    cluster: LiveCluster
    listener: Listener
    load: Load
    deadline: Deadline
    keep_going: bool = False
    """Go on with the next step after one that failed."""
    loads: dict[str, str] = field(default_factory=dict)
    """The loads under way: their ids by their names."""

    def play(self, facts: ClusterFacts, started: float) -> ScenarioResult:
        """All steps. Failures are in the result, not raised."""
        self.listener.ready(self.scenario, facts)
        steps: list[StepResult] = []
        stopped: StepResult | None = None
        for number, step in enumerate(self.scenario.steps, 1):
            if stopped is not None:
                result = _skipped(number, step, stopped.number)
            else:
                self.listener.step(number, step)
                result = self._step(number, step)
            steps.append(result)
            self.listener.done(result)
            if result.verdict is not Verdict.PASS and stopped is None and not self.keep_going:
                stopped = result
        return ScenarioResult(
            name=self.scenario.name,
            title=self.scenario.title,
            file=str(self.scenario.file),
            verdict=worst(step.verdict for step in steps),
            steps=tuple(steps),
            facts=facts,
            seconds=time.monotonic() - started,
            exit_code=max((c.exit_code for step in steps for c in step.checks if c.exit_code), default=None),
        )

    def _step(self, number: int, step: Step) -> StepResult:
        started = time.monotonic()
        checks: list[CheckResult] = []
        notes: list[str] = []
        for action in step.actions:
            result, said = self._act(action, step.line)
            for text in said:
                notes.append(text)
                self.listener.note(text)
            if result is not None:
                checks.append(result)
                self.listener.check(result)
        if worst(check.verdict for check in checks) is Verdict.PASS:
            for check in step.checks:
                result = self._check(check)
                checks.append(result)
                self.listener.check(result)
        return StepResult(
            number=number,
            name=step.name,
            verdict=worst(check.verdict for check in checks),
            checks=tuple(checks),
            notes=tuple(notes),
            seconds=time.monotonic() - started,
            line=step.line,
        )

    # Actions

    def _act(self, action: Action, line: int) -> tuple[CheckResult | None, Iterable[str]]:
        """Do one action: a result where there is something to tell, and notes."""
        started = time.monotonic()
        text = _told(action)
        try:
            match action:
                case Exec():
                    return self._exec(action, line), ()
                case Wait():
                    self._wait(action)
                    return None, (text,)
                case Inject(fault, arguments):
                    return None, (text, *inject(self.cluster, fault, arguments))
                case Clear(names):
                    clear(self.cluster, names, self.deadline.left)
                    return None, (text,)
                case BeginLoad(name, streams):
                    self.loads[name] = self.cluster.start_load(streams)
                    return None, (text,)
                case _:
                    return None, (text, *self._change(action))
        except (
            ApiError,
            PlaceError,
            NotReady,
            TimeoutError,
            subprocess.TimeoutExpired,
            changes.DrainRefused,
            changes.RolloutStuck,
        ) as error:
            verdict = Verdict.ERROR if isinstance(error, ApiError | PlaceError) else Verdict.FAIL
            result = CheckResult(
                text, verdict, "failed", (_said(error),), line=line, seconds=time.monotonic() - started
            )
            return result, ()

    def _change(
        self, action: Apply | Delete | Scale | Label | Rollout | Drain | Cordon | Uncordon
    ) -> Sequence[str]:
        cluster, left = self.cluster, self.deadline.left
        match action:
            case Apply(files, objects):
                return _insist(cluster.apply([*self.load(files), *objects], timeout=left))
            case Delete(files, keys):
                named = [kind_named(key.kind).bare_object(key.namespace, key.name) for key in keys]
                return _insist(cluster.delete([*self.load(files), *named], timeout=left))
            case Scale(key, replicas):
                changes.scale(cluster, key.kind, key.name, key.namespace, replicas)
            case Label(key, labels):
                changes.label(cluster, key.kind, key.name, key.namespace, labels)
            case Drain(node, options):
                changes.cordon(cluster, node)
                plan = changes.plan_of_drain(cluster, node, options)
                return [*plan.warnings, *_insist(changes.evict(cluster, plan, left))]
            case Cordon(node):
                changes.cordon(cluster, node)
            case Uncordon(node):
                changes.uncordon(cluster, node)
            case Rollout(key):
                changes.restart(cluster, key.kind, key.name, key.namespace)
                changes.wait_rolled_out(cluster, key.kind, key.name, key.namespace, left)
        _ready(cluster.wait_ready(self.deadline.left))
        return ()

    def _wait(self, action: Wait) -> None:
        seconds = min(action.seconds or self.deadline.left, self.deadline.left)
        if action.key is None or action.claim is None:
            _ready(self.cluster.wait_ready(seconds))
            return
        key, claim = action.key, action.claim
        self.cluster.wait_for(key.kind, key.name, key.namespace, lambda obj: not failure(claim, obj), seconds)

    def _exec(self, action: Exec, line: int) -> CheckResult:
        started = time.monotonic()
        pod = site_named(self.cluster, action.pod)
        done = self.cluster.exec(pod, action.command, action.container, timeout=self.deadline.left)
        reasons = []
        if done.exit_code != action.exits:
            reasons.append(f"exit code was {done.exit_code}, expected {action.exits}: {done.stderr.strip()}")
        if action.stdout not in done.stdout:
            reasons.append(f"printed {done.stdout.strip()!r}, expected {action.stdout!r} in it")
        return CheckResult(
            _told(action),
            Verdict.FAIL if reasons else Verdict.PASS,
            f"exit code {done.exit_code}",
            tuple(reasons),
            line=line,
            seconds=time.monotonic() - started,
        )

    # Checks

    def _check(self, check: Check) -> CheckResult:
        try:
            match check:
                case ProbeCheck():
                    return ask(self.cluster, check)
                case ObjectCheck():
                    return self._object(check)
                case LogCheck():
                    return self._log(check)
                case LoadCheck():
                    return judge(self.cluster, self.loads.pop(check.name, ""), check)
        except (ApiError, PlaceError, NotReady, OSError) as error:
            # Whatever keeps a check from being decided is an error of its own, never a pass.
            return CheckResult(
                _asked(check),
                Verdict.ERROR,
                "error",
                (_said(error),),
                line=check.line,
                exit_code=_code(error),
            )

    def _object(self, check: ObjectCheck) -> CheckResult:
        key = check.key
        reason = failure(check.claim, self.cluster.get(key.kind, key.name, key.namespace))
        return CheckResult(
            _asked(check),
            Verdict.FAIL if reason else Verdict.PASS,
            "as told" if not reason else "differs",
            (reason,) if reason else (),
            line=check.line,
        )

    def _log(self, check: LogCheck) -> CheckResult:
        pod = pod_named(self.cluster, check.pod)
        text = "".join(self.cluster.logs(pod, check.container, previous=check.previous))
        found = check.contains in text
        last = text.strip().splitlines()[-1:] or ["nothing"]
        return CheckResult(
            _asked(check),
            Verdict.PASS if found else Verdict.FAIL,
            "found" if found else "not found",
            () if found else (f"{check.contains!r} is not in it; it ends with: {last[0]}",),
            line=check.line,
        )


def _insist(done: Applied) -> Sequence[str]:
    _ready(done.ready)
    return done.warnings


def _ready(readiness: Readiness) -> None:
    if not readiness.ready:
        raise NotReady("not ready: " + "; ".join(readiness.missing))


def _skipped(number: int, step: Step, failed: int) -> StepResult:
    reason = (f"step {failed} did not pass",)
    checks = tuple(
        CheckResult(_asked(check), Verdict.SKIP, "not run", reason, line=check.line) for check in step.checks
    )
    return StepResult(number, step.name, Verdict.SKIP, checks, reason, line=step.line)


def _code(error: BaseException) -> int | None:
    """A server that fails is our bug; everything else is a matter of the scenario."""
    return 4 if isinstance(error, ApiError) and error.code >= 500 else None


def _said(error: BaseException) -> str:
    text = str(error.args[0]) if isinstance(error, TimeoutError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__


def _asked(check: Check) -> str:
    match check:
        case ProbeCheck():
            return f"{check.source} → {check.target}" + (f":{check.port}" if check.port else "")
        case ObjectCheck():
            return f"{check.key} {check.claim.path}"
        case LoadCheck():
            return f"load {check.name}"
        case LogCheck():
            return f"logs of {check.pod}" + (f" ({check.container})" if check.container else "")


def _told(action: Action) -> str:
    match action:
        case Apply(files, objects):
            names = [file.name for file in files]
            names += [f"{one['kind']}/{one['metadata'].get('name')}" for one in objects]
            return f"apply {', '.join(names)}"
        case Delete(files, keys):
            return f"delete {', '.join([*(file.name for file in files), *map(str, keys)])}"
        case Scale(key, replicas):
            return f"scale {key} to {replicas}"
        case Label(key, labels):
            return f"label {key} " + " ".join(
                f"{k}={v}" if v is not None else f"{k}-" for k, v in labels.items()
            )
        case Rollout(key):
            return f"restart {key}"
        case Drain(node):
            return f"drain {node}"
        case Cordon(node):
            return f"cordon {node}"
        case Uncordon(node):
            return f"uncordon {node}"
        case Inject(fault, arguments):
            return " ".join(["fault", fault, *(f"{name}={value}" for name, value in arguments.items())])
        case Clear(names):
            return f"clear {', '.join(names) or 'all faults'}"
        case BeginLoad(name, streams):
            return f"load {name} begins: {len(streams)} streams"
        case Exec():
            return f"{action.pod} runs {' '.join(action.command)}"
        case Wait():
            return f"wait for {action.key}" if action.key else "wait until ready"

"""A whole run: scenarios one after the other, each in a fresh cluster of its own name."""

from __future__ import annotations

import re
import secrets
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from emulator.api.problems import ManifestError, Problem
from emulator.scenario.cluster import LiveCluster
from emulator.scenario.engine import Conductor, Deadline, Listener, Load, NotReady
from emulator.scenario.model import Scenario
from emulator.scenario.parse import read_scenario
from emulator.scenario.results import ClusterFacts, RunResult, ScenarioResult
from emulator.verdict.outcome import Verdict

EXIT_OK, EXIT_FAILED, EXIT_BUG = 0, 1, 4


class Reporter(Listener, Protocol):
    """A listener that also hears of whole scenarios."""

    def scenario(self, name: str, title: str) -> None:
        """A scenario begins."""

    def scenario_done(self, result: ScenarioResult) -> None:
        """A scenario ended."""

    def kept(self, cluster: str) -> None:
        """A cluster was left running."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all scenarios of a run."""

    start: Callable[..., LiveCluster]
    """`Cluster.up`."""
    load: Load
    codes: Callable[[BaseException], int | None]
    """The exit code that an exception stands for; None when it is our bug."""
    timeout: float = 120.0
    topology: str | None = None
    families: str | None = None
    keep: bool = False
    fail_fast: bool = False
    keep_going: bool = False
    seed: int = 0
    evidence: Path | None = None
    """Where the logs of clusters go whose scenario did not pass."""


def run(files: Sequence[tuple[str, Path]], settings: Settings, reporter: Reporter) -> RunResult:
    """Play the scenarios, given as (name, file). Raises ManifestError before anything starts."""
    started = time.monotonic()
    scenarios = read_all(files)
    results: list[ScenarioResult] = []
    for (name, _), scenario in zip(files, scenarios, strict=True):
        reporter.scenario(name, scenario.title)
        last = len(results) == len(scenarios) - 1
        result = _play(name, scenario, settings, reporter, keep=settings.keep and last)
        results.append(result)
        reporter.scenario_done(result)
        if settings.fail_fast and result.verdict is not Verdict.PASS:
            break
    return RunResult(tuple(results), seed=settings.seed, seconds=time.monotonic() - started)


def read_all(files: Sequence[tuple[str, Path]]) -> list[Scenario]:
    """Read all files, so that the mistakes of all of them are told at once. Raises ManifestError."""
    scenarios: list[Scenario] = []
    problems: list[Problem] = []
    for _, file in files:
        try:
            scenarios.append(read_scenario(file))
        except ManifestError as wrong:
            problems += wrong.problems
    if problems:
        raise ManifestError(problems)
    return scenarios


def exit_code(result: RunResult) -> int:
    """0 all passed; 1 the network did not behave as expected; else what kept it from being decided."""
    if any(scenario.verdict is Verdict.FAIL for scenario in result.scenarios):
        return EXIT_FAILED
    own = [scenario.exit_code for scenario in result.scenarios if scenario.exit_code]
    if own:
        return max(own)
    return EXIT_OK if result.verdict in (Verdict.PASS, Verdict.SKIP) else EXIT_FAILED


def cluster_name(name: str) -> str:
    """A name that no other run on this machine has: short, for it becomes part of a socket's path."""
    word = re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].lower()).strip("-")[:16]
    return f"{word}-{secrets.token_hex(3)}"


def _play(
    name: str, scenario: Scenario, settings: Settings, reporter: Reporter, *, keep: bool
) -> ScenarioResult:
    started = time.monotonic()
    try:
        with _cluster(name, scenario, settings, reporter if keep else None) as (cluster, deadline):
            ready = cluster.wait_ready(deadline.left)
            if not ready.ready:
                _keep_logs(name, cluster, settings.evidence)
                raise NotReady("not ready: " + "; ".join(ready.missing))
            facts = _facts(cluster, settings.topology or scenario.topology, time.monotonic() - started)
            conductor = Conductor(
                scenario, cluster, reporter, settings.load, deadline, keep_going=settings.keep_going
            )
            result = conductor.play(facts, started)
            if result.verdict is not Verdict.PASS:
                _keep_logs(name, cluster, settings.evidence)
    except Exception as error:
        return _broken(name, scenario, error, settings, time.monotonic() - started)
    return _named(result, name)


@contextmanager
def _cluster(
    name: str, scenario: Scenario, settings: Settings, keeper: Reporter | None
) -> Iterator[tuple[LiveCluster, Deadline]]:
    deadline = Deadline.after(settings.timeout)
    manifests = settings.load(scenario.manifests) if scenario.manifests else ()
    cluster = settings.start(
        settings.topology or scenario.topology,
        manifests,
        name=cluster_name(name),
        nodes=scenario.nodes,
        families=settings.families,
        timeout=settings.timeout,
    )
    try:
        yield cluster, deadline
    finally:
        if keeper is None:
            cluster.down()
        else:
            cluster.detach()
            keeper.kept(cluster.name)


def _facts(cluster: LiveCluster, topology: str, seconds: float) -> ClusterFacts:
    nodes, pods, services = (len(cluster.get(kind)) for kind in ("Node", "Pod", "Service"))
    return ClusterFacts(Path(topology).stem, nodes, pods, services, seconds)


def _keep_logs(name: str, cluster: LiveCluster, folder: Path | None) -> None:
    """Copy the logs of everything that runs in the cluster; it is about to be gone."""
    logs = cluster.run_dir / "var" / "log"
    if folder and logs.is_dir():
        shutil.copytree(logs, folder / "logs" / name.replace("/", "-"), dirs_exist_ok=True)


def _named(result: ScenarioResult, name: str) -> ScenarioResult:
    return replace(result, name=name)


def _broken(
    name: str, scenario: Scenario, error: Exception, settings: Settings, seconds: float
) -> ScenarioResult:
    """A scenario that could not be played to its end, with the reason."""
    code = settings.codes(error)
    hint: Any = getattr(error, "hint", "")
    reasons = [str(error) or type(error).__name__, *([str(hint)] if hint else [])]
    if code is None:
        reasons.append("".join(traceback.format_exception(error)))
    return ScenarioResult(
        name=name,
        title=scenario.title,
        file=str(scenario.file),
        verdict=Verdict.FAIL if isinstance(error, NotReady) else Verdict.ERROR,
        reasons=tuple(reasons),
        seconds=seconds,
        exit_code=EXIT_BUG if code is None else code,
    )

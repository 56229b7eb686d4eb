"""JUnit XML: one suite a scenario, one case a check."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from emulator.scenario.results import CheckResult, RunResult, ScenarioResult, StepResult
from emulator.verdict.outcome import Verdict


def to_junit(result: RunResult) -> str:
    """The report as XML text."""
    document = JUnitXml("mininetes")
    for scenario in result.scenarios:
        document.add_testsuite(_suite(scenario, result.seed))
    document.update_statistics()  # type: ignore[no-untyped-call]
    text = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode() if isinstance(text, bytes) else str(text)


def _suite(scenario: ScenarioResult, seed: int) -> TestSuite:
    suite = TestSuite(scenario.name)
    suite.add_property("file", scenario.file)
    suite.add_property("seed", str(seed))
    if scenario.facts:
        suite.add_property("topology", scenario.facts.topology)
    for step in scenario.steps:
        for check in step.checks:
            suite.add_testcase(_case(scenario, step, check))
    if scenario.reasons:
        case = TestCase("the scenario can be run", classname=scenario.name, time=scenario.seconds)
        kind = Failure if scenario.verdict is Verdict.FAIL else Error
        case.result = [kind("\n".join(scenario.reasons))]
        suite.add_testcase(case)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    suite.time = scenario.seconds
    return suite


def _case(scenario: ScenarioResult, step: StepResult, check: CheckResult) -> TestCase:
    case = TestCase(f"{step.number} {step.name}: {check.text}", classname=scenario.name, time=check.seconds)
    message = "; ".join(check.reasons)
    match check.verdict:
        case Verdict.FAIL:
            case.result = [Failure(message)]
        case Verdict.ERROR:
            case.result = [Error(message)]
        case Verdict.SKIP:
            case.result = [Skipped(message)]
    return case

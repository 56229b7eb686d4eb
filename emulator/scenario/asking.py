"""One probe of a scenario: send it, compare it, and distrust its silence."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from emulator.api.errors import ApiError
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import PlaceKind, parse_place
from emulator.scenario.addresses import addresses_of
from emulator.scenario.cluster import LiveCluster
from emulator.scenario.controls import controls_of
from emulator.scenario.model import Control, ProbeCheck
from emulator.scenario.results import CheckResult
from emulator.verdict.expectation import compare
from emulator.verdict.outcome import Verdict
from emulator.verdict.spread import is_even


def ask(cluster: LiveCluster, check: ProbeCheck) -> CheckResult:
    """Send the probe and judge it; an expected drop that came is judged by its controls too.

    Raises ApiError when the request is refused.
    """
    started = time.monotonic()
    report = _answered(cluster, check)
    if _uneven(check, report):
        # Chance alone does that once in a thousand times, and twice running once in a million.
        report = _answered(cluster, check)
    finding = compare(check.expected, report, _meant(cluster, check))
    verdict, reasons = finding.verdict, finding.reasons
    if verdict is Verdict.PASS and check.cause:
        reasons = _misdiagnosed(cluster, check)
        verdict = Verdict.FAIL if reasons else verdict
    controls: tuple[Mapping[str, Any], ...] = ()
    if verdict is Verdict.PASS and check.expected.outcome is Outcome.DROPPED:
        controls = tuple(_control(cluster, control, check.family) for control in controls_of(check, cluster))
        broken = tuple(f"a control was not answered: {_told(one)}" for one in controls if not one["answered"])
        if broken:
            verdict, reasons = Verdict.ERROR, broken
    return CheckResult(
        text=_text(report, check),
        verdict=verdict,
        found=str(report.get("outcome")),
        reasons=reasons,
        line=check.line,
        seconds=time.monotonic() - started,
        report=report,
        controls=controls,
    )


def _answered(cluster: LiveCluster, check: ProbeCheck) -> Mapping[str, Any]:
    return cluster.probe(
        check.source,
        check.target,
        check.port,
        count=check.count,
        http=check.http,
        family=check.family,
        packet=check.packet,
        timeout=check.timeout,
        checks=check.expected.captures,
        **check.options,
    )


def _uneven(check: ProbeCheck, report: Mapping[str, Any]) -> bool:
    spread = check.expected.endpoints
    return spread is not None and spread.even and not is_even(report.get("endpoints") or {})


def _misdiagnosed(cluster: LiveCluster, check: ProbeCheck) -> tuple[str, ...]:
    """How the cause that `diagnose` names differs from the one that is meant; nothing when it does not."""
    found = cluster.diagnose(
        check.source,
        check.target,
        check.port,
        http=check.http,
        family=check.family,
        timeout=check.timeout,
    )
    cause = found.get("cause")
    named = ("none",) if cause is None else (str(cause["code"]), str(cause["object"]))
    if check.cause in named:
        return ()
    told = "none" if cause is None else f"{cause['code']} {cause['object']}: {cause['sentence']}"
    return (f"expected the cause {check.cause}, diagnosed {told}",)


def _text(report: Mapping[str, Any], check: ProbeCheck) -> str:
    """The probe as it was meant; the port is the report's where the scenario left it open."""
    port = check.port or report.get("port")
    repeated = f" ×{check.count}" if check.count > 1 else ""
    asked = f"  GET {check.http}" if check.http else ""
    family = f" IPv{check.family}" if check.family else ""
    return f"{check.source} → {check.target}" + (f":{port}" if port else "") + family + asked + repeated


def _meant(cluster: LiveCluster, check: ProbeCheck) -> dict[str, frozenset[str]]:
    """Addresses of the place that the expectation wants to see as the source, if it is a place."""
    source = check.expected.sees.get("source")
    if source is None or parse_place(str(source)).kind in (PlaceKind.ADDRESS, PlaceKind.NAME):
        return {}
    return {str(source): addresses_of(cluster, parse_place(str(source)))}


def _control(cluster: LiveCluster, control: Control, family: int | None) -> dict[str, Any]:
    try:
        outcome = str(
            cluster.probe(control.source, control.target, control.port, family=family).get("outcome")
        )
    except ApiError as error:
        outcome = f"error ({error})"
    return {
        "from": control.source,
        "to": control.target,
        "port": control.port,
        "why": control.why,
        "outcome": outcome,
        "answered": outcome in control.outcomes,
    }


def _told(control: Mapping[str, Any]) -> str:
    port = f":{control['port']}" if control["port"] and control["port"] != "icmp" else ""
    return f"{control['from']} → {control['to']}{port} ({control['why']}) was {control['outcome']}"

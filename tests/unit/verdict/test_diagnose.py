"""Diagnoses: which answer differs first, and which cause is named."""

from __future__ import annotations

import pytest

from emulator.cluster.model import ClusterState, Ref
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import parse_place
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Mode, Wiring
from emulator.oracle.answer import Answer, Code, Reason
from emulator.verdict.causes.order import CODES, FINDERS
from emulator.verdict.diagnose.change import change
from emulator.verdict.diagnose.diagnosis import Cause, diagnose
from emulator.verdict.diagnose.diagnosis import Code as Kind
from emulator.verdict.diagnose.evidence import Answers, Asked, Evidence
from emulator.verdict.trace.model import Trace

CONNECTED, DROPPED, REJECTED, MIXED = Outcome.CONNECTED, Outcome.DROPPED, Outcome.REJECTED, Outcome.MIXED
DENY = Ref("NetworkPolicy", "shop", "deny-all")
BROKEN = Kind("broken", "It is broken", "mend it")


def spec(*outcomes: Outcome, reasons: tuple[Reason, ...] = ()) -> Answer:
    one = outcomes[0] if len(outcomes) == 1 else MIXED
    return Answer(one, frozenset(outcomes), frozenset(), frozenset(), reasons)


def answers(
    said: Answer | None, traced: Outcome | None, *happened: Outcome, others: tuple[Outcome, ...] = ()
) -> Answers:
    wire = {"outcomes": {outcome.value: 1 for outcome in happened}} if happened else None
    trace = Trace(traced, ()) if traced else None
    return Answers(said, trace, wire, tuple(Trace(other, ()) for other in others))


def evidence(found: Answers, **more: object) -> Evidence:
    wiring = Wiring("t", Mode.OVERLAY, (), (), (), (), (), (), (), 1450)
    asked = Asked(parse_place("shop/web"), parse_place("10.244.1.3"))
    return Evidence(asked, Snapshot({}, wiring), ClusterState(wiring), answers=found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        (answers(spec(CONNECTED), CONNECTED, CONNECTED), ""),
        (answers(spec(DROPPED), DROPPED, DROPPED), ""),
        (answers(spec(DROPPED), CONNECTED, CONNECTED), "trace"),
        (answers(spec(CONNECTED), CONNECTED, DROPPED), "wire"),
        (answers(spec(CONNECTED), DROPPED, CONNECTED), "trace"),
        (answers(spec(CONNECTED), None, DROPPED), "wire"),
        (answers(None, CONNECTED, DROPPED), "wire"),
        (answers(spec(CONNECTED, DROPPED), CONNECTED, DROPPED, CONNECTED), ""),
        (answers(spec(CONNECTED, DROPPED), CONNECTED, REJECTED), "wire"),
        (answers(spec(CONNECTED), CONNECTED, CONNECTED, REJECTED), "wire"),
        (answers(spec(CONNECTED), CONNECTED, others=(DROPPED,)), "trace"),
    ],
)
def test_the_first_difference(found: Answers, difference: str) -> None:
    assert found.difference == difference


def test_a_probe_that_failed_proves_nothing() -> None:
    assert answers(spec(CONNECTED), CONNECTED, Outcome.ERROR).difference == ""


def test_no_cause_is_looked_for_when_nothing_is_wrong() -> None:
    def never(_: Evidence) -> Cause | None:
        raise AssertionError

    found = diagnose(evidence(answers(spec(CONNECTED), CONNECTED, CONNECTED)), (never,), change)
    assert (found.cause, found.agrees, found.outcome) == (None, True, CONNECTED)


def test_the_first_cause_is_named() -> None:
    first, second = (Cause(BROKEN, name, "broken", "mend it") for name in ("Node/a", "Node/b"))
    finders = (lambda _: None, lambda _: first, lambda _: second)
    found = diagnose(evidence(answers(spec(DROPPED), DROPPED, DROPPED)), finders, change)
    assert found.cause is first
    assert found.as_json()["cause"]["code"] == "broken"


def test_a_policy_is_no_cause_of_what_it_does_not_do() -> None:
    """Spec says that the policy drops it; that it arrives all the same is something else."""
    reason = Reason(Code.INGRESS_ISOLATED, DENY, "isolated")
    for traced, code in ((DROPPED, "policy-isolates-destination"), (CONNECTED, "tables-against-manifests")):
        found = diagnose(evidence(answers(spec(DROPPED, reasons=(reason,)), traced, traced)), FINDERS, change)
        assert found.cause
        assert str(found.cause.code) == code


def test_every_code_is_there_once() -> None:
    names = [code.name for code in CODES]
    assert len(names) == len(set(names))
    assert all(code.meaning and code.remedy and not code.meaning.endswith(".") for code in CODES)

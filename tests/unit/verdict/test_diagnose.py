"""Diagnoses: which answer differs first, and which cause is named."""

from __future__ import annotations

import pytest

from emulator.cluster.model import ClusterState, Ref
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import parse_place
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Mode, Wiring
from emulator.network.kernel.facts import Kind as Drifted
from emulator.oracle.answer import Answer, Code, Reason
from emulator.verdict.causes.order import CODES, FINDERS
from emulator.verdict.causes.unexplained import THINGS, drifted
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


ITEMS = {
    "a flow is missing in SNAT, of Node/web": {"kind": "flow", "fault": "missing", "stage": "SNAT"},
    "a meter (meter 3) is altered, of Node/web": {"kind": "meter", "fault": "altered", "object": "meter 3"},
    "a group (group 5) is there and nobody's": {"kind": "group", "object": "group 5", "owner": ""},
    "an interface of shop/web (eth0) is altered": {"fault": "altered", "kind": "link", "object": "eth0"},
    "a route (default (IPv6)) is missing, of Node/web": {
        "kind": "route",
        "fault": "missing",
        "object": "default (IPv6)",
        "place": "node/shop/web",
    },
    "an address of shop/web (eth0 10.0.0.1/32) is there and nobody's": {
        "kind": "address",
        "object": "eth0 10.0.0.1/32",
    },
    "a sysctl of shop/web (net/ipv4/ip_forward) is altered": {
        "kind": "sysctl",
        "fault": "altered",
        "object": "net/ipv4/ip_forward",
    },
    "a VXLAN forwarding entry of shop/web (n1-tun 02) is altered": {
        "kind": "tunnel",
        "fault": "altered",
        "object": "n1-tun 02",
    },
    "a route learned over BGP of shop/web (192.0.2.0/26) is missing": {
        "kind": "bgp-route",
        "fault": "missing",
        "object": "192.0.2.0/26",
    },
}


@pytest.mark.parametrize(("said", "item"), ITEMS.items(), ids=[item["kind"] for item in ITEMS.values()])
def test_drift_is_told_by_its_kind(said: str, item: dict[str, str]) -> None:
    placed = {} if item["kind"] in ("flow", "meter", "group") else {"place": "shop/web"}
    whole = {"node": "shop/web", "fault": "extra", "owner": "Node/web", **placed, **item}
    if placed and "place" not in item:
        whole |= {"node": "worker-1"}
    told = [whole, {**whole, "node": "worker-2"}, whole]
    seen = evidence(answers(spec(CONNECTED), CONNECTED, DROPPED), source=whole["node"], drift=tuple(told))
    found = drifted(seen)
    assert found is not None
    assert found.sentence == f"{whole['node']}: {said} (and 1 more)"
    assert found.code.name == "flows-differ"


def test_every_kind_of_drift_has_a_word() -> None:
    assert set(THINGS) == {"flow", "meter", "group", *(kind.value for kind in Drifted)}

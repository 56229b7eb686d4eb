"""Causes one after another: what comes when one is gone, and in which order packets meet them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emulator.cluster.impairments import SOUND, Impairment
from emulator.verdict.causes import daemons, machinery, pods, policies, services, sockets
from emulator.verdict.causes.mended import mended
from emulator.verdict.causes.order import CODES, RECOGNISED, met
from emulator.verdict.diagnose.diagnosis import Cause, Code, first
from emulator.verdict.diagnose.sights import Cable, Sights, Speaker
from tests.unit.verdict.test_diagnose import CONNECTED, DROPPED, answers, evidence, spec

PLAIN = evidence(answers(spec(CONNECTED), CONNECTED, DROPPED))


def cause(code: Code, about: str = "Service/shop/db") -> Cause:
    return Cause(code, about, "broken", "mend it")


def cable(**more: object) -> Cable:
    return replace(Cable(("node/a", "router/fabric"), True, 1500, 1500), **more)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("found", "planned", "harm"),
    [
        (SOUND, SOUND, SOUND),
        (Impairment(delay=20_000), SOUND, Impairment(delay=20_000)),
        (Impairment(delay=20_000), Impairment(delay=20_000), SOUND),
        (Impairment(delay=20_001), Impairment(delay=20_000), SOUND),
        (Impairment(delay=40_000, loss=0.1), Impairment(delay=20_000, loss=0.1), Impairment(delay=40_000)),
        (SOUND, Impairment(delay=20_000), SOUND),
        (Impairment(rate=1_000_000), Impairment(rate=2_000_000), Impairment(rate=1_000_000)),
        (Impairment(rate=2_000_000), Impairment(rate=1_000_000), SOUND),
    ],
)
def test_a_cable_harms_by_what_is_worse_than_planned(
    found: Impairment, planned: Impairment, harm: Impairment
) -> None:
    assert cable(impairment=found, planned=planned).harm == harm


def test_packets_meet_causes_from_the_sender_to_the_receiver() -> None:
    found = [
        cause(sockets.NOT_LISTENING),
        cause(policies.DESTINATION_ISOLATED),
        cause(machinery.LINK_DOWN),
        cause(policies.SOURCE_ISOLATED),
        cause(services.SELECTS_NOTHING),
        cause(services.NO_SUCH_SERVICE),
        cause(pods.NOT_RUNNING, "Pod/shop/web"),
    ]
    asking = replace(PLAIN, source="shop/web")
    assert sorted(found, key=lambda one: met(one, asking)) == found[::-1]


def test_every_cause_is_met_somewhere_on_the_way() -> None:
    assert {met(cause(code), PLAIN) for code in CODES} <= set(range(7))


def test_what_is_supposed_has_no_answers_until_the_oracle_is_asked_again() -> None:
    found = mended(PLAIN, cause(machinery.NODE_DOWN, "Node/a"))
    assert found is not None
    assert found.supposed
    assert not found.answers.happened
    assert "Node/a" in found.back


def test_nobody_knows_what_comes_after_a_pod_that_does_not_exist() -> None:
    assert mended(PLAIN, cause(pods.NO_SUCH_POD)) is None


def test_a_speaker_that_is_gone_takes_its_sessions_along() -> None:
    sights = Sights(
        speakers=(
            Speaker("node/a", runs=False),
            Speaker("router/tor", True, {("node/a", 4): "Connect", ("node/b", 4): "Established"}),
        )
    )
    found = mended(replace(PLAIN, sights=sights), cause(machinery.BGP_DOWN, "Node/a"))
    assert found is not None
    assert found.sights.speakers == (Speaker("router/tor", True, {("node/b", 4): "Established"}),)


def test_flows_that_are_as_last_confirmed_are_not_the_absent_controllers_fault() -> None:
    item = {"node": "a", "fault": "missing", "owner": "Pipeline/base"}
    away = Sights(controller_follows=False, is_current=True)
    touched = replace(PLAIN, sights=away, drift=(item,))
    assert daemons.controller_down(touched) is None
    assert daemons.controller_down(replace(touched, sights=replace(away, is_current=False)))
    assert daemons.controller_down(replace(touched, supposed=True)), "it cannot put them right"


def test_nothing_more_is_found_where_nothing_is_wrong() -> None:
    well = replace(PLAIN, supposed=True, answers=answers(spec(CONNECTED), None))
    assert first(well, RECOGNISED) is None

"""`cause` of an expectation: what diagnose must name."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.scenario.asking import ask
from emulator.scenario.model import ProbeCheck
from emulator.verdict.expectation import Expectation
from emulator.verdict.outcome import Verdict
from tests.unit.fake_cluster import FakeCluster, node, pod

CAUSE = {"code": "wrong-target-port", "object": "Service/shop/db", "sentence": "it sends to 9999"}


def asked(cause: str, diagnosed: dict[str, Any] | None) -> Any:
    cluster = FakeCluster().add(node("worker-1"), pod("web"), pod("db"))
    cluster.diagnosed = {"kind": "Diagnosis", "cause": diagnosed}
    found = ask(cluster, ProbeCheck("shop/web", "shop/db", "80/tcp", Expectation(), line=3, cause=cause))
    return found, [call for call in cluster.calls if call[0] == "diagnose"]


@pytest.mark.parametrize(
    ("cause", "diagnosed"),
    [("wrong-target-port", CAUSE), ("Service/shop/db", CAUSE), ("none", None)],
)
def test_the_cause_is_as_told(cause: str, diagnosed: dict[str, Any] | None) -> None:
    found, calls = asked(cause, diagnosed)
    assert found.verdict is Verdict.PASS
    assert calls == [("diagnose", "shop/web", "shop/db", "80/tcp", None, None, None)]


@pytest.mark.parametrize(
    ("cause", "diagnosed", "told"),
    [
        ("pod-not-ready", CAUSE, "diagnosed wrong-target-port Service/shop/db: it sends to 9999"),
        ("none", CAUSE, "expected the cause none"),
        ("wrong-target-port", None, "diagnosed none"),
    ],
)
def test_another_cause_fails(cause: str, diagnosed: dict[str, Any] | None, told: str) -> None:
    found, _ = asked(cause, diagnosed)
    assert found.verdict is Verdict.FAIL
    assert told in found.reasons[0]


def test_without_a_cause_nobody_is_asked() -> None:
    assert asked("", CAUSE)[1] == []

"""The catalogue of faults: how one is asked for, and what is said of one that cannot be."""

from __future__ import annotations

import pytest

from emulator.cluster.faults.catalogue import KINDS, kind_of_fault
from emulator.cluster.faults.fault import Fault, faults_in, named, new_name
from emulator.cluster.faults.kind import FaultKind, FaultMistake, Parameter, node, read_words, whole
from emulator.engine.faults.registry import HANDLERS

KIND = FaultKind(
    "thing-down",
    "Take a thing down.",
    "Nothing.",
    (
        Parameter("node", "Which.", node, required=True),
        Parameter("limit", "How much.", whole(1), default=5),
        Parameter("word", "Anything."),
    ),
)


def fault(name: str, kind: str) -> Fault:
    return Fault(name, kind, {"node": "worker-1"}, "2026-11-29T07:00:00Z", ("did it",), {"was": [1]})


def test_every_kind_has_a_handler() -> None:
    assert {kind.name for kind in KINDS} == set(HANDLERS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_explained(kind: FaultKind) -> None:
    assert kind.summary.endswith(".")
    assert kind.teaches.endswith(".")
    required = [parameter.required for parameter in kind.parameters]
    assert required == sorted(required, reverse=True), "what is required comes first"
    for parameter in kind.parameters:
        assert parameter.help.endswith(".")


def test_arguments_are_read_with_defaults() -> None:
    assert KIND.arguments({"node": "node/worker-2"}) == {"node": "worker-2", "limit": 5}
    assert KIND.arguments({"limit": 7, "node": "a"}) == {"node": "a", "limit": 7}


@pytest.mark.parametrize(
    ("given", "field", "message", "hint"),
    [
        ({}, "", "thing-down needs node", "thing-down NODE [limit=LIMIT] [word=WORD]"),
        ({"node": "a", "limti": 3}, "limti", "no argument 'limti'", 'did you mean "limit"?'),
        ({"node": "a", "limit": "many"}, "limit", "'many' is no whole number from 1 on", ""),
        ({"node": "a", "limit": "0"}, "limit", "'0' is no whole number from 1 on", ""),
        ({"node": ["a"]}, "node", "must be a text or a number", ""),
        ({"node": True}, "node", "must be a text or a number", ""),
        ({"node": " "}, "node", "must not be empty", ""),
    ],
)
def test_a_mistake_names_its_field(given: dict[str, object], field: str, message: str, hint: str) -> None:
    with pytest.raises(FaultMistake, match=message) as raised:
        KIND.arguments(given)
    assert (raised.value.field, raised.value.hint) == (field, hint)


def test_words_are_read_in_order() -> None:
    assert read_words(KIND, ["worker-1", "7"]) == {"node": "worker-1", "limit": "7"}
    assert read_words(KIND, ["limit=7", "worker-1", "x"]) == {"limit": "7", "node": "worker-1", "word": "x"}
    with pytest.raises(FaultMistake, match="nobody asks for 'd'"):
        read_words(KIND, ["a", "1", "c", "d"])
    with pytest.raises(FaultMistake, match="node is given twice"):
        read_words(KIND, ["a", "node=b"])


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(FaultMistake, match="there is no fault 'controler-down'") as raised:
        kind_of_fault("controler-down")
    assert raised.value.hint == 'did you mean "controller-down"?'


def test_faults_are_kept_in_the_topologys_status() -> None:
    kept = fault("thing-down-1", "thing-down")
    assert faults_in([{"status": {"faults": [kept.record()]}}]) == (kept,)
    assert faults_in([{"metadata": {}}]) == ()
    assert "memo" not in kept.as_json()


def test_names_are_free_ones_and_kinds_mean_all() -> None:
    active = [fault("thing-down-1", "thing-down"), fault("thing-down-3", "thing-down")]
    assert new_name("thing-down", active) == "thing-down-2"
    assert named(active, "thing-down") == tuple(active)
    assert named(active, "thing-down-3") == (active[1],)
    assert named(active, "thing") == ()

from __future__ import annotations

import json

import click

from emulator.cli.commands.fault import command
from emulator.cli.completing import faults
from emulator.cli.session import Session

from ..fake_cluster import FakeCluster
from .conftest import Invoke

ACTIVE = {
    "kind": "Fault",
    "name": "controller-down-1",
    "fault": "controller-down",
    "arguments": {},
    "since": "2026-11-29T07:00:00Z",
    "did": ["killed controller, and keeps it down"],
}


def test_the_list_shows_kinds_and_what_is_active(invoke: Invoke, cluster: FakeCluster) -> None:
    assert "no fault is active" in invoke("fault", "list").stdout
    cluster.active = [ACTIVE]
    text = invoke("fault", "list").stdout
    assert "controller-killed" in text
    assert "controller-down-1   2026-11-29T07:00:00Z   killed controller, and keeps it down" in text


def test_the_list_as_json_has_both(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.active = [ACTIVE]
    told = json.loads(invoke("fault", "list", "-o", "json").stdout)
    assert told["items"] == [ACTIVE]
    assert "controller-down" in [kind["name"] for kind in told["kinds"]]


def test_one_kind_is_explained(invoke: Invoke) -> None:
    text = invoke("fault", "list", "controller-down").stdout
    assert text.startswith("controller-down\n\nKill the OpenFlow controller and keep it down.\n")


def test_inject_tells_what_was_done_and_how_to_undo_it(invoke: Invoke, cluster: FakeCluster) -> None:
    result = invoke("fault", "inject", "controller-down")
    assert result.stdout == (
        "controller-down-1: did controller-down\nundo it with: mininetes fault clear controller-down-1\n"
    )
    assert cluster.calls == [("inject", "controller-down", {})]


def test_mistakes_are_told_before_anybody_is_asked(invoke: Invoke, cluster: FakeCluster) -> None:
    for words, said in [
        (("controler-down",), 'did you mean "controller-down"?'),
        (("controller-down", "node=a"), "controller-down has no argument 'node'"),
        (("controller-down", "a"), "nobody asks for 'a'"),
        ((), "which fault? list them with: mininetes fault list"),
    ]:
        result = invoke("fault", "inject", *words)
        assert result.exit_code == 2, result.output
        assert said in result.stderr
    assert cluster.calls == []


def test_clear_names_what_it_cleared(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("fault", "clear").stdout == "no fault is active\n"
    cluster.active = [ACTIVE]
    assert invoke("fault", "clear", "controller-down").stdout == "controller-down-1 cleared\n"
    assert cluster.calls == [("clear",), ("clear", "controller-down")]


def test_the_shell_completes_kinds_arguments_and_what_is_active(cluster: FakeCluster) -> None:
    cluster.active = [ACTIVE]
    session = Session(connect=lambda _name: cluster)

    def completed(action: str, words: tuple[str, ...], incomplete: str) -> list[str]:
        context = click.Context(command, obj=session)
        context.params = {"action": action, "words": words}
        return faults(context, incomplete)

    assert completed("inject", (), "controller") == ["controller-down", "controller-killed"]
    assert completed("inject", ("node-down",), "") == ["node=", "worker-1"]
    assert completed("inject", ("node-down",), "node=") == ["node=worker-1"]
    assert completed("clear", (), "") == ["controller-down", "controller-down-1"]


def test_a_seed_is_told(invoke: Invoke, cluster: FakeCluster) -> None:
    result = invoke("fault", "inject", "flows-deleted", "worker-1", "--seed", "7")
    assert "flows-deleted-1: seed=7\n" in result.stdout
    assert cluster.calls == [("inject", "flows-deleted", {"node": "worker-1", "count": 3, "seed": 7})]
    refused = invoke("fault", "inject", "node-down", "worker-1", "--seed", "7")
    assert refused.exit_code == 2
    assert "node-down has no argument 'seed'" in refused.stderr

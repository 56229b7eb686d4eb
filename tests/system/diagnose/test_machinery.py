"""Every cause beneath the manifests: brought about, and found by looking."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator import Cluster
from emulator.api.objects import JsonObject
from tests.system.diagnose.broken import BY_ITSELF, CLIENT, GONE_PORT, POD_PORTS, PODS, Broken
from tests.system.diagnose.case import named
from tests.system.diagnose.machinery import CASES
from tests.system.diagnose.pasting import commands, is_mended, paste

TOPOLOGY = Path(__file__).with_name("machinery.yaml")
AT_ONCE = 12
ROUNDS = {
    number: [case for case in CASES if case.round == number]
    for number in sorted({case.round for case in CASES} - {BY_ITSELF})
}
ASKED = [(case, *asked) for cases in ROUNDS.values() for case in cases for asked in case.asked()]
Asked = tuple[str, int, str | None]
Question = tuple[str, str, str | None, int, str]
"""From, to, port, family, URL."""

WELL: list[Question] = [
    (CLIENT, "lab/server-2", POD_PORTS[0], 4, ""),
    (CLIENT, "lab/server-b", POD_PORTS[1], 6, ""),
    ("lab/server-p", "svc/lab/server", "81/udp", 6, ""),
    ("lab/client-7", "svc/lab/server", "80/tcp", 4, ""),
    (CLIENT, "ext/server", "80/tcp", 4, ""),
    ("node/worker-2", "lab/server-4", None, 6, ""),
    ("lab/client", "lab/client", POD_PORTS[0], 4, ""),
    (CLIENT, "//server.lab", "80/tcp", 4, ""),
]
"""Asked before anything is broken, and after all is mended."""
OVER_AT_ONCE: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("controller-killed", {}),
    ("container-killed", {"pod": "lab/server"}),
    ("proxy-killed", {}),
    ("switch-killed", {}),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.up(TOPOLOGY, PODS, name=f"machinery-{os.getpid()}") as running:
        ready = running.wait_ready()
        assert ready.ready, ready.missing
        yield running


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> list[JsonObject]:
    return _all(cluster, WELL)


@pytest.fixture(scope="module")
def rounds(cluster: Cluster, before: list[JsonObject]) -> tuple[Mapping[Asked, JsonObject], set[Asked]]:
    """What diagnose says, and which questions fare well when that has been done."""
    found: dict[Asked, JsonObject] = {}
    connected: set[Asked] = set()
    for cases in ROUNDS.values():
        for case in cases:
            for name, arguments in case.faults:
                cluster.inject(name, **arguments)
            case.prepare(cluster)
        asked = {
            (case.name, family, port): (case.source, case.target, port, family, case.http)
            for case in cases
            for family, port in case.asked()
        }
        told = dict(zip(asked, _all(cluster, list(asked.values())), strict=True))
        found |= told
        connected |= _mended(cluster, cases, asked, told)
    return found, connected


@pytest.fixture(scope="module")
def answers(rounds: tuple[Mapping[Asked, JsonObject], set[Asked]]) -> Mapping[Asked, JsonObject]:
    return rounds[0]


def _mended(
    cluster: Cluster,
    cases: Sequence[Broken],
    asked: Mapping[Asked, Question],
    told: Mapping[Asked, JsonObject],
) -> set[Asked]:
    """Do what the diagnoses say, then what is left; the questions that are connected by the former."""
    for command in commands(list(told.values())):
        paste(cluster, command)
    assert cluster.faults() == [], "each fault has a command that ends it"
    for case in cases:
        case.mend(cluster)
    ready = cluster.wait_ready(60)
    assert ready.ready, ready.missing
    mended = [key for key in asked if is_mended(told[key])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda key: _outcome(cluster, asked[key]), mended)
        return {key for key, outcome in zip(mended, outcomes, strict=True) if outcome == "connected"}


def _outcome(cluster: Cluster, question: Question) -> str:
    source, target, port, family, http = question
    own = Cluster.connect(cluster.name)
    return str(own.probe(source, target, port, family=family, http=http or None)["outcome"])


def _all(cluster: Cluster, questions: Sequence[Question]) -> list[JsonObject]:
    def ask(question: Question) -> JsonObject:
        source, target, port, family, http = question
        return Cluster.connect(cluster.name).diagnose(source, target, port, family=family, http=http or None)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, questions))


@pytest.mark.parametrize("question", WELL, ids=str)
def test_no_cause_is_named_when_nothing_is_wrong(before: list[JsonObject], question: Question) -> None:
    found = before[WELL.index(question)]
    assert (found["outcome"], found["agrees"], found["cause"]) == ("connected", True, None), found


@pytest.mark.parametrize(
    ("case", "family", "port"), ASKED, ids=[f"{case.name}-IPv{family}-{port}" for case, family, port in ASKED]
)
def test_the_cause_is_found(
    answers: Mapping[Asked, JsonObject], case: Broken, family: int, port: str | None
) -> None:
    found = answers[case.name, family, port]
    assert named(found) == case.causes(), found
    assert (found["cause"]["code"], found["cause"]["object"]) == case.causes()[0]
    assert all(one["sentence"] and one["fix"] for one in found["causes"])


def test_the_commands_that_are_printed_mend_it(
    rounds: tuple[Mapping[Asked, JsonObject], set[Asked]],
) -> None:
    found, connected = rounds
    mended = {key for key, told in found.items() if is_mended(told)}
    assert mended - connected == set()
    codes = {cause["code"] for key in mended for cause in found[key]["causes"]}
    assert {case.code for case in CASES if case.faults} <= codes, "each fault has one"
    assert {"overlay-peer-missing", "no-route"} <= codes, "so has what somebody did by hand"


def test_the_fix_of_a_stale_connection_frees_its_client(
    cluster: Cluster, answers: Mapping[Asked, JsonObject]
) -> None:
    """What goes on from that port is lost, and arrives when the entry is deleted as the fix says."""
    assert answers
    (case,) = (case for case in CASES if case.code == "stale-conntrack")
    # A change of endpoints has what is stale forgotten: none is to come any more.
    assert cluster.wait_ready(60).ready
    case.prepare(cluster)
    asked = (case.source, case.target, "81/udp")
    found = cluster.diagnose(*asked)
    assert named(found) == case.causes(), found
    assert cluster.probe(*asked, source_port=GONE_PORT)["outcome"] == "dropped"
    paste(cluster, found["cause"]["command"])
    assert cluster.probe(*asked, source_port=GONE_PORT)["outcome"] == "connected"


def test_no_cause_is_left_when_all_is_mended(cluster: Cluster, answers: Mapping[Asked, JsonObject]) -> None:
    """Nor of what was killed, and is over when it has been started again."""
    assert answers
    for fault, arguments in OVER_AT_ONCE:
        cluster.inject(fault, **arguments)
    ready = cluster.wait_ready(60)
    assert ready.ready, ready.missing
    for found in _all(cluster, WELL[:4]):
        assert (found["outcome"], found["agrees"], found["cause"]) == ("connected", True, None), found

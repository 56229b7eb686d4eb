"""Every cause beneath the manifests: brought about, and found by looking."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest

from emulator import Cluster
from emulator.api.objects import JsonObject
from tests.system.diagnose.machinery import CASES, CLIENT, GONE_PORT, POD_PORTS, PODS, Broken
from tests.system.hygiene import inside

TOPOLOGY = Path(__file__).with_name("machinery.yaml")
AT_ONCE = 8
ROUNDS = {number: list(cases) for number, cases in groupby(CASES, lambda case: case.round)}
ASKED = [(case, *asked) for case in CASES for asked in case.asked()]
Asked = tuple[str, int, str | None]

WELL = [
    (CLIENT, "lab/server-2", POD_PORTS[0], 4),
    (CLIENT, "lab/server-b", POD_PORTS[1], 6),
    ("lab/server-p", "svc/lab/server", "81/udp", 6),
    ("lab/client-7", "svc/lab/server", "80/tcp", 4),
    (CLIENT, "ext/server", "80/tcp", 4),
    ("node/worker-2", "lab/server-4", None, 6),
    ("lab/client", "lab/client", POD_PORTS[0], 4),
    (CLIENT, "//server.lab", "80/tcp", 4),
]
"""Asked before anything is broken, and after all is mended."""


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
def answers(cluster: Cluster, before: list[JsonObject]) -> Mapping[Asked, JsonObject]:
    found: dict[Asked, JsonObject] = {}
    for cases in ROUNDS.values():
        for case in cases:
            for name, arguments in case.faults:
                cluster.inject(name, **arguments)
            case.prepare(cluster)
        keys = [(case, *asked) for case in cases for asked in case.asked()]
        told = _all(cluster, [(case.source, case.target, port, family) for case, family, port in keys])
        found |= {
            (case.name, family, port): one for (case, family, port), one in zip(keys, told, strict=True)
        }
        cluster.clear()
        for case in cases:
            case.mend(cluster)
    return found


def _all(cluster: Cluster, questions: list[tuple[str, str, str | None, int]]) -> list[JsonObject]:
    def ask(question: tuple[str, str, str | None, int]) -> JsonObject:
        source, target, port, family = question
        return Cluster.connect(cluster.name).diagnose(source, target, port, family=family)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, questions))


@pytest.mark.parametrize("question", WELL, ids=str)
def test_no_cause_is_named_when_nothing_is_wrong(
    before: list[JsonObject], question: tuple[str, str, str | None, int]
) -> None:
    found = before[WELL.index(question)]
    assert (found["outcome"], found["agrees"], found["cause"]) == ("connected", True, None), found


@pytest.mark.parametrize(
    ("case", "family", "port"), ASKED, ids=[f"{case.name}-IPv{family}-{port}" for case, family, port in ASKED]
)
def test_the_cause_is_found(
    answers: Mapping[Asked, JsonObject], case: Broken, family: int, port: str | None
) -> None:
    found = answers[case.name, family, port]
    cause = found["cause"]
    assert cause, found
    assert (cause["code"], cause["object"]) == (case.code, case.object), found
    assert cause["sentence"]
    assert found["fix"]


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
    fix = cluster.diagnose(*asked)["fix"]
    assert cluster.probe(*asked, source_port=GONE_PORT)["outcome"] == "dropped"
    inside(cluster, "sh", "-c", fix.partition('"sh ')[2].partition('"')[0])
    assert cluster.probe(*asked, source_port=GONE_PORT)["outcome"] == "connected"


def test_no_cause_is_left_when_all_is_mended(cluster: Cluster, answers: Mapping[Asked, JsonObject]) -> None:
    assert answers
    ready = cluster.wait_ready(60)
    assert ready.ready, ready.missing
    for found in _all(cluster, WELL[:4]):
        assert (found["outcome"], found["agrees"], found["cause"]) == ("connected", True, None), found

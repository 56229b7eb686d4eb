"""Every cause that stands in manifests or is a workload: made, and found by looking.

All cases are set up at once, each in its namespace, and all questions are asked at once: most of the time
goes into waiting out silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator import Cluster
from emulator.api.objects import JsonObject
from tests.system.diagnose.case import Case, named
from tests.system.diagnose.cases import MANIFESTS
from tests.system.diagnose.objects import namespace, pod, service
from tests.system.diagnose.pasting import commands, is_mended, run
from tests.system.hygiene import assert_clean
from tests.system.living import until

CONTROLLER = Path(__file__).parents[3] / "scenarios" / "ingress" / "ingress-controller.yaml"
AT_ONCE = 12

Asked = tuple[str, str, str | None, int, str]
"""From, to, port, family, URL."""
ASKED = [(case, *asked) for case in MANIFESTS for asked in case.asked()]

WELL = [
    ("lab/client", "lab/server", "8080/tcp", 4, ""),
    ("lab/client", "lab/server", "8081/udp", 6, ""),
    ("lab/client", "svc/lab/server", "80/tcp", 6, ""),
    ("lab/client", "svc/lab/server", "81/udp", 4, ""),
    ("lab/client", "//server.lab", "80/tcp", 4, ""),
    ("lab/client", "ext/server", "80/tcp", 4, ""),
    ("node/worker-2", "lab/server", None, 4, ""),
    ("ext/client", "node/worker-2", "31080/tcp", 4, ""),
    ("ext/client", "node/worker-2", "31081/udp", 4, ""),
    ("external-local/server", "lab/client", None, 6, ""),
]
"""Nothing is wrong with these, beside all that is."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    running = Cluster.up("three-node", name=f"diagnose-{os.getpid()}")
    try:
        _make(running)
        yield running
        assert_clean(running)
    finally:
        running.down()


def _make(cluster: Cluster) -> None:
    """What is well comes first, and is in force; cases wait for pods that will never be Ready."""
    lab = [namespace("lab"), pod("lab", "client", nodeName="worker-1"), pod("lab"), service("lab")]
    spaces = map(namespace, sorted({case.name for case in MANIFESTS}))
    well = [one for case in MANIFESTS if not case.sick for one in case.objects]
    applied = cluster.apply([CONTROLLER, *lab, *spaces, *well])
    assert applied.ready.ready, applied.ready.missing
    cluster.apply([one for case in MANIFESTS if case.sick for one in case.objects], timeout=0.1)
    for case in MANIFESTS:
        case.prepare(cluster)


@pytest.fixture(scope="module")
def answers(cluster: Cluster) -> Iterator[Mapping[Asked, Future[JsonObject]]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {asked: pool.submit(_ask, cluster, *asked) for asked in (*map(worded, ASKED), *WELL)}


def _ask(cluster: Cluster, source: str, target: str, port: str | None, family: int, http: str) -> JsonObject:
    own = Cluster.connect(cluster.name)
    return own.diagnose(source, target, port, family=family, http=http or None)


def worded(asked: tuple[Case, int, str | None]) -> Asked:
    """The question, as it is put."""
    case, family, port = asked
    return case.filled(case.source), case.filled(case.target), port, family, case.http


@pytest.mark.parametrize(
    "asked", ASKED, ids=[f"{case.name}-IPv{family}-{port}" for case, family, port in ASKED]
)
def test_the_cause_is_found(
    answers: Mapping[Asked, Future[JsonObject]], asked: tuple[Case, int, str | None]
) -> None:
    case, found = asked[0], answers[worded(asked)].result()
    assert named(found) == case.causes(), found
    assert (found["cause"]["code"], found["cause"]["object"]) == case.causes()[0]
    assert all(one["sentence"] and one["fix"] for one in found["causes"])
    assert found["fix"] == found["causes"][0]["fix"]


@pytest.mark.parametrize("asked", WELL, ids=[" ".join(map(str, one[:4])) for one in WELL])
def test_no_cause_is_named_when_nothing_is_wrong(
    answers: Mapping[Asked, Future[JsonObject]], asked: Asked
) -> None:
    found = answers[asked].result()
    assert (found["outcome"], found["agrees"], found["difference"]) == ("connected", True, ""), found
    assert found["cause"] is None
    assert found["change"] or asked[0].startswith("node/") or asked[1].startswith("ext/")


def test_the_commands_that_are_printed_mend_it(
    cluster: Cluster, answers: Mapping[Asked, Future[JsonObject]]
) -> None:
    """Each is in force soon, though other cases' pods will never be Ready, which commands would wait for."""
    found = {asked: answer.result() for asked, answer in answers.items()}
    for command in commands(list(found.values())):
        run(cluster, command, MININETES_PATCH_TIMEOUT="10ms", MININETES_SCALE_TIMEOUT="10ms")
    mended = [asked for asked, told in found.items() if is_mended(told)]
    codes = {cause["code"] for asked in mended for cause in found[asked]["causes"]}
    assert codes == {
        "selector-matches-nothing",
        "named-port-missing",
        "wrong-target-port",
        "internal-traffic-policy-local",
        "external-traffic-policy-local",
        "source-ranges",
        "service-not-exposed",
        "workload-without-pods",
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda asked: until(lambda: _is_mended(cluster, asked), 30), mended))


def _is_mended(cluster: Cluster, asked: Asked) -> bool:
    """It connects; a Service that is exposed by now has another port on nodes than the one asked for."""
    source, target, port, family, _ = asked
    own = Cluster.connect(cluster.name)
    if target.startswith("node/") and port == "8764/tcp":
        return bool(own.get("Service", "server", "not-exposed")["spec"]["type"] == "NodePort")
    return bool(own.probe(source, target, port, family=family)["outcome"] == "connected")

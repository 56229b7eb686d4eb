from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emulator.api.objects import Key
from emulator.cluster.drain import DrainOptions
from emulator.cluster.outcome import Outcome
from emulator.scenario.engine import Conductor, Deadline
from emulator.scenario.model import (
    Action,
    Apply,
    BeginLoad,
    Check,
    Claim,
    Delete,
    Drain,
    Exec,
    LoadCheck,
    LogCheck,
    ObjectCheck,
    ProbeCheck,
    Rollout,
    Scale,
    Scenario,
    Step,
    Uncordon,
    Wait,
)
from emulator.scenario.results import CheckResult, ClusterFacts, ScenarioResult, StepResult
from emulator.verdict.expectation import Expectation
from emulator.verdict.outcome import Verdict

from ..fake_cluster import FakeCluster, Finished, Readiness, node, pod, report


class Silent:
    def ready(self, scenario: Scenario, facts: ClusterFacts) -> None: ...
    def step(self, number: int, step: Step) -> None: ...
    def note(self, text: str) -> None: ...
    def check(self, result: CheckResult) -> None: ...
    def done(self, step: StepResult) -> None: ...


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster().add(node("worker-1"), node("worker-2"), pod("web"), pod("db", node="worker-2"))


def play(
    cluster: FakeCluster, *steps: Step, keep_going: bool = False, seconds: float = 60.0
) -> ScenarioResult:
    scenario = Scenario("trial", "", Path("scenario.yaml"), "three-node", None, (), steps)
    conductor = Conductor(
        scenario, cluster, Silent(), lambda files: [], Deadline.after(seconds), keep_going=keep_going
    )
    return conductor.play(ClusterFacts("three-node"), 0.0)


def step(*checks: Check, actions: Sequence[Action] = ()) -> Step:
    return Step("a step", 1, tuple(actions), checks)


def drop(target: str = "shop/db", **more: Any) -> ProbeCheck:
    return ProbeCheck("shop/web", target, "5432/tcp", Expectation(Outcome.DROPPED), line=7, **more)


CONNECTS = ProbeCheck("shop/web", "shop/db", "5432/tcp", Expectation(), line=8)


def silence_between(*pairs: tuple[str, str]) -> Any:
    return lambda source, target, port: report(
        source, target, port, "dropped" if (source, target) in pairs else "connected"
    )


def test_a_drop_passes_when_its_controls_are_answered(cluster: FakeCluster) -> None:
    cluster.answer = silence_between(("shop/web", "shop/db"))
    result = play(cluster, step(drop()))
    assert result.verdict is Verdict.PASS
    (check,) = result.checks
    assert [(one["from"], one["to"], one["port"]) for one in check.controls] == [
        ("shop/web", "shop/web", "icmp"),
        ("node/worker-1", "shop/web", "icmp"),
        ("node/worker-2", "shop/db", "5432/tcp"),
    ]


@pytest.mark.parametrize(
    "dead", [("shop/web", "shop/web"), ("node/worker-1", "shop/web"), ("node/worker-2", "shop/db")]
)
def test_an_unanswered_control_is_an_error_never_a_pass(dead: tuple[str, str], cluster: FakeCluster) -> None:
    cluster.answer = silence_between(("shop/web", "shop/db"), dead)
    result = play(cluster, step(drop()))
    assert result.verdict is Verdict.ERROR
    (check,) = result.checks
    assert f"{dead[0]} → {dead[1]}" in check.reasons[0]


def test_a_refusing_target_is_a_good_control(cluster: FakeCluster) -> None:
    def answer(source: str, target: str, port: str | None) -> Any:
        outcome = (
            {"shop/web": "dropped", "node/worker-2": "rejected"}[source]
            if target == "shop/db"
            else "connected"
        )
        return report(source, target, port, outcome)

    cluster.answer = answer
    assert play(cluster, step(drop())).verdict is Verdict.PASS


def test_controls_of_outside_hosts_and_nodes(cluster: FakeCluster) -> None:
    hosts = [
        {"name": "client", "addresses": ["198.51.100.7"]},
        {"name": "server", "addresses": ["198.51.100.80"]},
    ]
    cluster.add({"kind": "Topology", "metadata": {"name": "t"}, "spec": {"external": hosts}})
    cluster.answer = silence_between(("ext/client", "node/worker-1"), ("node/worker-1", "203.0.113.1"))
    outside = ProbeCheck("ext/client", "node/worker-1", "30080/tcp", Expectation(Outcome.DROPPED), line=1)
    inside = ProbeCheck("node/worker-1", "203.0.113.1", None, Expectation(Outcome.DROPPED), line=1)
    result = play(cluster, step(outside, inside))
    assert result.verdict is Verdict.PASS
    pairs = [[(one["from"], one["to"]) for one in check.controls] for check in result.checks]
    assert pairs == [
        [("ext/client", "ext/client"), ("ext/server", "ext/client")],
        [("node/worker-1", "node/worker-1"), ("node/worker-2", "node/worker-1")],
    ]


def test_a_dead_prober_is_an_error(cluster: FakeCluster) -> None:
    cluster.answer = lambda source, target, port: report(
        source, target, port, "error", errors={"no such netns": 1}
    )
    assert play(cluster, step(drop())).verdict is Verdict.ERROR
    assert play(cluster, step(CONNECTS)).verdict is Verdict.ERROR


def test_a_wrong_outcome_fails_and_skips_what_follows(cluster: FakeCluster) -> None:
    cluster.answer = silence_between(("shop/web", "shop/db"))
    result = play(cluster, step(CONNECTS), step(drop()))
    assert [one.verdict for one in result.steps] == [Verdict.FAIL, Verdict.SKIP]
    assert result.verdict is Verdict.FAIL
    first, second = result.checks
    assert first.reasons == ("expected connected, was dropped",)
    assert second.verdict is Verdict.SKIP


def test_keep_going(cluster: FakeCluster) -> None:
    cluster.answer = silence_between(("shop/web", "shop/db"))
    result = play(cluster, step(CONNECTS), step(drop()), keep_going=True)
    assert [one.verdict for one in result.steps] == [Verdict.FAIL, Verdict.PASS]


def test_sees_a_place_as_the_source(cluster: FakeCluster) -> None:
    def answer(source: str, target: str, port: str | None) -> Any:
        seen = [{"at": "shop/db", "source": "10.244.1.1", "ttl": 63}]
        return report(source, target, port, seen=seen)

    cluster.answer = answer
    masqueraded = ProbeCheck(
        "ext/client", "shop/db", "80/tcp", Expectation(sees={"source": "node/worker-1"}), line=1
    )
    straight = ProbeCheck("shop/web", "shop/db", "80/tcp", Expectation(sees={"source": "shop/web"}), line=1)
    result = play(cluster, step(masqueraded, straight))
    assert [check.verdict for check in result.checks] == [Verdict.PASS, Verdict.FAIL]


def test_actions(cluster: FakeCluster) -> None:
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new", "namespace": "shop"}}
    key = Key("Deployment", "shop", "web")
    cluster.add(
        {
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": 1},
            "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        }
    )
    actions = [
        Apply(objects=(obj,)),
        Delete(keys=(Key("Pod", "shop", "db"),)),
        Scale(key, 2),
        Rollout(key),
        Wait(),
    ]
    result = play(cluster, step(actions=actions))
    assert result.verdict is Verdict.PASS
    assert Key("Pod", "shop", "new") in cluster.objects
    assert Key("Pod", "shop", "db") not in cluster.objects
    assert result.steps[0].notes[:2] == ("apply Pod/new", "delete Pod/shop/db")


def test_an_action_that_does_not_get_ready_fails(cluster: FakeCluster) -> None:
    cluster.readiness = Readiness(ready=False, missing=("pod shop/db: Pending",))
    result = play(cluster, step(CONNECTS, actions=[Wait()]))
    (check,) = result.checks
    assert (check.verdict, check.reasons) == (Verdict.FAIL, ("not ready: pod shop/db: Pending",))
    assert not cluster.probes


def test_waiting_for_a_field(cluster: FakeCluster) -> None:
    running = Wait(Key("Pod", "shop", "db"), Claim("status.phase", equals="Running"), 1.0)
    never = Wait(Key("Pod", "shop", "db"), Claim("status.phase", equals="Failed"), 1.0)
    assert play(cluster, step(actions=[running])).verdict is Verdict.PASS
    assert play(cluster, step(actions=[never])).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        (Exec("shop/web", ("true",), exits=7, stdout="ell"), Verdict.PASS),
        (Exec("shop/web", ("true",), exits=0), Verdict.FAIL),
        (Exec("shop/web", ("true",), exits=7, stdout="bye"), Verdict.FAIL),
    ],
)
def test_exec_claims(action: Exec, verdict: Verdict, cluster: FakeCluster) -> None:
    cluster.finished = Finished(7, "hello\n")
    assert play(cluster, step(actions=[action])).verdict is verdict


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (Claim("status.podIP", equals="10.244.1.3"), Verdict.PASS),
        (Claim("status.podIP", differs="10.244.1.3"), Verdict.FAIL),
        (Claim("status.podIP", contains="10.244."), Verdict.PASS),
        (Claim("status.containerStatuses[name=main].restartCount", equals=0), Verdict.PASS),
        (Claim("status.containerStatuses[name=main].ready", equals=False), Verdict.FAIL),
        (Claim("status.nope", exists=False), Verdict.PASS),
        (Claim("status.nope", equals="x"), Verdict.FAIL),
        (Claim("status.nope", differs="x"), Verdict.FAIL),
    ],
)
def test_object_claims(claim: Claim, verdict: Verdict, cluster: FakeCluster) -> None:
    assert play(cluster, step(ObjectCheck(Key("Pod", "shop", "web"), claim, 1))).verdict is verdict


def test_a_missing_object_is_an_error(cluster: FakeCluster) -> None:
    check = ObjectCheck(Key("Pod", "shop", "nope"), Claim("status", exists=True), 1)
    assert play(cluster, step(check)).verdict is Verdict.ERROR


def test_logs(cluster: FakeCluster) -> None:
    cluster.log = "listening\nbind: address already in use\n"
    assert play(cluster, step(LogCheck("shop/web", None, "already in use", 1))).verdict is Verdict.PASS
    result = play(cluster, step(LogCheck("shop/web", None, "all is well", 1)))
    assert "it ends with: bind: address already in use" in next(iter(result.checks)).reasons[0]


def test_time_is_over(cluster: FakeCluster) -> None:
    result = play(cluster, step(actions=[Wait()]), seconds=-1.0)
    assert result.verdict is Verdict.FAIL
    assert next(iter(result.checks)).reasons == ("the scenario's time is over",)


# -- loads and drains


def played_load(cluster: FakeCluster, **expected: int) -> CheckResult:
    stream = {"from": "shop/web", "to": "svc/shop/db", "port": "80/tcp"}
    begin = step(actions=[BeginLoad("shoppers", (stream,))])
    end = step(LoadCheck("shoppers", 9, **expected))
    (check,) = play(cluster, begin, end).checks
    assert ("load", (stream,)) in cluster.calls
    assert ("stop load", "7") in cluster.calls
    return check


LOST_ONE = {
    "sent": 100,
    "outcomes": {"connected": 99, "rejected": 1},
    "answers": {"web-1": 99},
    "streams": [
        {
            "from": "shop/web",
            "to": "svc/shop/db",
            "port": "80/tcp",
            "lost": [{"outcome": "rejected", "said": "Connection reset by peer"}],
        }
    ],
}


def test_a_load_that_loses_requests_fails_and_names_them(cluster: FakeCluster) -> None:
    cluster.load = LOST_ONE
    check = played_load(cluster)
    assert (check.verdict, check.found, check.line) == (Verdict.FAIL, "1 lost", 9)
    assert check.reasons[1] == "shop/web → svc/shop/db:80/tcp rejected: Connection reset by peer"


@pytest.mark.parametrize(
    ("expected", "verdict"),
    [
        ({"lost": 1}, Verdict.PASS),
        ({"lost": 1, "sent": 100, "answers": 1}, Verdict.PASS),
        ({"lost": 1, "sent": 101}, Verdict.FAIL),
        ({"lost": 1, "answers": 2}, Verdict.FAIL),
    ],
)
def test_what_a_load_must_show(cluster: FakeCluster, expected: dict[str, int], verdict: Verdict) -> None:
    cluster.load = LOST_ONE
    assert played_load(cluster, **expected).verdict is verdict


def test_a_drain_that_is_refused_fails_its_step(cluster: FakeCluster) -> None:
    result = play(cluster, step(actions=[Drain("worker-1")]))
    (check,) = result.checks
    assert check.verdict is Verdict.FAIL
    assert "cannot delete Pods that declare no controller" in check.reasons[0]
    assert Key("Pod", "shop", "web") in cluster.objects
    result = play(cluster, step(actions=[Drain("worker-1", DrainOptions(force=True)), Uncordon("worker-1")]))
    assert result.verdict is Verdict.PASS
    assert Key("Pod", "shop", "web") not in cluster.objects
    assert Key("Pod", "shop", "db") in cluster.objects


def test_requests_that_differ_by_path_or_family_read_differently(cluster: FakeCluster) -> None:
    cart = ProbeCheck("shop/web", "shop/db", "80/tcp", Expectation(), 8, http="http://shop.example/cart")
    six = ProbeCheck("shop/web", "shop/db", "80/tcp", Expectation(), 9, family=6)
    result = play(cluster, step(cart, six))
    assert [check.text for check in result.checks] == [
        "shop/web → shop/db:80/tcp  GET http://shop.example/cart",
        "shop/web → shop/db:80/tcp IPv6",
    ]

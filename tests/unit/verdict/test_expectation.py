from __future__ import annotations

from typing import Any

import pytest

from emulator.cluster.outcome import Outcome
from emulator.verdict.expectation import Expectation, Finding, Spread, compare, dig
from emulator.verdict.outcome import Verdict, worst

REPORT: dict[str, Any] = {
    "from": "ext/client",
    "to": "node/worker-2",
    "port": "30080/tcp",
    "outcome": "connected",
    "outcomes": {"connected": 300},
    "endpoints": {"shop/web-a": 104, "shop/web-b": 95, "shop/web-c": 101},
    "seen": [
        {"at": "shop/web-a", "source": "192.168.50.12", "destinationPort": 8080, "ttl": 62, "count": 104},
        {"at": "shop/web-b", "source": "10.244.2.1", "destinationPort": 8080, "ttl": 62, "count": 95},
    ],
    "http": [{"status": 200, "body": "hello from web-a", "count": 300}],
    "spec": None,
}
ADDRESSES = {"node/worker-2": frozenset({"192.168.50.12", "10.244.2.1"})}


def judge(expected: Expectation, **changes: Any) -> Finding:
    return compare(expected, REPORT | changes, ADDRESSES)


def test_all_claims_hold() -> None:
    expected = Expectation(
        sees={"source": "node/worker-2", "destinationPort": 8080},
        endpoints=Spread(places=("shop/web-*",), count=3, even=True),
        captures=({"at": "node/worker-2", "match": {"udp.dport": 4789}},),
        response={"status": 200, "body": "web-a"},
        fields={"http.0.count": 300, "outcomes.connected": 300},
    )
    claim = {"at": "node/worker-2", "match": {"udp.dport": 4789}, "count": ">=1", "ok": True, "matched": 2}
    assert judge(expected, checks=[claim]) == Finding(Verdict.PASS)
    assert judge(expected).verdict is Verdict.ERROR, "a claim that nobody answered decides nothing"


def test_a_broken_capture_claim_names_the_closest_packet() -> None:
    claim = {
        "at": "ext/server",
        "match": {"ip.src": "203.0.113.1"},
        "count": ">=1",
        "ok": False,
        "matched": 0,
        "closest": {"headers": {"ip.src": "10.244.1.2"}},
        "differences": ["ip.src"],
    }
    finding = judge(Expectation(captures=({},)), checks=[claim])
    assert finding.verdict is Verdict.FAIL
    assert finding.reasons == (
        "0 packets at ext/server with ip.src 203.0.113.1, expected >=1; the closest has ip.src 10.244.1.2",
    )


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (Expectation(outcome=Outcome.DROPPED), "expected dropped, was connected"),
        (Expectation(sees={"source": "10.0.0.9"}), "source seen was 10.244.2.1 at shop/web-b, 192.168.50.12"),
        (Expectation(sees={"ttl": 63}), "ttl seen was 62 at shop/web-a"),
        (Expectation(endpoints=Spread(places=("shop/web-a", "shop/web-b"))), "answered by shop/web-c"),
        (Expectation(endpoints=Spread(places=("shop/web-*", "shop/db"))), "never answered: shop/db"),
        (Expectation(endpoints=Spread(count=2)), "answered by 3 endpoints"),
        (Expectation(response={"status": 404}), "HTTP status was 200, expected 404"),
        (Expectation(response={"body": "web-z"}), "expected 'web-z' in it"),
        (Expectation(fields={"rejections.0.name": "port-unreachable"}), "rejections.0.name was None"),
    ],
)
def test_each_broken_claim_is_named(expected: Expectation, reason: str) -> None:
    finding = judge(expected)
    assert finding.verdict is Verdict.FAIL
    assert reason in finding.reasons[0]


def test_uneven_spread_fails() -> None:
    finding = judge(Expectation(endpoints=Spread(even=True)), endpoints={"a": 200, "b": 60, "c": 40})
    assert finding.verdict is Verdict.FAIL
    assert "uneven spread" in finding.reasons[0]


def test_mixed_outcome_tells_the_counts() -> None:
    finding = judge(Expectation(), outcome="mixed", outcomes={"connected": 298, "dropped": 2})
    assert finding.reasons == ("expected all connected, was 298 connected, 2 dropped",)


@pytest.mark.parametrize("wanted", [Outcome.CONNECTED, Outcome.DROPPED, Outcome.REJECTED])
def test_a_failed_probe_is_never_a_pass(wanted: Outcome) -> None:
    finding = judge(Expectation(outcome=wanted), outcome="error", errors={"Network is unreachable": 1})
    assert finding == Finding(Verdict.ERROR, ("the probe failed: Network is unreachable",))


def test_nothing_seen_does_not_satisfy_sees() -> None:
    assert judge(Expectation(sees={"ttl": 62}), seen=[]).verdict is Verdict.FAIL


def test_dig_reads_paths_with_selectors() -> None:
    pod = {"status": {"containerStatuses": [{"name": "a.b", "state": {"waiting": {"reason": "X"}}}]}}
    assert dig(pod, "status.containerStatuses[name=a.b].state.waiting.reason") == "X"
    assert dig(pod, "status.containerStatuses[0].name") == "a.b"
    assert dig(pod, "status.containerStatuses[name=z].state") is None
    assert dig(pod, "status.phase.deeper") is None


def test_worst() -> None:
    assert worst([]) is Verdict.PASS
    assert worst([Verdict.PASS, Verdict.SKIP]) is Verdict.PASS
    assert worst([Verdict.FAIL, Verdict.ERROR, Verdict.PASS]) is Verdict.ERROR


SPEC = {
    "outcome": "dropped",
    "reasons": ["it met Service/shop/db", "isolated for ingress by NetworkPolicy/shop/deny-all"],
    "explanation": "isolated for ingress by NetworkPolicy/shop/deny-all",
    "because": ["NetworkPolicy/shop/deny-all", "ingress-isolated"],
}


@pytest.mark.parametrize(
    ("because", "spec", "verdict", "reason"),
    [
        ("NetworkPolicy/shop/deny-all", SPEC, Verdict.PASS, ""),
        ("ingress-isolated", SPEC, Verdict.PASS, ""),
        ("Service/shop/db", SPEC, Verdict.FAIL, "dropped, but not because of Service/shop/db: isolated for"),
        ("ingress-isolated", SPEC | {"outcome": "connected"}, Verdict.FAIL, "spec says connected"),
        ("ingress-isolated", None, Verdict.FAIL, "spec has no answer"),
    ],
)
def test_the_right_outcome_for_the_wrong_reason_fails(
    because: str, spec: dict[str, Any] | None, verdict: Verdict, reason: str
) -> None:
    expected = Expectation(Outcome.DROPPED, because=because)
    finding = judge(expected, outcome="dropped", outcomes={"dropped": 1}, spec=spec)
    assert finding.verdict is verdict
    assert reason in "".join(finding.reasons)

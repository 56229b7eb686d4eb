from __future__ import annotations

import json
from typing import Any

import pytest

from ..fake_cluster import FakeCluster, report
from .conftest import Invoke


def answering(outcome: str, **more: Any) -> Any:
    return lambda source, target, port: report(source, target, port, outcome, **more)


def test_probe_reads_places_with_the_namespace(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("probe", "web-1", "svc/web:80", "-n", "shop").exit_code == 0
    assert cluster.probes == [("shop/web-1", "svc/shop/web", "80/tcp")]


def test_probe_tells_the_evidence(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.answer = answering(
        "connected",
        outcomes={"connected": 300},
        endpoints={"shop/web-1": 148, "shop/web-2": 152},
        sourceSeen=["10.244.1.3"],
        http=[{"status": 200, "body": "web-1\n", "count": 300}],
        milliseconds={"least": 1.0, "median": 1.26, "most": 9.0},
        errors={"too many open files": 2},
        rejections=[{"kind": "icmp", "name": "port-unreachable", "from": "10.244.1.1", "count": 1}],
        seen=[{"at": "shop/web-1", "source": "10.244.1.3", "ttl": 62, "count": 148}],
    )
    text = invoke("probe", "shop/web-1", "svc/shop/web", "--port", "80", "--count", "300").stdout
    assert "✓ shop/web-1 → svc/shop/web:80/tcp   connected" in text
    assert "shop/web-1 148, shop/web-2 152" in text
    assert "saw source 10.244.1.3" in text
    assert "http       200 web-1" in text
    assert "took       1.3 ms" in text
    assert "error      too many open files (2×)" in text
    assert "refused    port-unreachable from 10.244.1.1" in text


def test_probe_goes_where_a_url_says(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("probe", "web-1", "--http", "http://db/hostname").exit_code == 0
    assert invoke("probe", "web-1", "svc/web", "--http", "http://shop.example/").exit_code == 0
    assert [target for _, target, _ in cluster.probes] == ["//db", "svc/default/web"]


def test_probe_tells_what_was_looked_up(invoke: Invoke, cluster: FakeCluster) -> None:
    def lookup(name: str, outcome: str, *answers: str, transport: str = "udp") -> dict[str, Any]:
        return {
            "name": name,
            "type": "A",
            "server": "/etc/hosts" if transport == "file" else "10.96.0.10",
            "outcome": outcome,
            "answers": list(answers),
            "transport": transport,
        }

    cluster.answer = answering(
        "connected",
        lookups=[
            lookup("db.a.", "NXDOMAIN"),
            lookup("db.b.", "NOERROR"),
            lookup("db.", "NOERROR", "10.96.0.5", "10.96.0.6", transport="tcp"),
            lookup("own", "NOERROR", "10.244.1.2", transport="file"),
        ],
    )
    text = invoke("probe", "web-1", "//db", "--port", "80").stdout
    assert "lookup     db.a. A NXDOMAIN\n" in text
    assert "lookup     db.b. A no record\n" in text
    assert "lookup     db. A 10.96.0.5, 10.96.0.6 (over TCP)\n" in text
    assert "lookup     own A 10.244.1.2 (/etc/hosts)\n" in text


def test_probe_json_is_the_contract(invoke: Invoke) -> None:
    answer = json.loads(invoke("probe", "shop/web-1", "shop/web-2", "--port", "80/tcp", "-o", "json").stdout)
    assert answer["kind"] == "Probe"
    assert answer["spec"] is None


@pytest.mark.parametrize(
    ("outcome", "options", "code"),
    [
        ("connected", (), 0),
        ("dropped", (), 1),
        ("dropped", ("--expect", "dropped"), 0),
        ("rejected", ("--expect", "dropped"), 1),
        ("error", ("--expect", "dropped"), 1),
        ("mixed", (), 1),
        ("unknown", ("--expect", "connected"), 1),
    ],
)
def test_probe_exit_codes(
    outcome: str, options: tuple[str, ...], code: int, invoke: Invoke, cluster: FakeCluster
) -> None:
    cluster.answer = answering(outcome)
    assert invoke("probe", "shop/web-1", "shop/web-2", *options).exit_code == code
    assert invoke("probe", "shop/web-1", "shop/web-2", *options, "-o", "json").exit_code == code


def test_probe_expects_what_the_spec_says(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.answer = answering("dropped", spec={"outcome": "dropped", "reasons": []})
    assert invoke("probe", "shop/web-1", "shop/web-2").exit_code == 0
    assert invoke("probe", "shop/web-1", "shop/web-2", "--expect", "connected").exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("a/b/c", "x"),
        ("shop/web-1", "svc/shop/web", "--port", "80/gre"),
        ("shop/web-1", "svc/shop/web:80", "--port", "80"),
        ("shop/web-1:80", "svc/shop/web"),
        ("shop/web-1",),
        ("shop/web-1", "x", "--count", "0"),
        ("shop/web-1", "x", "--timeout", "soon"),
    ],
)
def test_probe_usage_errors(words: tuple[str, ...], invoke: Invoke) -> None:
    assert invoke("probe", *words).exit_code == 2


def test_capture_prints_lines(invoke: Invoke, cluster: FakeCluster) -> None:
    headers = {
        "ip.src": "192.168.50.11",
        "ip.dst": "192.168.50.12",
        "ip.ttl": 64,
        "l4": "udp",
        "udp.sport": 5,
        "udp.dport": 4789,
    }
    inner = {
        "inner.ip.src": "10.244.1.3",
        "inner.ip.dst": "10.244.2.3",
        "inner.ip.ttl": 63,
        "inner.l4": "icmp",
    }
    cluster.packets = [
        {"armed": ["node/worker-1"]},
        {"at": "node/worker-1", "time": 1.5, "direction": "out", "headers": headers | inner},
    ]
    text = invoke("capture", "node/worker-1", "--count", "1", "--filter", "udp").stdout
    assert "192.168.50.11:5 → 192.168.50.12:4789 udp ttl 64 | 10.244.1.3 → 10.244.2.3 icmp ttl 63" in text
    assert cluster.calls[-1][1] == ("node/worker-1",)
    assert cluster.calls[-1][2]["filter"] == "udp"


def test_capture_writes_a_file(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("capture", "shop/web-1", "-w", "x.pcapng", "--for", "1s").exit_code == 0
    assert cluster.calls[-1][2]["seconds"] == 1.0
    assert cluster.calls[-1][2]["file"] is not None


def test_probe_tells_why_it_was_dropped(invoke: Invoke, cluster: FakeCluster) -> None:
    spec = {"outcome": "dropped", "reasons": ["a", "isolated"], "explanation": "isolated"}
    cluster.answer = answering("dropped", spec=spec)
    assert "because    isolated\n" in invoke("probe", "shop/web-1", "shop/web-2").stdout
    cluster.answer = answering("rejected", spec=spec)
    assert "because" not in invoke("probe", "shop/web-1", "shop/web-2").stdout, "that is not the reason"


@pytest.mark.parametrize(
    ("outcome", "code"), [("connected", 0), ("dropped", 0), ("mixed", 0), ("rejected", 1)]
)
def test_probe_takes_either_outcome_where_it_is_left_to_chance(
    outcome: str, code: int, invoke: Invoke, cluster: FakeCluster
) -> None:
    spec = {
        "outcome": "mixed",
        "outcomes": ["connected", "dropped"],
        "reasons": [],
        "explanation": "isolated",
    }
    cluster.answer = answering(outcome, spec=spec)
    assert invoke("probe", "shop/web-1", "shop/web-2").exit_code == code

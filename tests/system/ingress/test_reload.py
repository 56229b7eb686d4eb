"""Changes while requests come: each is in force when ready says so, and none loses a request."""

from __future__ import annotations

import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from emulator import Cluster
from emulator.network.names import netns_path
from tests.system.ingress.objects import HTTP, backend, ingress, rule, server

_SLOW = """
import socket, sys
line = socket.create_connection((sys.argv[1], 30080), timeout=20)
line.sendall(b"GET / HTTP/1.1\\r\\nHost: live.example\\r\\n")
print("begun", flush=True)
sys.stdin.readline()
line.sendall(b"Connection: close\\r\\n\\r\\n")
answer = b""
while piece := line.recv(4096):
    answer += piece
print(answer.split(b"\\r\\n")[0].decode(), flush=True)
"""
"""A client that takes its time between two lines of its request."""


@pytest.fixture(scope="module")
def live(cluster: Cluster) -> Cluster:
    applied = cluster.apply(
        [*backend("live", replicas=2), ingress("live", rule("live.example", ("Prefix", "/", "live")))]
    )
    assert applied.ready.ready, applied.ready.missing
    return cluster


def test_a_change_is_in_force_when_apply_returns(live: Cluster) -> None:
    for target in ("one", "two", "one", "live"):
        applied = live.apply([ingress("live", rule("live.example", ("Prefix", "/", target)))])
        assert applied.ready.ready
        assert [server(live, "http://live.example/") for _ in range(4)] == [target] * 4


def test_endpoints_follow_at_once(live: Cluster) -> None:
    live.patch("Deployment", "live", "default", {"spec": {"replicas": 0}})
    assert live.wait_ready().ready
    assert server(live, "http://live.example/") == "503"
    live.patch("Deployment", "live", "default", {"spec": {"replicas": 3}})
    assert live.wait_ready().ready
    report = live.probe("ext/client", "node/worker-1", HTTP, http="http://live.example/", count=9, timeout=10)
    assert set(report["servedBy"].values()) == {3}
    assert len(report["servedBy"]) == 3
    live.patch("Deployment", "live", "default", {"spec": {"replicas": 2}})
    assert live.wait_ready().ready


def test_a_steady_stream_of_requests_loses_none(live: Cluster) -> None:
    """Rules, certificates' worth of reloads and a rolling update under requests every 10 ms."""

    over = Event()

    def stream() -> Counter[int]:
        """Statuses of all requests until the changes are over."""
        found: Counter[int] = Counter()
        client = Cluster.connect(live.name)
        while not over.is_set():
            report = client.probe(
                "ext/client",
                "node/worker-1",
                HTTP,
                http="http://live.example/",
                count=50,
                interval=0.01,
                timeout=20,
            )
            assert report["outcomes"] == {"connected": 50}, report
            for reply in report["http"]:
                found[reply["status"]] += reply["count"]
        return found

    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(stream)
        try:
            for number in range(6):
                extra = rule(f"extra-{number}.example", ("Prefix", "/", "one"))
                live.apply([ingress("live", rule("live.example", ("Prefix", "/", "live")), extra)])
            stamp = {"template": {"metadata": {"annotations": {"again": "yes"}}}}
            live.patch("Deployment", "live", "default", {"spec": stamp})
            assert live.wait_ready().ready
        finally:
            over.set()
        statuses = streaming.result(timeout=60)
    assert set(statuses) == {200}
    assert statuses.total() >= 100


def test_a_request_that_has_begun_is_finished_by_the_rules_it_began_under(live: Cluster) -> None:
    address = str(live.get("Node", "worker-1")["status"]["addresses"][0]["address"])
    command = ["nsenter", f"--net={netns_path('ext/client')}", "python3", "-c", _SLOW, address]
    with subprocess.Popen(
        live.sandbox.command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as slow:
        assert slow.stdin is not None
        assert slow.stdout is not None
        assert slow.stdout.readline() == "begun\n"
        live.apply([ingress("live", rule("live.example", ("Exact", "/nothing", "live")))])
        assert server(live, "http://live.example/") == "404"
        slow.stdin.write("go on\n")
        slow.stdin.flush()
        assert slow.stdout.readline() == "HTTP/1.1 200 OK\n"


def test_the_configuration_is_there_to_be_read_and_not_to_be_written(live: Cluster) -> None:
    live.apply([ingress("live", rule("live.example", ("Prefix", "/", "one")))])
    (pod,) = [one["metadata"]["name"] for one in live.get("Pod", namespace="ingress")]
    done = live.exec(f"ingress/{pod}", ["sh", "-c", "cd /etc/haproxy/current && echo bogus >> haproxy.cfg"])
    assert done.exit_code != 0, "the container can write its own configuration"
    done = live.exec(f"ingress/{pod}", ["haproxy", "-c", "-q", "-f", "/etc/haproxy/current/haproxy.cfg"])
    assert done.exit_code == 0, done.stderr
    assert server(live, "http://live.example/") == "one"


def test_a_proxy_that_is_killed_comes_back_with_the_rules_of_the_moment(live: Cluster) -> None:
    (pod,) = [one["metadata"]["name"] for one in live.get("Pod", namespace="ingress")]
    live.exec(f"ingress/{pod}", ["sh", "-c", "kill -9 -1"])
    live.wait_for(
        "Pod",
        pod,
        "ingress",
        lambda one: one is not None and one["status"]["containerStatuses"][0]["restartCount"] == 1,
    )
    assert live.wait_ready().ready
    assert server(live, "http://live.example/") == "one"


def test_faults_of_proxies(live: Cluster) -> None:
    """Killed, they come back by themselves; kept down, hosts are refused and Services are not."""
    (pod,) = [one["metadata"]["name"] for one in live.get("Pod", namespace="ingress")]
    live.apply([ingress("live", rule("live.example", ("Prefix", "/", "one")))])
    restarts = live.get("Pod", pod, "ingress")["status"]["containerStatuses"][0]["restartCount"]
    live.inject("proxy-killed")
    live.wait_for(
        "Pod",
        pod,
        "ingress",
        lambda one: one is not None and one["status"]["containerStatuses"][0]["restartCount"] == restarts + 1,
    )
    assert live.wait_ready().ready
    assert server(live, "http://live.example/") == "one"
    live.inject("proxy-down")
    for family in (4, 6):
        asked = live.probe(
            "ext/client", "node/worker-1", HTTP, http="http://live.example/", family=family, timeout=1
        )
        assert asked["outcome"] == "rejected"
    assert live.probe("node/worker-1", "svc/default/one", "80/tcp")["outcome"] == "connected"
    live.clear("proxy-down")
    assert live.wait_ready().ready
    assert server(live, "http://live.example/") == "one"

"""Every pair of pods at once: as many verdicts as single probes would give, in a fraction of the time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from emulator import Cluster
from emulator.probes.swept import NOBODY_LISTENS
from tests.system.hygiene import assert_clean, inside
from tests.system.living import apply

SPACES, NAMES = ("x", "y", "z"), ("a", "b", "c")
PODS = [f"{space}/{name}" for space in SPACES for name in NAMES]
PORTS = [f"{number}/{protocol}" for protocol in ("tcp", "udp", "sctp") for number in (80, 81)]
BOUND = 30.0
"""Seconds for a sweep on a machine that does other things as well; `python -m bench.sweep` has the figure."""


def _pod(space: str, name: str, node: str) -> dict[str, Any]:
    containers = [
        {
            "name": f"serve-{number}",
            "image": "agnhost",
            "args": ["netexec", f"--http-port={number}", f"--udp-port={number}"],
        }
        for number in (80, 81)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"pod": name}},
        "spec": {"nodeName": node, "containers": containers},
    }


def _denial(space: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": {"podSelector": {}, **spec},
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.up("three-node", name=f"matrix-{os.getpid()}") as running:
        spaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": {"ns": space}}}
            for space in SPACES
        ]
        pods = [_pod(space, name, f"worker-{1 + at}") for space in SPACES for at, name in enumerate(NAMES)]
        apply(running, *spaces, *pods)
        yield running
        assert_clean(running)


def outcomes(report: dict[str, Any]) -> Counter[str]:
    return Counter(
        word for port in report["ports"].values() for row in port["wire"].values() for word in row.values()
    )


def differences(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Verdicts that are not what the policy of y says."""
    return [
        (port, source, target, found)
        for port, one in report["ports"].items()
        for source, row in one["wire"].items()
        for target, found in row.items()
        if found != ("connected" if _is_open(source, target) else "dropped")
    ]


def _is_open(source: str, target: str) -> bool:
    return source == target or "y" not in (source[0], target[0])


@pytest.mark.parametrize("family", [4, 6])
def test_all_pairs_connect_and_then_policies_part_half_of_them(cluster: Cluster, family: int) -> None:
    """Both directions are denied: Open vSwitch's own conntrack knows no SCTP ports, so what one direction
    of a pair has opened would be open for the other."""
    before = cluster.matrix(PORTS, namespaces=SPACES, family=family)
    assert before["probes"] == 9 * 9 * 6
    assert outcomes(before) == {"connected": 486}, before
    policy = _denial("y", "none", policyTypes=["Ingress", "Egress"])
    apply(cluster, policy)
    inside(cluster, "ovs-appctl", "dpctl/flush-conntrack")
    after = cluster.matrix(PORTS, namespaces=SPACES, family=family)
    print(f"IPv{family}: {before['seconds']} s without drops, {after['seconds']} s with {after['drops']}")
    assert differences(after) == []
    assert all(one["spec"] == one["wire"] for one in after["ports"].values())
    assert after["earlyDrops"] == after["drops"] == 252
    assert after["seconds"] < BOUND
    for source, target in (("z/a", "y/b"), ("y/a", "y/a"), ("x/a", "x/c"), ("y/b", "z/b")):
        for port in ("80/tcp", "81/udp"):
            single = cluster.probe(source, target, port, family=family)["outcome"]
            assert single == after["ports"][port]["wire"][source][target], (source, target, port)
    done = cluster.delete([policy])
    assert done.ready.ready, done.ready.missing


def test_a_policy_for_one_direction_and_one_port_shows_as_such(cluster: Cluster) -> None:
    rule = {"from": [{"podSelector": {"matchLabels": {"pod": "b"}}}], "ports": [{"port": 80}]}
    policy = _denial("x", "web", policyTypes=["Ingress"], ingress=[rule])
    apply(cluster, policy)
    report = cluster.matrix(["80/tcp", "81/tcp", "80/udp"], namespaces=["x", "z"])
    for port, one in report["ports"].items():
        assert one["spec"] == one["wire"]
        for source, row in one["wire"].items():
            for target, found in row.items():
                is_let_in = source == "x/b" and port == "80/tcp"
                is_open = target[0] == "z" or source == target or is_let_in
                assert found == ("connected" if is_open else "dropped"), (port, source, target)
    done = cluster.delete([policy])
    assert done.ready.ready, done.ready.missing


def test_a_port_without_a_socket_is_rejected_and_no_drop(cluster: Cluster) -> None:
    report = cluster.matrix(["82/tcp", "82/udp"], namespaces=["x"])
    assert outcomes(report) == {"rejected": 18}, report
    assert set(report["ports"]["82/tcp"]["spec"]["x/a"].values()) == {"connected"}
    assert set(report["ports"]["82/udp"]["notes"]["x/a"].values()) == {NOBODY_LISTENS}


def test_nodes_and_outside_hosts_take_part_on_request(cluster: Cluster) -> None:
    report = cluster.matrix(["80/tcp"], namespaces=["x"], nodes=True, external=True)
    wire = report["ports"]["80/tcp"]["wire"]
    assert {"x/a", "node/worker-1", "ext/client"} <= wire.keys()
    for source in ("node/worker-1", "x/b"):
        assert wire[source]["x/a"] == "connected"
    for source, target in (("ext/client", "x/a"), ("x/a", "node/worker-2"), ("x/a", "ext/client")):
        single = cluster.probe(source, target, "80/tcp")["outcome"]
        assert wire[source][target] == single, (source, target, report["ports"]["80/tcp"]["notes"])


def test_sweeps_at_the_same_time_do_not_lose_each_others_packets(cluster: Cluster) -> None:
    """Queues hold the packets of one burst and not those of three: a packet lost there would be a false X."""
    policy = _denial("y", "none", policyTypes=["Ingress", "Egress"])
    apply(cluster, policy)
    inside(cluster, "ovs-appctl", "dpctl/flush-conntrack")
    with ThreadPoolExecutor(3) as pool:
        asked = [
            pool.submit(Cluster.connect(cluster.name).matrix, PORTS, namespaces=SPACES) for _ in range(6)
        ]
        reports = [one.result() for one in asked]
    assert [differences(report) for report in reports] == [[]] * 6
    done = cluster.delete([policy])
    assert done.ready.ready, done.ready.missing

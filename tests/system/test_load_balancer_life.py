"""A load balancer in the smallest topology file, while nodes and processes die around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from emulator import Cluster
from emulator.scenario import changes
from tests.system.hygiene import assert_nobody_complained, assert_zones_are_separate, inside
from tests.system.oracles.addresses import bare, external_address, of_family
from tests.system.oracles.held import held
from tests.system.oracles.objects import Object, namespace, pod

TOPOLOGY = """\
apiVersion: mininetes.io/v1
kind: Topology
metadata: {name: small-cloud}
spec:
  nodes: [{name: worker-1}, {name: worker-2}]
  routers: [{name: lb, kind: lb, pool: [203.0.113.64/29, "2001:db8:203:0:113:64::/125"]}]
"""
PODS = {f"shop/web-{number}": pod(f"web-{number}", f"worker-{number}", app="web") for number in (1, 2)}


def balanced(mode: str, name: str = "", policy: str = "Local", app: str = "web") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name or mode,
            "namespace": "shop",
            "annotations": {"mininetes.io/load-balancer-mode": mode},
        },
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "RequireDualStack",
            "externalTrafficPolicy": policy,
            "selector": {"app": app},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080},
                {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": 8081},
            ],
        },
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file = tmp_path_factory.mktemp("topology") / "small-cloud.yaml"
    file.write_text(TOPOLOGY)
    running = Cluster.up(file, name=f"small-cloud-{os.getpid()}")
    try:
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        applied = running.apply([namespace("shop"), *PODS.values(), balanced("vip"), balanced("proxy")])
        assert applied.ready.ready, applied.ready.missing
        yield running
        # A wire that was cut has lost packets, which is what it was cut for.
        assert_nobody_complained(running)
        assert_zones_are_separate(running, list(running.status()["bridges"]))
    finally:
        running.down()


def address(cluster: Cluster, mode: str, family: int) -> str:
    found: Object = cluster.get("Service", mode, "shop")
    return bare(of_family([entry["ip"] for entry in found["status"]["loadBalancer"]["ingress"]], family))


@contextmanager
def dead(cluster: Cluster, node: int) -> Iterator[None]:
    """A node whose wire is cut."""
    inside(cluster, "ip", "link", "set", f"n{node}-up", "down")
    try:
        yield
    finally:
        inside(cluster, "ip", "link", "set", f"n{node}-up", "up")


def judged(cluster: Cluster, mode: str, node: str, *, well: bool) -> None:
    """Wait until the balancer thinks so, and the switches know."""

    def is_so(topology: Object | None) -> bool:
        assert topology is not None
        verdict = topology["status"]["loadBalancer"]["targets"][f"shop/{mode}"][node]
        return bool(verdict["healthy"]) is well

    cluster.wait_for("Topology", "small-cloud", None, is_so)
    ready = cluster.wait_ready()
    assert ready.ready, ready.missing


def knock(cluster: Cluster, mode: str, family: int, count: int = 20) -> Any:
    return cluster.probe("ext/client", address(cluster, mode, family), "80/tcp", count=count)


@pytest.mark.parametrize(("mode", "family"), [("vip", 4), ("proxy", 6)])
def test_connections_outlive_another_nodes_death(cluster: Cluster, mode: str, family: int) -> None:
    """New ones avoid the dead node once its checks have failed; back it is used again."""
    where = address(cluster, mode, family)
    with ExitStack() as stack:
        opened = [stack.enter_context(held(cluster, "ext/client", where, 80)) for _ in range(8)]
        survivors = [one for one in opened if one.ask() == "web-2"]
        assert 0 < len(survivors) < len(opened)
        with dead(cluster, 1):
            judged(cluster, mode, "worker-1", well=False)
            assert [one.ask() for one in survivors] == ["web-2"] * len(survivors)
            report = knock(cluster, mode, family)
            assert report["outcomes"] == {"connected": 20}
            assert report["endpoints"] == {"shop/web-2": 20}
            service = cluster.get("Service", mode, "shop")["metadata"]["uid"]
            told = [e for e in cluster.get("Event") if e["involvedObject"].get("uid") == service]
            assert any(e["reason"] == "NodeUnhealthy" and "worker-1" in e["message"] for e in told)
        judged(cluster, mode, "worker-1", well=True)
        assert [one.ask() for one in survivors] == ["web-2"] * len(survivors)
    assert set(knock(cluster, mode, family, 40)["endpoints"]) == {"shop/web-1", "shop/web-2"}


def test_the_client_is_seen_in_the_smallest_topology_too(cluster: Cluster) -> None:
    for family in (4, 6):
        assert knock(cluster, "vip", family)["sourceSeen"] == [external_address("client", family)]


@pytest.mark.parametrize(("mode", "family", "port"), [("vip", 6, 12345), ("proxy", 4, 12346)])
def test_a_udp_client_moves_on_with_the_pod(cluster: Cluster, mode: str, family: int, port: int) -> None:
    """ "should be able to preserve UDP traffic when server pod cycles for a LoadBalancer service".

    The client goes on from the same port, so it is the same "connection" all the time.
    """

    def ask() -> str:
        where = address(cluster, mode, family)
        report = cluster.probe("ext/client", where, "81/udp", source_port=port)
        assert report["outcome"] == "connected"
        (answered,) = report["endpoints"]
        return str(answered)

    first = ask()
    assert {ask() for _ in range(3)} == {first}
    (second,) = PODS.keys() - {first}
    gone = cluster.delete([PODS[first]])
    assert gone.ready.ready, gone.ready.missing
    try:
        assert {ask() for _ in range(3)} == {second}
    finally:
        back = cluster.apply([PODS[first]])
        assert back.ready.ready, back.ready.missing
    assert {ask() for _ in range(3)} == {second}


def test_a_rolling_update_disrupts_nobody(cluster: Cluster) -> None:
    """ "should not have connectivity disruption during rolling update with externalTrafficPolicy=Cluster",
    and Local: pods that end go on serving for longer than the balancer needs to find out."""
    ending = {"preStop": {"sleep": {"seconds": 5}}}
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    container = {**PODS["shop/web-1"]["spec"]["containers"][0], "lifecycle": ending, "readinessProbe": probe}
    rolled: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "rolled", "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "rolled"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": "rolled"}}, "spec": {"containers": [container]}},
        },
    }
    made = [
        rolled,
        balanced("vip", "rolled-local", "Local", "rolled"),
        balanced("proxy", "rolled-any", "Cluster", "rolled"),
    ]
    applied = cluster.apply(made)
    assert applied.ready.ready, applied.ready.missing
    streams = [
        {"from": "ext/client", "to": address(cluster, name, family), "port": port, "rate": 10, **http}
        for name, family in (("rolled-local", 4), ("rolled-any", 6))
        for port, http in (("80/tcp", {"http": "/hostname"}), ("81/udp", {}))
    ]
    load = cluster.start_load(streams)
    changes.restart(cluster, "Deployment", "rolled", "shop")
    changes.wait_rolled_out(cluster, "Deployment", "rolled", "shop", 60)
    ready = cluster.wait_ready()
    assert ready.ready, ready.missing
    report = cluster.stop_load(load, 100)
    assert report["outcomes"] == {"connected": report["sent"]}, report["lost"]
    assert len(report["answers"]) > 2, "both the old and the new pods answered"
    assert cluster.delete(made).ready.ready

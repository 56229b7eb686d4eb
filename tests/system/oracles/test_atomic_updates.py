"""Oracle 89: while services, endpoints and pods change, nothing is lost on its way to those that stay."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import cluster_ip, node_address, node_port
from tests.system.oracles.held import held
from tests.system.oracles.objects import Object, pod, service

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

COUNT, INTERVAL = 250, 0.005
"""Of each storm: so many connections, so many seconds apart."""
FEWEST_CHANGES = 10

Report = dict[str, Any]


def storms(cluster: Cluster, family: int) -> dict[str, tuple[str, str, str]]:
    """Who asks whom: through services, straight, from outside and to the outside."""
    port = node_port(cluster, "far", family)
    datagrams = node_port(cluster, "far", family, "UDP")
    return {
        "tcp to a cluster IP": ("shop/client", f"svc/shop/web-v{family}", "80/tcp"),
        "udp to a cluster IP": ("shop/remote", f"svc/shop/web-v{family}", "81/udp"),
        "ping to a pod": ("shop/neighbour", "shop/far", "icmp"),
        "tcp to a node port": ("ext/client", "node/worker-2", f"{port}/tcp"),
        "udp to a node port": ("ext/client", "node/worker-1", f"{datagrams}/udp"),
        "udp to the internet": ("shop/neighbour", "ext/server", "7/udp"),
    }


def storm(name: str, source: str, target: str, port: str, family: int) -> Report:
    """One storm, over a connection to the engine of its own: every SYN once, every datagram answered."""
    number, _, protocol = port.partition("/")
    known = int(number) if protocol else 0
    syn = {"match": {"tcp.dport": known, "tcp.flags": "S"}, "direction": "out", "count": f"=={COUNT}"}
    reply = {"match": {"udp.sport": known}, "direction": "in", "count": f">={COUNT}"}
    checks = {"tcp": [{"at": source, **syn}], "udp": [{"at": source, **reply}]}.get(protocol, [])
    return Cluster.connect(name).probe(
        source,
        target,
        port,
        family=family,
        count=COUNT,
        interval=INTERVAL,
        timeout=20,
        checks=checks,
    )


def changes(cluster: Cluster, family: int) -> Iterator[None]:
    """One change after another, for ever; each is in force when the next one is asked for."""
    extra = service("extra", "solo", family=family, type="NodePort")
    passing: Object = pod("passing", "worker-3", app="nobody")
    while True:
        for app in ("resting", "web"):
            cluster.patch("Pod", "web-2", "shop", {"metadata": {"labels": {"app": app}}})
            assert cluster.wait_ready().ready
            yield
        assert cluster.apply([extra]).ready.ready
        yield
        assert cluster.apply([passing]).ready.ready
        yield
        assert cluster.delete([extra]).ready.ready
        yield
        assert cluster.delete([passing]).ready.ready
        yield


def test_89_nothing_is_lost_while_everything_changes(shop: Cluster, family: int) -> None:
    plans = storms(shop, family)
    made = 0
    with ThreadPoolExecutor(len(plans)) as pool, ExitStack() as stack:
        to_service = stack.enter_context(held(shop, "shop/remote", cluster_ip(shop, "web", family), 80))
        address, port = node_address(shop, "worker-2", family), node_port(shop, "far", family)
        to_node_port = stack.enter_context(held(shop, "ext/client", address, port))
        endpoint = to_service.ask()
        assert to_node_port.ask() == "far"
        running: dict[str, Future[Report]] = {
            what: pool.submit(storm, shop.name, *plan, family) for what, plan in plans.items()
        }
        for made, _ in enumerate(changes(shop, family), start=1):
            assert to_service.ask() == endpoint
            assert to_node_port.ask() == "far"
            if made >= FEWEST_CHANGES and all(storm.done() for storm in running.values()):
                break
        reports = {what: storm.result() for what, storm in running.items()}
    for what, report in reports.items():
        assert report["outcomes"] == {"connected": COUNT}, (what, report.get("notes"), report["outcomes"])
        assert all(check["ok"] for check in report.get("checks", ())), (what, report["checks"])
        assert not [note for note in report.get("notes", ()) if "lost" in note], (what, report["notes"])


def test_89_a_new_service_serves_at_once(shop: Cluster, family: int) -> None:
    """As soon as `apply` returns, on every node; as soon as `delete` returns, on none."""
    young = service("young", "solo", family=family)
    for _ in range(3):
        assert shop.apply([young]).ready.ready
        address = cluster_ip(shop, "young", family)
        for source in ("shop/client", "shop/remote", "shop/far"):
            for port in ("80/tcp", "81/udp"):
                report = shop.probe(source, f"svc/shop/young-v{family}", port)
                assert report["outcome"] == "connected", report
        assert shop.delete([young]).ready.ready
        report = shop.probe("shop/remote", address, "81/udp", timeout=0.2)
        assert report["outcome"] == "dropped"

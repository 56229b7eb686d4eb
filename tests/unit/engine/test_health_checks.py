"""The load balancer's checks, with nodes that answer as told: verdicts, events, and what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from emulator.api.objects import JsonObject, Key
from emulator.cluster.plan import wire
from emulator.cluster.topology import parse_topology
from emulator.engine import health_checks
from emulator.engine.health_checks import HealthChecks
from emulator.engine.pulse import Pulse
from emulator.workloads.probing import ProbeError
from tests.unit.cluster.lab import Lab, pod, service

TOPOLOGY: JsonObject = {
    "apiVersion": "mininetes.io/v1",
    "kind": "Topology",
    "metadata": {"name": "cloud"},
    "spec": {
        "nodes": [{"name": "worker-1"}, {"name": "worker-2"}],
        "routers": [
            {
                "name": "lb",
                "kind": "lb",
                "pool": ["203.0.113.64/26"],
                "health": {"interval": "20ms", "timeout": "20ms", "healthy": 1, "unhealthy": 2},
            }
        ],
    },
}
NODES = {"192.168.50.11": "worker-1", "192.168.50.12": "worker-2"}


class Cloud:
    """A cluster, its balancer's checks, and nodes that answer them."""

    def __init__(self) -> None:
        self.lab = Lab(wire(parse_topology(TOPOLOGY)))
        self.lab.apply(TOPOLOGY)
        self.pulse = Pulse()
        self.checks = HealthChecks(self.lab.store, self.lab.wiring, self.pulse)
        self.broken: dict[str, str] = {}
        """What the nodes that are not well answer."""

    async def attempt(self, action: JsonObject, *_: Any) -> None:
        node = NODES[action["httpGet"]["host"]]
        if node in self.broken:
            raise ProbeError(self.broken[node])

    def healthy(self) -> dict[str, bool]:
        status = self.lab.get("Topology", "cloud", "").get("status") or {}
        nodes = status.get("loadBalancer", {}).get("targets", {}).get("default/web", {})
        return {node: verdict["healthy"] for node, verdict in nodes.items()}

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                changed = self.lab.store.watch()
                beaten = asyncio.ensure_future(self.pulse.until(lambda: False))
                moved = asyncio.ensure_future(changed.batch())
                await asyncio.wait({beaten, moved}, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                for waiting in (beaten, moved):
                    waiting.cancel()

    def told(self) -> list[tuple[str, str]]:
        found = [(e["type"], e["message"]) for e in self.lab.store.list("Event") if "Node" in e["reason"]]
        return sorted(found)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr(health_checks, "attempt", made.attempt)
    return made


def play(cloud: Cloud, scenes: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        task = asyncio.create_task(cloud.checks.run())
        try:
            await scenes()
        finally:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]

    asyncio.run(whole())


def test_a_node_is_used_as_long_as_it_answers(cloud: Cloud) -> None:
    async def scenes() -> None:
        cloud.lab.apply(service("web", type="LoadBalancer"))
        await cloud.until(lambda: cloud.healthy() == {"worker-1": True, "worker-2": True})
        assert list(cloud.checks.missing()) == []
        cloud.broken["worker-2"] = "connection timed out"
        await cloud.until(lambda: cloud.healthy() == {"worker-1": True, "worker-2": False})
        del cloud.broken["worker-2"]
        await cloud.until(lambda: cloud.healthy() == {"worker-1": True, "worker-2": True})

    play(cloud, scenes)
    assert cloud.told() == [
        ("Normal", "worker-2 answers, and gets connections"),
        ("Warning", "worker-2 gets no new connections: connection timed out"),
    ]


def test_what_will_change_soon_is_waited_for_and_what_is_broken_is_not(cloud: Cloud) -> None:
    async def scenes() -> None:
        cloud.broken["worker-2"] = "connection refused"
        cloud.lab.apply(service("web", type="LoadBalancer"))
        assert list(cloud.checks.missing()) == ["the load balancer has not seen the latest objects"]
        await cloud.until(lambda: any("checks worker-2" in what for what in cloud.checks.missing()))
        await cloud.until(lambda: not any(cloud.checks.missing()))
        assert cloud.healthy() == {"worker-1": True, "worker-2": False}

    play(cloud, scenes)


def test_a_node_that_says_it_has_no_endpoints_is_no_news(cloud: Cloud) -> None:
    async def scenes() -> None:
        cloud.broken["worker-2"] = "HTTP probe failed with statuscode: 503"
        cloud.lab.run(
            pod("web", nodeName="worker-1"),
            service("web", type="LoadBalancer", externalTrafficPolicy="Local"),
        )
        await cloud.until(lambda: cloud.healthy().get("worker-1", False) and not any(cloud.checks.missing()))
        assert cloud.healthy() == {"worker-1": True, "worker-2": False}

    play(cloud, scenes)
    assert cloud.told() == []


def test_who_is_no_longer_asked_is_forgotten(cloud: Cloud) -> None:
    async def scenes() -> None:
        cloud.lab.apply(service("web", type="LoadBalancer"))
        await cloud.until(lambda: all(cloud.healthy().values()) and len(cloud.healthy()) == 2)
        cloud.lab.delete("Service", "web")
        await cloud.until(lambda: cloud.healthy() == {})
        assert list(cloud.checks.missing()) == []

    play(cloud, scenes)


def test_an_engine_that_comes_back_knows_what_it_knew(cloud: Cloud) -> None:
    """Until the first answer nothing changes: connections go on meanwhile."""

    async def first() -> None:
        cloud.lab.apply(service("web", type="LoadBalancer"))
        await cloud.until(lambda: all(cloud.healthy().values()) and len(cloud.healthy()) == 2)

    async def second() -> None:
        await cloud.until(lambda: not any(cloud.checks.missing()))

    play(cloud, first)
    seen = cloud.lab.store.watch()
    cloud.checks = HealthChecks(cloud.lab.store, cloud.lab.wiring, cloud.pulse)
    play(cloud, second)
    assert [event for event in seen.pending() if event.object["kind"] == "Topology"] == []
    assert cloud.lab.store.find(Key("Service", "default", "web"))

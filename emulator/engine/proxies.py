"""The part of every node's kube-proxy that answers over HTTP: health of Services, and its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from emulator.api.objects import JsonObject, Key
from emulator.api.store import Store
from emulator.cluster.changes import apply_changes
from emulator.cluster.events import News, told
from emulator.cluster.health import (
    HealthCheck,
    health_checks,
    is_eligible,
    local_endpoints,
    slices_of,
)
from emulator.engine.programming import Programming
from emulator.engine.pulse import Pulse
from emulator.network.names import netns_path
from emulator.workloads.servers.kube_proxy import ProxyHealth, proxy_health, service_health
from emulator.workloads.servers.program import Program, ProgramError
from emulator.workloads.servers.serving import Serving

KINDS = frozenset({"Service", "EndpointSlice"})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _InForce:
    """The objects that the switches have confirmed: what a proxy knows."""

    version: int = 0
    slices: Mapping[HealthCheck, Sequence[JsonObject]] = field(default_factory=dict)


class Proxies:
    """Answers at every node's health check node ports and at its own port of health.

    As a proxy writes its rules first and tells of its endpoints afterwards, what is told here is what the
    switches have confirmed.
    """

    def __init__(self, store: Store, nodes: Sequence[str], programming: Programming, pulse: Pulse) -> None:
        self._store = store
        self._nodes = nodes
        self._programming = programming
        self._pulse = pulse
        self._in_force = _InForce()
        self._serving: dict[tuple[str, HealthCheck], Serving | None] = {}
        """By node; None where the port cannot be had."""
        self._own: dict[str, Serving] = {}
        self._stopped: set[str] = set()
        self._runs = False

    @property
    def version(self) -> int:
        """Up to which version of the objects these servers tell."""
        return self._in_force.version

    async def run(self) -> None:
        """Follow Services and their endpoints, for ever. The nodes' namespaces must be there."""
        self._runs = True
        for node in self._nodes:
            await self._tell_health(node)
        watch = self._store.watch(KINDS)
        version = 0
        while True:
            known = {kind: self._store.list(kind) for kind in KINDS}
            slices = slices_of(health_checks(known["Service"]), known["EndpointSlice"])
            objects = (obj for found in known.values() for obj in found)
            # The controller does not hear of every version, but of those of these kinds.
            version = max((version, *(int(obj["metadata"]["resourceVersion"]) for obj in objects)))
            await self._programming.wait(version)
            self._in_force = _InForce(version, slices)
            await self._listen(slices.keys())
            self._pulse.beat()
            version = (await watch.batch())[-1].resource_version

    async def stop(self, node: str) -> None:
        """The proxy of a node is gone: its ports are closed, and nobody waits for it. Idempotent."""
        self._stopped.add(node)
        gone = [self._own.pop(node, None)]
        gone += [self._serving.pop(key) for key in list(self._serving) if key[0] == node]
        for serving in gone:
            if serving is not None:
                await serving.close()

    async def start(self, node: str) -> None:
        """It is back. Idempotent."""
        self._stopped.discard(node)
        if self._runs:
            await self._tell_health(node)
            await self._listen(self._in_force.slices.keys())

    async def _tell_health(self, node: str) -> None:
        if node in self._stopped or node in self._own:
            return
        program = proxy_health(partial(self._health, node))
        try:
            self._own[node] = await Serving.start(program, netns_path(f"node/{node}"))
        except ProgramError as error:
            log.warning("the proxy of %s cannot tell of its health: %s", node, error)

    async def _listen(self, checks: Set[HealthCheck]) -> None:
        for node, check in [key for key in self._serving if key[1] not in checks]:
            serving = self._serving.pop((node, check))
            if serving is not None:
                await serving.close()
        for check in sorted(checks, key=lambda found: found.port):
            for node in self._nodes:
                if node not in self._stopped and self._serving.get((node, check)) is None:
                    await self._serve(node, check)

    async def _serve(self, node: str, check: HealthCheck) -> None:
        key = (node, check)
        program: Program = service_health(check, partial(self._count, *key), self._is_healthy)
        try:
            self._serving[key] = await Serving.start(program, netns_path(f"node/{node}"))
        except ProgramError as error:
            if key not in self._serving:
                self._tell(node, check, error)
            self._serving[key] = None

    def _tell(self, node: str, check: HealthCheck, error: ProgramError) -> None:
        """As kube-proxy does, on the Service."""
        service = self._store.find(Key("Service", check.namespace, check.service))
        if service is None:
            return
        name = f"{check.namespace}/{check.service}"
        why = f'node {node} failed to start healthcheck "{name}" on port {check.port}: {error}'
        news = News(service, "FailedToStartServiceHealthcheck", why, "kube-proxy", host=node)
        for refusal in apply_changes(
            self._store, [told(news, self._store.find(news.key), datetime.now(UTC))]
        ):
            log.warning("event about %s lost: %s", name, refusal.error)

    def _count(self, node: str, check: HealthCheck, version: int) -> int:
        slices = self._in_force.slices.get(check, ())
        return local_endpoints(slices, node, version)

    def _is_healthy(self) -> bool:
        return not self._programming.errors

    def _health(self, node: str) -> ProxyHealth:
        return ProxyHealth(self._is_healthy(), is_eligible(self._store.find(Key("Node", "", node))))

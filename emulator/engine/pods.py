"""Brings pods to life and to their end: network first, then flows, then containers; and back.

A pod that has a node and addresses gets its interface; when the controller has acknowledged the
flows that guard it, its containers start. A pod that is to be deleted stops within its grace period,
leaves the network, and then leaves the store.

Containers are asked to end when no switch sends new connections to them any more. In Kubernetes kubelet
and proxies run a race there, and people put `sleep` into a preStop hook. A pod on a node that is lost goes
on as it was until the node is back, or until it is deleted without grace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject, key_of
from emulator.api.store import Store
from emulator.api.watch import Event
from emulator.cluster.node_life import is_lost
from emulator.cluster.pods import is_finished, is_terminating, node_name
from emulator.engine.programming import Programming
from emulator.engine.together import Together

PATIENCE = 2.0
"""Seconds that a pod's end waits at most for the switches to leave it out."""

log = logging.getLogger(__name__)


class PodNetwork(Protocol):
    """The network's part: blocking calls, made from a thread."""

    def attach(self, pods: Sequence[JsonObject]) -> None:
        """Give pods their interface; those of the host network need none."""

    def detach(self, pods: Sequence[JsonObject]) -> None:
        """Take them off."""


class Service(Protocol):
    """The Services' part."""

    async def left(self, pod: JsonObject) -> None:
        """Return when no new connections are sent to a pod whose deletion has been announced."""


class Containers(Protocol):
    """The container runtime's part."""

    async def start(self, pod: JsonObject) -> None:
        """Start the pod's containers; its status is reported as it changes."""

    async def stop(self, pod: JsonObject, grace_seconds: float) -> None:
        """End them; returns when nothing of the pod runs any more."""


@dataclass(slots=True)
class _Life:
    """One pod, by uid, as far as it got."""

    pod: JsonObject
    starting: asyncio.Task[None] | None = None
    stopping: asyncio.Task[None] | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing of it is left: neither containers nor interface."""
    grace: float = 0.0
    """Seconds that it was given when it began to stop."""
    hurrying: asyncio.Task[None] | None = None


class PodLifecycle:
    """The kubelets of all nodes: see the module."""

    def __init__(
        self,
        store: Store,
        network: PodNetwork,
        containers: Containers,
        programming: Programming,
        service: Service,
    ) -> None:
        self._store = store
        self._network = network
        self._containers = containers
        self._programming = programming
        self._service = service
        self._lives: dict[str, _Life] = {}
        self._detaching = Together(self._detach)

    async def run(self) -> None:
        """Follow the store for ever. The network must have been built."""
        watch = self._store.watch({"Pod", "Node"})
        while True:
            await self._step()
            while not any(map(_concerns_pods, await watch.batch())):
                pass

    async def _step(self) -> None:
        pods = {pod["metadata"]["uid"]: pod for pod in self._store.list("Pod")}
        lost = {node["metadata"]["name"] for node in self._store.list("Node") if is_lost(node)}
        new = [
            pod
            for uid, pod in pods.items()
            if uid not in self._lives and _wants_life(pod) and node_name(pod) not in lost
        ]
        # Of the pods themselves: the controller does not hear of every version, such as those of Events.
        version = max((int(pod["metadata"]["resourceVersion"]) for pod in new), default=0)
        before = {key_of(life.pod): life for life in self._lives.values()}
        alive = [pod for pod in new if not is_terminating(pod) and key_of(pod) not in before]
        if alive:
            await asyncio.to_thread(self._network.attach, alive)
            log.info("%d pods attached", len(alive))
        for pod in new:
            self._lives[pod["metadata"]["uid"]] = life = _Life(pod)
            if not is_terminating(pod):
                life.starting = self._task(self._begin(pod, version, before.get(key_of(pod))), pod)
        for uid, life in list(self._lives.items()):
            current = pods.get(uid)
            if current is not None and node_name(current) in lost:
                continue
            if life.stopping is None and (current is None or is_terminating(current)):
                life.grace = _grace(current)
                life.stopping = self._task(self._stop(life, current), life.pod)
            elif life.stopping is not None and _grace(current) < life.grace:
                # Another deletion has cut the grace period short.
                life.grace = _grace(current)
                life.hurrying = self._task(self._containers.stop(life.pod, life.grace), life.pod)

    async def _begin(self, pod: JsonObject, version: int, before: _Life | None) -> None:
        """Start a pod that is attached, or that has to wait for the end of the one that had its name.

        Pods that are deleted without grace leave the store at once, and the network a moment later: by
        then a StatefulSet has made the next one, for the same place.
        """
        if before is not None:
            await before.gone.wait()
            await asyncio.to_thread(self._network.attach, [pod])
        await self._programming.wait(version)
        await self._containers.start(pod)

    async def _stop(self, life: _Life, current: JsonObject | None) -> None:
        if life.starting is not None and not life.starting.done():
            life.starting.cancel()
            await asyncio.wait({life.starting})
        grace = _grace(current)
        pod = current or life.pod
        if grace and current is not None:
            grace -= await self._out_of_service(current, grace)
        await self._containers.stop(pod, grace)
        await self._detaching.do(pod)
        self._lives.pop(pod["metadata"]["uid"], None)
        life.gone.set()
        try:
            self._store.delete(key_of(pod), grace_seconds=0, uid=pod["metadata"]["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _detach(self, pods: Sequence[JsonObject]) -> None:
        await asyncio.to_thread(self._network.detach, pods)

    async def _out_of_service(self, pod: JsonObject, grace: float) -> float:
        """Wait until nobody new is sent to the pod, but not for long; returns the seconds that it took."""
        clock = asyncio.get_running_loop()
        began = clock.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(grace, PATIENCE)):
                await self._service.left(pod)
        return clock.time() - began

    def _task(self, work: Awaitable[None], pod: JsonObject) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("%s", key_of(pod))

        return asyncio.get_running_loop().create_task(guarded())


def _grace(pod: JsonObject | None) -> float:
    """How long a pod may take to end, in seconds; None is one that is out of the store already."""
    return 0.0 if pod is None else float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)


def _concerns_pods(event: Event) -> bool:
    """Whether pods may have to start or stop: Nodes matter when they are lost or found."""
    if event.object["kind"] == "Pod":
        return True
    return is_lost(event.object) != is_lost(event.previous)


def _wants_life(pod: JsonObject) -> bool:
    """Whether there is something to do: it has a node and an address to be reached at, or it is to go."""
    if is_terminating(pod):
        return True
    return bool(node_name(pod)) and bool((pod.get("status") or {}).get("podIP")) and not is_finished(pod)

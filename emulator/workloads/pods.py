"""One pod: its volumes, its containers in their order, and its status."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from emulator.api.objects import JsonObject, Key, key_of
from emulator.workloads.blueprint import Workshop
from emulator.workloads.incarnations import Place
from emulator.workloads.records import Terminated, Waiting, is_sidecar, recalled, restart_policy
from emulator.workloads.references import MissingReferenceError
from emulator.workloads.status import final_status, pod_status
from emulator.workloads.timing import Timing
from emulator.workloads.volumes import Volumes
from emulator.workloads.worker import ContainerWorker

StatusSink = Callable[[Key, str, JsonObject], None]
"""Takes a pod's key, its uid and its status; addresses are not part of the status."""
EventSink = Callable[[JsonObject, str, str, str], None]
"""Takes a pod and an event's type (Normal, Warning), reason and message."""


class PodWorker:
    """A pod on its node. It is the `Host` of its containers' workers."""

    def __init__(
        self,
        pod: JsonObject,
        place: Place,
        node_netns: Path,
        workshop: Workshop,
        volumes: Volumes,
        timing: Timing,
        report: StatusSink,
        events: EventSink,
    ) -> None:
        self.pod = pod
        self.place = place
        self.node_netns = node_netns
        self.workshop = workshop
        self.timing = timing
        self._volumes = volumes
        self._report = report
        self._events = events
        self._since = datetime.now(UTC)
        self._init = [self._worker(c, first=True) for c in pod["spec"].get("initContainers") or ()]
        self._main = [self._worker(c, first=False) for c in pod["spec"]["containers"]]
        self._objects_moved = asyncio.Event()
        self._ending = asyncio.Event()
        self._ended = False
        self._due = False
        self._reported = ""
        self._conditions: list[JsonObject] = []
        self._task: asyncio.Task[None] | None = None
        self._sidecars: list[tuple[ContainerWorker, asyncio.Task[None]]] = []

    def start(self) -> None:
        """Begin; what happens is reported."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, grace: float) -> None:
        """End all containers within `grace` seconds, sidecars after the others."""
        self._ending.set()
        self._objects_moved.set()
        await asyncio.gather(*(worker.end(grace) for worker in self._running_first()))
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._end_sidecars(grace)
        self._ended = True
        self._tell()

    def container(self, name: str | None) -> ContainerWorker:
        """The worker of a container; without a name, of the first one. Raises KeyError."""
        if name is None:
            wanted = (self.pod["metadata"].get("annotations") or {}).get(
                "kubectl.kubernetes.io/default-container"
            )
            name = wanted or self._main[0].name
        for worker in (*self._main, *self._init):
            if worker.name == name:
                return worker
        raise KeyError(name)

    def update(self, pod: JsonObject) -> None:
        """The object has changed: its conditions may open readiness gates, its labels appear in files."""
        old, self.pod = self.pod, pod
        if old["metadata"].get("labels") != pod["metadata"].get("labels") or old["metadata"].get(
            "annotations"
        ) != pod["metadata"].get("annotations"):
            self._refresh_volumes()
        if pod["spec"].get("readinessGates"):
            self.changed()

    def object_changed(self, key: Key) -> None:
        """A ConfigMap or Secret is there, or is another one."""
        if key.namespace != self.pod["metadata"]["namespace"]:
            return
        self._objects_moved.set()
        if self._volumes.refers_to(key):
            self._refresh_volumes()

    def reconsider(self) -> None:
        """Mishaps have come or gone."""
        for worker in (*self._init, *self._main):
            worker.reconsider()

    @property
    def proxies(self) -> tuple[str, ...]:
        """The names of the containers that are ingress proxies."""
        return tuple(worker.name for worker in self._main if worker.is_proxy)

    def changed(self) -> None:
        """Report soon: changes of one moment make one report."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._tell)

    def note(self, kind: str, reason: str, message: str) -> None:
        """Pass an event on."""
        self._events(self.pod, kind, reason, message)

    async def objects_changed(self) -> None:
        """Wait for `object_changed`, or for the pod's end."""
        self._objects_moved.clear()
        await self._objects_moved.wait()

    async def _run(self) -> None:
        self.changed()
        if not await self._make_volumes():
            return
        for worker, container in zip(self._init, self.pod["spec"].get("initContainers") or (), strict=True):
            await (self._start_sidecar(worker) if is_sidecar(container) else worker.run())
            state = worker.record.state
            if self._ending.is_set() or (isinstance(state, Terminated) and state.exit_code):
                return
        for worker in self._main:
            if isinstance(worker.record.state, Waiting) and worker.record.state.reason == "PodInitializing":
                worker.wait_to_start()
        self.changed()
        await asyncio.gather(*(worker.run() for worker in self._main))
        if not self._ending.is_set():
            await self._end_sidecars(self._grace)
            self.changed()

    async def _make_volumes(self) -> bool:
        """Wait until all volumes can be made; False when the pod ends before."""
        while not self._ending.is_set():
            try:
                for notice in self._volumes.make():
                    self.note("Warning", "NotAvailable", notice)
            except MissingReferenceError as error:
                message = f"MountVolume.SetUp failed: {error}"
                self.note("Warning", "FailedMount", message)
                for worker in self._init[:1] or self._main:
                    worker.wait_to_start(message)
                await self.objects_changed()
            else:
                return True
        return False

    async def _start_sidecar(self, worker: ContainerWorker) -> None:
        """Start it and wait until it has started."""
        task = asyncio.get_running_loop().create_task(worker.run())
        self._sidecars.append((worker, task))
        begun = asyncio.get_running_loop().create_task(worker.started.wait())
        await asyncio.wait({begun, task}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()

    async def _end_sidecars(self, grace: float) -> None:
        for worker, task in reversed(self._sidecars):
            await worker.end(grace)
            await asyncio.wait({task})

    def _running_first(self) -> Sequence[ContainerWorker]:
        sidecars = {worker.name for worker, _ in self._sidecars}
        return [worker for worker in (*self._main, *self._init) if worker.name not in sidecars]

    @property
    def _grace(self) -> float:
        grace = self.pod["spec"].get("terminationGracePeriodSeconds")
        return 30.0 if grace is None else float(grace)

    def _worker(self, container: JsonObject, *, first: bool) -> ContainerWorker:
        record = recalled(self.pod, container, self._since, first=first)
        return ContainerWorker(self, container, record, restart_policy(self.pod, container, first=first))

    def _refresh_volumes(self) -> None:
        with contextlib.suppress(OSError):
            self._volumes.refresh()

    def _tell(self) -> None:
        self._due = False
        init = [worker.record for worker in self._init]
        main = [worker.record for worker in self._main]
        status = pod_status(
            self.pod, init, main, started=self._since, before=self._conditions, now=datetime.now(UTC)
        )
        self._conditions = status["conditions"]
        if self._ended:
            status = final_status(status)
        text = json.dumps(status, sort_keys=True)
        if text != self._reported:
            self._reported = text
            self._report(key_of(self.pod), self.pod["metadata"]["uid"], status)

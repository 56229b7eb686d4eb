"""The kubelet and container runtime of all nodes: what the engine talks to."""

from __future__ import annotations

import asyncio
import resource
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.api.objects import JsonObject, Key
from emulator.workloads.blueprint import Workshop
from emulator.workloads.containers import Containers, StartError, python_argv
from emulator.workloads.hosts import Dns
from emulator.workloads.incarnations import Place, unconfigured
from emulator.workloads.mishaps import Mishaps
from emulator.workloads.pods import EventSink, PodWorker, StatusSink
from emulator.workloads.proxy import Configuration, Files
from emulator.workloads.references import Objects
from emulator.workloads.servers.program import ClusterAccess
from emulator.workloads.spec import encode
from emulator.workloads.timing import Timing
from emulator.workloads.toolbox import BUSYBOX_TOOLS, install
from emulator.workloads.volumes import Volumes
from emulator.workloads.worker import ContainerWorker


@dataclass(frozen=True, slots=True)
class NodeSite:
    """The node that a pod is on: probes come from its network namespace."""

    name: str
    netns: Path


class UnknownPodError(LookupError):
    """No such pod or container runs here; the message says which."""


def ignore_event(_pod: JsonObject, _kind: str, _reason: str, _message: str) -> None:
    """An `EventSink` for those who want no events."""


def _unchanging(objects: Objects) -> ClusterAccess:
    """Objects that are complete from the start."""
    return ClusterAccess(objects, version=lambda: 0, has_synced=lambda: True)


class PodRuntime:
    """Runs pods. Every method belongs to the event loop's thread.

    Logs are kept in `run_dir`, all other files of pods in `scratch` (default: there too), for which a
    directory in memory is several times quicker.
    """

    def __init__(
        self,
        run_dir: Path,
        objects: Objects,
        on_status: StatusSink,
        on_event: EventSink = ignore_event,
        *,
        scratch: Path | None = None,
        timing: Timing | None = None,
        dns: Dns | None = None,
        cluster: ClusterAccess | None = None,
        configuration: Configuration = unconfigured,
    ) -> None:
        self._logs = run_dir.resolve() / "logs"
        self._scratch = (scratch or run_dir).resolve() / "pods"
        self._objects = objects
        self._on_status = on_status
        self._on_event = on_event
        self._timing = timing or Timing()
        self._dns = dns or Dns()
        self._cluster = cluster or _unchanging(objects)
        self._configuration = configuration
        self.mishaps = Mishaps()
        self._pods: dict[str, PodWorker] = {}
        self._containers: Containers | None = None

    async def open(self) -> None:
        """Start the spawner. Raises StartError."""
        _allow_many_files()
        install(self._tools)
        self._containers = await Containers.open(
            self._scratch, self._tools / BUSYBOX_TOOLS, self._logs.parent
        )

    async def close(self) -> None:
        """End everything at once."""
        await asyncio.gather(*(worker.stop(0.0) for worker in self._pods.values()))
        if self._containers is not None:
            await self._containers.close()

    async def start(self, pod: JsonObject, netns: Path, node: NodeSite) -> None:
        """Start a pod that has its node, addresses and network; `on_status` tells how it gets on.

        A pod that runs already is left alone. Raises StartError before `open`.
        """
        uid = pod["metadata"]["uid"]
        if uid in self._pods:
            return
        if self._containers is None:
            raise StartError("the container runtime is not open")
        directory = self._directory(uid)
        volumes = Volumes(directory / "volumes", pod, self._objects)
        logs = self._log_directory(pod)
        workshop = Workshop(directory, logs, self._tools, self._objects, volumes, self._dns)
        place = Place(netns, node.name, self._containers, self._cluster, self._configuration, self.mishaps)
        worker = PodWorker(
            pod, place, node.netns, workshop, volumes, self._timing, self._on_status, self._on_event
        )
        self._pods[uid] = worker
        worker.start()

    async def stop(self, pod: JsonObject, grace: float) -> None:
        """End a pod's containers within `grace` seconds; returns when none runs and its files are gone."""
        uid = pod["metadata"]["uid"]
        worker = self._pods.get(uid)
        if worker is not None:
            await worker.stop(grace)
            self._pods.pop(uid, None)
        for directory in (self._directory(uid), self._log_directory(pod)):
            if directory.exists():
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def update(self, pod: JsonObject) -> None:
        """Tell of a pod's new version: labels and conditions matter to its files and readiness gates."""
        worker = self._pods.get(pod["metadata"]["uid"])
        if worker is not None:
            worker.update(pod)

    def object_changed(self, key: Key) -> None:
        """Tell of a new, changed or deleted ConfigMap or Secret."""
        for worker in self._pods.values():
            worker.object_changed(key)

    async def configure(self, pod: JsonObject, container: str, files: Files) -> str:
        """Give the ingress proxy in a container another configuration, in force when this returns.

        Returns what is wrong with it, and empty when nothing is, or when no proxy runs there now.
        """
        worker = self._pods.get(pod["metadata"]["uid"])
        try:
            return await worker.container(container).configure(files) if worker is not None else ""
        except KeyError:
            return ""

    def reconsider(self) -> None:
        """The mishaps are other ones now."""
        for worker in self._pods.values():
            worker.reconsider()

    async def strike(self, pod: JsonObject, container: str) -> None:
        """Kill a container; returns when it has died. Raises UnknownPodError."""
        await self._container(pod, container).strike()

    def proxies_of(self, pod: JsonObject) -> tuple[str, ...]:
        """The containers of a pod that are ingress proxies."""
        worker = self._pods.get(pod["metadata"]["uid"])
        return worker.proxies if worker is not None else ()

    def forget_others(self, uids: Iterable[str]) -> None:
        """Remove what an earlier engine left of pods that are not among `uids`."""
        known = {*uids, self._tools.name}
        for directory in (*self._scratch.glob("*"), *self._logs.glob("*")):
            if directory.name.rpartition("_")[2] not in known:
                shutil.rmtree(directory, ignore_errors=True)

    def logs(self, pod: JsonObject, container: str | None = None, *, previous: bool = False) -> bytes:
        """What a container's present (or previous) run has written. Raises UnknownPodError."""
        worker = self._container(pod, container)
        run = worker.record.restarts - (1 if previous else 0)
        if run < 0 or worker.log(worker.record.restarts) is None:
            which = "previous terminated container" if previous else "container"
            raise UnknownPodError(f'{which} "{worker.name}" in pod "{pod["metadata"]["name"]}" has no log')
        path = worker.log_path(run)
        return path.read_bytes() if path.exists() else b""

    async def follow(self, pod: JsonObject, container: str | None = None) -> AsyncIterator[bytes]:
        """What a container's present run has written and goes on to write, until it ends.

        Raises UnknownPodError.
        """
        worker = self._container(pod, container)
        log = worker.log(worker.record.restarts)
        if log is None:
            raise UnknownPodError(f'container "{worker.name}" has not started yet')
        async for text in log.follow():
            yield text

    async def exec_argv(
        self, pod: JsonObject, container: str | None, command: Sequence[str], *, tty: bool
    ) -> tuple[str, ...]:
        """The command line that, run inside the sandbox, runs `command` in a container.

        Raises UnknownPodError, and StartError when the container does not run.
        """
        worker = self._container(pod, container)
        process = await worker.process()
        blueprint = worker.blueprint
        assert blueprint is not None
        wanted = blueprint.command(command)
        environment = {**wanted.env, **({"TERM": "xterm"} if tty else {})}
        path = self._directory(pod["metadata"]["uid"]) / "containers" / worker.name / "exec.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(encode(type(wanted)((), environment, wanted.directory, wanted.credentials)))
        return python_argv("emulator.workloads.enter", str(process.pid), str(path), *command)

    def _container(self, pod: JsonObject, name: str | None) -> ContainerWorker:
        worker = self._pods.get(pod["metadata"]["uid"])
        if worker is None:
            raise UnknownPodError(f'pod "{pod["metadata"]["name"]}" does not run')
        try:
            return worker.container(name)
        except KeyError:
            raise UnknownPodError(
                f'container "{name}" not found in pod "{pod["metadata"]["name"]}"'
            ) from None

    def _directory(self, uid: str) -> Path:
        return self._scratch / uid

    def _log_directory(self, pod: JsonObject) -> Path:
        metadata = pod["metadata"]
        return self._logs / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"

    @property
    def _tools(self) -> Path:
        return self._scratch / ".tools"


def _allow_many_files() -> None:
    """Each container needs a few descriptors; the usual soft limit of 1024 is for users of select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

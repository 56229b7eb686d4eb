"""The container runtime, as the rest of the engine uses it: fed from the store, writing into it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject, Key, key_of
from emulator.api.store import Store
from emulator.api.watch import EventType
from emulator.cluster.changes import Update
from emulator.cluster.events import News, told
from emulator.cluster.node_life import is_lost
from emulator.cluster.pods import is_true, node_name
from emulator.engine.plumbing import netns_of
from emulator.network.names import netns_path
from emulator.workloads.containers import StartError
from emulator.workloads.hosts import Dns
from emulator.workloads.mishaps import Mishaps, Victim
from emulator.workloads.proxy import Configuration, Files
from emulator.workloads.runtime import NodeSite, PodRuntime, UnknownPodError
from emulator.workloads.servers.program import ClusterAccess
from emulator.workloads.status import interrupted_status

log = logging.getLogger(__name__)

_SCRATCH = Path("/run/kubelet")
"""In the sandbox's own memory: making files there is several times quicker than on a disk."""
_REFERRED_TO = frozenset({"Pod", "ConfigMap", "Secret", "Node"})


class Kubelets:
    """Runs the pods of all nodes."""

    def __init__(
        self,
        run_dir: Path,
        store: Store,
        dns: Dns,
        has_synced: Callable[[], bool],
        proxies: Configuration,
    ) -> None:
        self._store = store
        self._reports = True
        self._said: dict[str, JsonObject] = {}
        """The last status of each pod, by uid: a node that is not ready repeats it when it is back."""
        self._runtime = PodRuntime(
            run_dir,
            store,
            self._write_status,
            self._write_event,
            scratch=_SCRATCH,
            dns=dns,
            cluster=ClusterAccess(store, lambda: store.resource_version, has_synced),
            configuration=proxies,
        )

    def recall(self) -> None:
        """Note of all pods that an earlier engine ran that their containers have ended with it."""
        for pod in self._store.list("Pod"):
            status = interrupted_status(pod, datetime.now(UTC))
            if status is not None:
                self._write_status(key_of(pod), pod["metadata"]["uid"], status)

    async def open(self) -> None:
        """Get ready to run pods, and clear away what an earlier engine left."""
        self._runtime.forget_others(pod["metadata"]["uid"] for pod in self._store.list("Pod"))
        await self._runtime.open()

    async def close(self) -> None:
        """End every container. Their pods are not over: whoever runs them next finds them as they were."""
        self._reports = False
        await self._runtime.close()

    async def run(self) -> None:
        """Tell the runtime of changed pods, ConfigMaps and Secrets, for ever."""
        watch = self._store.watch(_REFERRED_TO)
        while True:
            for event in await watch.batch():
                match event.object["kind"]:
                    case "Pod" if event.type is EventType.DELETED:
                        self._said.pop(event.object["metadata"]["uid"], None)
                    case "Pod":
                        self._runtime.update(event.object)
                    case "Node":
                        if is_true(event.object, "Ready") and not is_true(event.previous or {}, "Ready"):
                            self._repeat(event.object["metadata"]["name"])
                    case _:
                        self._runtime.object_changed(key_of(event.object))

    def _repeat(self, node: str) -> None:
        for pod in self._store.list("Pod"):
            status = self._said.get(pod["metadata"]["uid"])
            if node_name(pod) == node and status is not None:
                self._write_status(key_of(pod), pod["metadata"]["uid"], status)

    async def start(self, pod: JsonObject) -> None:
        """Start the pod's containers; its status is reported as it changes."""
        node = node_name(pod)
        await self._runtime.start(pod, netns_of(pod), NodeSite(node, netns_path(f"node/{node}")))

    async def stop(self, pod: JsonObject, grace_seconds: float) -> None:
        """End them; returns when nothing of the pod runs any more."""
        await self._runtime.stop(pod, grace_seconds)

    async def configure(self, pod: JsonObject, container: str, files: Files) -> str:
        """Give the ingress proxy in a container another configuration; what is wrong with it, if anything."""
        return await self._runtime.configure(pod, container, files)

    @property
    def mishaps(self) -> Mishaps:
        """What goes wrong with containers on purpose; `reconsider` after each change."""
        return self._runtime.mishaps

    def reconsider(self) -> None:
        """The mishaps are other ones now."""
        self._runtime.reconsider()

    async def strike(self, pod: JsonObject, container: str) -> None:
        """Kill a container; returns when it has died. Raises ApiError."""
        try:
            await self._runtime.strike(pod, container)
        except UnknownPodError as error:
            raise ApiError(404, "NotFound", str(error)) from error

    def proxies_of(self, pod: JsonObject) -> tuple[str, ...]:
        """The containers of a pod that are ingress proxies."""
        return self._runtime.proxies_of(pod)

    def has_proxy(self, pod: JsonObject) -> bool:
        """Whether an ingress proxy runs in a pod."""
        return bool(self.proxies_of(pod))

    def is_troubled(self, pod: JsonObject) -> bool:
        """Whether nobody needs to wait for it: it is not well on purpose."""
        names = [container["name"] for container in pod["spec"]["containers"]]
        proxies = self.proxies_of(pod)
        victims = (Victim(pod, name, name in proxies) for name in names)
        return self.mishaps.is_unready(pod) or any(map(self.mishaps.crashes, victims))

    async def exec_argv(
        self, key: Key, container: str | None, command: Sequence[str], *, tty: bool
    ) -> list[str]:
        """The command that, run in the sandbox, runs `command` in a container. Raises ApiError."""
        try:
            return list(await self._runtime.exec_argv(self._store.get(key), container, command, tty=tty))
        except UnknownPodError as error:
            raise ApiError(404, "NotFound", str(error)) from error
        except StartError as error:
            raise ApiError(409, "Conflict", str(error)) from error

    async def logs(
        self, key: Key, container: str | None, *, previous: bool, follow: bool
    ) -> AsyncIterator[str]:
        """What a container wrote, in pieces; with `follow` also what it goes on to write. Raises ApiError."""
        pod = self._store.get(key)
        try:
            if follow and not previous:
                async for piece in self._runtime.follow(pod, container):
                    yield piece.decode(errors="replace")
            else:
                yield self._runtime.logs(pod, container, previous=previous).decode(errors="replace")
        except UnknownPodError as error:
            raise ApiError(404, "NotFound", str(error)) from error

    def _write_status(self, key: Key, uid: str, status: JsonObject) -> None:
        """Merge what the runtime reports into the pod's status.

        Addresses and the scheduler's condition stay as the control loops wrote them, and while the node is
        not ready so does the pod's condition Ready. From a node that is lost nothing is heard.
        """
        current = self._store.find(key)
        if not self._reports or current is None or current["metadata"]["uid"] != uid:
            return
        self._said[uid] = status
        node = self._store.find(Key("Node", "", node_name(current)))
        if is_lost(node):
            return
        old = current.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        conditions |= {c["type"]: c for c in old.get("conditions") or () if c["type"] not in conditions}
        scheduled = [c for c in old.get("conditions") or () if c["type"] == "PodScheduled"]
        conditions |= {c["type"]: c for c in scheduled}
        if node is not None and not is_true(node, "Ready"):
            conditions |= {c["type"]: c for c in old.get("conditions") or () if c["type"] == "Ready"}
        merged = {**old, **status, "conditions": list(conditions.values())}
        metadata = {
            field: value for field, value in current["metadata"].items() if field != "resourceVersion"
        }
        self._store.replace_status({**current, "metadata": metadata, "status": merged})

    def _write_event(self, pod: JsonObject, kind: str, reason: str, message: str) -> None:
        """Record a core/v1 Event about a pod, as the kubelet does: the same one again only counts up."""
        news = News(pod, reason, message, "kubelet", kind, node_name(pod))
        change = told(news, self._store.find(news.key), datetime.now(UTC))
        try:
            if isinstance(change, Update):
                self._store.replace(change.obj)
            else:
                self._store.create(change.obj)
        except ApiError as error:
            log.warning("event about %s lost: %s", key_of(pod), error)

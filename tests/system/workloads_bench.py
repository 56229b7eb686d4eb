"""A node, pods and a container runtime for the cases of `workloads_lab.py`; runs inside a sandbox."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.api.objects import JsonObject, Key, key_of
from emulator.workloads.runtime import NodeSite, PodRuntime
from emulator.workloads.timing import Timing

NODE = "10.9.0.1"
BUSY = {"name": "main", "image": "busybox", "command": ["sleep", "infinity"]}


@dataclass(frozen=True)
class Output:
    status: int
    text: str


class Objects:
    """An object store of a few lines."""

    def __init__(self) -> None:
        self._objects: dict[Key, JsonObject] = {}

    def find(self, key: Key) -> JsonObject | None:
        return self._objects.get(key)

    def list(self, kind: str, namespace: str = "") -> Sequence[JsonObject]:
        return [
            o for key, o in self._objects.items() if key.kind == kind and namespace in ("", key.namespace)
        ]

    def put(self, obj: JsonObject) -> Key:
        self._objects[key_of(obj)] = obj
        return key_of(obj)


class Bench:
    """One node with a bridge; every pod hangs on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.objects = Objects()
        self.events: list[tuple[str, str, str]] = []
        self.reports: list[tuple[str, JsonObject]] = []
        self.proxy_files: Mapping[str, str] = {}
        """What ingress proxies start with."""
        self.runtime = PodRuntime(
            directory,
            self.objects,
            self._on_status,
            self._on_event,
            timing=Timing(backoff=0.2),
            configuration=lambda _pod, _container: self.proxy_files,
        )
        self._status: dict[str, JsonObject] = {}
        self._changed = asyncio.Event()
        self._netns: set[str] = set()
        self._pods: dict[str, JsonObject] = {}
        self.node = NodeSite("worker-1", self._add_netns("bench-node"))
        for command in (
            "link add br0 type bridge",
            f"address add {NODE}/16 dev br0",
            "link set br0 up",
        ):
            ip("-n", "bench-node", *command.split())

    async def up(self, *containers: JsonObject, name: str = "pod", **spec: Any) -> JsonObject:
        """Start a pod and return its object."""
        pod, netns = self.wired(*containers, name=name, **spec)
        await self.runtime.start(pod, netns, self.node)
        return pod

    def wired(self, *containers: JsonObject, name: str = "pod", **spec: Any) -> tuple[JsonObject, Path]:
        """A pod's object, and its network namespace on the bridge."""
        number = len(self._pods) + 2
        address = NODE if spec.get("hostNetwork") else f"10.9.{number // 250}.{number % 250}"
        pod: JsonObject = {
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": {"app": name}},
            "spec": {"nodeName": "worker-1", "containers": list(containers), **spec},
            "status": {"podIP": address, "podIPs": [{"ip": address}], "hostIP": NODE},
        }
        self._pods[name] = pod
        if spec.get("hostNetwork"):
            return pod, self.node.netns
        netns = self._add_netns(name)
        ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", f"v{number}", "netns", "bench-node")
        ip("-n", name, "address", "add", f"{address}/16", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", "bench-node", "link", "set", f"v{number}", "master", "br0", "up")
        return pod, netns

    def status(self, name: str = "pod") -> JsonObject:
        """The last status reported."""
        return self._status.get(name, {})

    def container(self, name: str = "pod", number: int = 0) -> JsonObject:
        """The last status of one of its containers."""
        entries = self.status(name).get("containerStatuses") or [{}] * (number + 1)
        entry: JsonObject = entries[number]
        return entry

    def is_ready(self, *names: str) -> bool:
        return all(
            any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in self.status(name).get("conditions", ())
            )
            for name in names
        )

    async def until(self, happened: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait until a status report makes `happened` true."""
        try:
            async with asyncio.timeout(seconds):
                while not happened():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"this never happened; statuses: {self._status}") from None

    async def ready(self, *names: str) -> None:
        await self.until(lambda: self.is_ready(*(names or ("pod",))))

    async def inside(
        self, pod: JsonObject, command: str, container: str | None = None, given: bytes = b""
    ) -> Output:
        """Run a shell command in a container, as `exec` does."""
        return await self.exec(pod, "sh", "-c", command, container=container, given=given)

    async def exec(
        self, pod: JsonObject, *argv: str, container: str | None = None, given: bytes = b""
    ) -> Output:
        return await run(*await self.runtime.exec_argv(pod, container, argv, tty=False), given=given)

    async def fetch(self, pod: JsonObject, url: str, *options: str) -> Output:
        """An HTTP request from a pod's network namespace."""
        return await self.near(pod, "curl", "-sS", "-m5", *options, url)

    async def near(self, pod: JsonObject, *argv: str, given: bytes = b"") -> Output:
        """Run one of the host's programs in a pod's network namespace."""
        netns = f"/run/netns/{pod['metadata']['name']}"
        return await run("nsenter", f"--net={netns}", *argv, given=given)

    def close(self) -> None:
        for name in self._netns:
            ip("netns", "delete", name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _add_netns(self, name: str) -> Path:
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        self._netns.add(name)
        return Path("/run/netns", name)

    def _on_status(self, key: Key, _uid: str, status: JsonObject) -> None:
        self._status[key.name] = status
        self.reports.append((key.name, status))
        self._changed.set()

    def _on_event(self, pod: JsonObject, kind: str, reason: str, message: str) -> None:
        self.events.append((kind, reason, message))
        self._changed.set()


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """A bench with an open runtime, cleared away afterwards."""
    made = Bench(Path(tempfile.mkdtemp(prefix="workloads-")))
    try:
        await made.runtime.open()
        yield made
        await made.runtime.close()
    finally:
        made.close()


def address(pod: JsonObject) -> str:
    return str(pod["status"]["podIP"])


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


async def run(*argv: str, given: bytes = b"") -> Output:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(30):
        text, _ = await process.communicate(given)
    assert process.returncode is not None
    return Output(process.returncode, text.decode(errors="replace"))


def shell(script: str, **fields: object) -> JsonObject:
    return {"name": "main", "image": "busybox", "command": ["sh", "-c", script], **fields}


def image(name: str, *args: str, **fields: object) -> JsonObject:
    return {"name": "main", "image": name, "args": list(args), **fields}


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def exists(path: str) -> bool:
    return os.path.lexists(path)

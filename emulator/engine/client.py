"""The cluster as Python sees it: a client of the run's Unix socket, from any process of its user.

`Cluster.up` starts one, `Cluster.connect` finds one; the verbs are those of the command line.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urlencode

from emulator import sandbox
from emulator.api.client import MERGE_PATCH, Client, ClusterUnreachableError
from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject, Key, key_of
from emulator.cluster.places import MACHINES, parse_place
from emulator.engine.asking import Asking
from emulator.engine.attending import attended
from emulator.engine.faulting import Faulting
from emulator.engine.inspecting import Inspecting
from emulator.engine.manifests import Manifests, read, settled
from emulator.engine.readiness import Readiness
from emulator.engine.results import Applied, ClusterNotFound, Finished

DEFAULT_TOPOLOGY = "three-node"
DEFAULT_NAME = "default"

_INTERRUPTIBLE = ("env", "--default-signal=INT")
"""Before a command in the sandbox: what leads there ignores Ctrl-C, and the command would inherit that."""


class Cluster(Asking, Faulting, Inspecting):
    """A running cluster. Timeouts are in seconds; `namespace=None` means all of them."""

    def __init__(self, box: sandbox.Sandbox) -> None:
        self.sandbox = box
        """The namespaces it lives in, for tests that look behind the scenes."""
        self.warnings: tuple[str, ...] = ()
        """What was said of the objects that it was started with."""
        self._client = Client(box.socket)

    @classmethod
    def up(
        cls,
        topology: str | Path = DEFAULT_TOPOLOGY,
        manifests: Manifests = (),
        *,
        name: str = DEFAULT_NAME,
        nodes: int | None = None,
        families: str | None = None,
        offload: bool = False,
        datapath: str = "netdev",
        timeout: float = 60.0,
    ) -> Cluster:
        """Start a cluster with these objects in it; returns when it answers, `wait_ready` when it is ready.

        It ends with this process unless `detach` is called.

        `topology` is the name of a shipped one or a file; `families` (`IPv6`, or two with a comma, the
        primary one first) restricts it. Raises ManifestError for a topology or manifest that cannot be,
        ApiError for an object that is refused (nothing is left running), and sandbox.SandboxError when this
        machine cannot run it.
        """
        from emulator.engine.start import start

        cluster = cls(start(topology, nodes, families, name=name, offload=offload, datapath=datapath))
        try:
            cluster._expect_engine(timeout)
            if manifests:
                cluster.warnings = cluster.apply(manifests, timeout=timeout).warnings
        except BaseException:
            cluster.down()
            raise
        return cluster

    @classmethod
    def connect(cls, name: str = DEFAULT_NAME) -> Cluster:
        """The running cluster of that name. Raises ClusterNotFound."""
        box = sandbox.find(name)
        if box is None:
            running = ", ".join(sorted(other.name for other in sandbox.all())) or "none"
            hint = (
                f"start one with: mininetes up --name {name}"
                if name != DEFAULT_NAME
                else "start one with: mininetes up"
            )
            raise ClusterNotFound(f"no cluster named {name!r} is running (running: {running})", hint)
        return cls(box)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def name(self) -> str:
        """The name it was started under."""
        return self.sandbox.name

    @property
    def run_dir(self) -> Path:
        """Where its logs and state lie while it runs."""
        return self.sandbox.run_dir

    def down(self) -> None:
        """Stop it; returns when nothing is left."""
        self._client.close()
        self.sandbox.stop()

    def detach(self) -> None:
        """Let it live on when this process ends; without, it ends with the process that started it."""
        self.sandbox.detach()

    # Objects

    def apply(self, manifests: Manifests, namespace: str = "default", timeout: float = 60.0) -> Applied:
        """Create or change objects and wait until that is in force.

        Raises ApiError for the first object that is refused (ManifestError, with its place, for one that was
        loaded from a file); those before it stay applied.
        """
        started = time.monotonic()
        found = read(manifests)
        objects = [settled(manifest, namespace) for manifest in found]
        changed: list[tuple[Key, str]] = []
        warnings: list[str] = []
        results = self._client.apply_all(objects)
        for manifest, obj, result in zip(found, objects, results, strict=True):
            if "error" in result:
                error = ApiError.from_status(result["error"])
                raise error if isinstance(manifest, dict) else manifest.refused(error)
            changed.append((key_of(result.get("object", obj)), str(result["result"])))
            warnings.extend(result.get("warnings", ()))
        return Applied(tuple(changed), tuple(warnings), self._wait(started, timeout))

    def delete(
        self,
        manifests: Manifests,
        namespace: str = "default",
        timeout: float = 60.0,
        grace_seconds: int | None = None,
    ) -> Applied:
        """Delete objects (only kind and metadata are looked at) and wait until that is in force.

        `grace_seconds` is for pods; None takes each one's own.
        """
        started = time.monotonic()
        changed = []
        for manifest in reversed(read(manifests)):
            key = key_of(settled(manifest, namespace))
            try:
                where = key.namespace or "default"
                self._client.delete(key.kind, key.name, where, grace_seconds=grace_seconds)
                changed.append((key, "deleted"))
            except ApiError as error:
                if error.code != 404:
                    raise
                changed.append((key, "absent"))
        return Applied(tuple(changed), (), self._wait(started, timeout))

    def get(
        self, kind: str, name: str | None = None, namespace: str | None = None, selector: str | None = None
    ) -> Any:
        """One object, or a list of them. Raises ApiError (404) when there is no such object."""
        if name is not None:
            return self._client.get(kind, name, namespace or "default")
        return self._client.list(kind, namespace or "", labels=selector or "")

    def patch(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        subresource: str = "",
        media_type: str = MERGE_PATCH,
    ) -> JsonObject:
        """Change an object by a patch: merge (RFC 7386), strategic merge, or JSON patch (RFC 6902)."""
        where = namespace or "default"
        return self._client.patch(kind, name, patch, where, content_type=media_type, subresource=subresource)

    def watch(
        self, kind: str, namespace: str | None = None, selector: str | None = None
    ) -> Iterator[JsonObject]:
        """Events `{"type": ..., "object": ...}`: everything there is first, then what happens."""
        return self._client.watch(kind, namespace or "", labels=selector or "")

    def wait_ready(self, timeout: float = 60.0) -> Readiness:
        """Wait until the network is in force, or the deadline."""
        return self._wait(time.monotonic(), timeout)

    def wait_for(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        accept: Callable[[JsonObject | None], bool],
        timeout: float = 60.0,
    ) -> JsonObject | None:
        """Watch one object until `accept` is content with it (None: it does not exist).

        Raises TimeoutError with the last state in its arguments.
        """
        query = urlencode(
            {"kind": kind, "name": name, "namespace": namespace or "default", "timeout": timeout}
        )
        last: JsonObject | None = None
        with closing(self._client.stream("GET", f"/mininetes/v1/follow?{query}")) as states:
            for state in states:
                last = state.get("object")
                if accept(last):
                    return last
        raise TimeoutError(f"{kind} {name} did not get there within {timeout:g} s", last)

    def status(self) -> JsonObject:
        """What runs: nodes, bridges with their flows, versions, errors of the controller."""
        answer: JsonObject = self._client.request("GET", "/mininetes/v1/status")
        return answer

    # Traffic

    def probe(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        namespace: str = "default",
        count: int = 1,
        http: str | None = None,
        family: int | None = None,
        packet: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        interval: float | None = None,
        exchanges: int | None = None,
        size: int | None = None,
        dont_fragment: bool | None = None,
        source_port: int | None = None,
        captures: Sequence[Mapping[str, Any]] = (),
        checks: Sequence[Mapping[str, Any]] = (),
    ) -> JsonObject:
        """Send real traffic; the answer is the `Probe` contract. Raises ApiError (404, 400).

        `ProbeRequest` (`emulator.probes.request`) says what the options mean; `checks` are claims about
        captured packets (`emulator.probes.checks`), answered in the report.
        """
        body = {
            "from": source,
            "to": target,
            "port": port,
            "namespace": namespace,
            "count": count,
            "http": http,
            "family": family,
            "packet": dict(packet) if packet else None,
            "timeout": timeout,
            "interval": interval,
            "exchanges": exchanges,
            "size": size,
            "dontFragment": dont_fragment,
            "sourcePort": source_port,
            "captures": [dict(capture) for capture in captures],
            "checks": [dict(check) for check in checks],
        }
        given = {field: value for field, value in body.items() if value is not None}
        answer: JsonObject = self._client.request("POST", "/mininetes/v1/probe", given)
        return answer

    def start_load(self, streams: Sequence[Mapping[str, Any]], *, namespace: str = "default") -> str:
        """Begin a steady load and return its id. Raises ApiError.

        A stream is `{"from", "to", "port", "rate"}`, perhaps with `http` (a path), `family`, `timeout`.
        """
        body = {"streams": [dict(stream) for stream in streams], "namespace": namespace}
        return str(self._client.request("POST", "/mininetes/v1/loads", body)["load"])

    def stop_load(self, load: str, sent: int = 0, *, records: bool = False) -> JsonObject:
        """End a load once it has made `sent` requests; the answer is the `Load` contract.

        `records` adds all requests. Raises ApiError 404.
        """
        path = f"/mininetes/v1/loads/{load}?{urlencode({'sent': sent, 'records': str(records).lower()})}"
        answer: JsonObject = self._client.request("DELETE", path)
        return answer

    def capture(
        self,
        places: Sequence[str],
        *,
        filter: str = "",
        seconds: float | None = None,
        count: int | None = None,
        file: BinaryIO | None = None,
    ) -> Iterator[JsonObject]:
        """`{"armed": [places]}`, then packets as they pass; with `file` they are written there as pcapng.

        `filter` is an expression of tcpdump's. Raises ApiError.
        """
        body = {"places": list(places), "filter": filter, "seconds": seconds, "count": count}
        given = {field: value for field, value in body.items() if value is not None}
        for line in self._client.stream(
            "POST", "/mininetes/v1/capture", {**given, "pcapng": file is not None}
        ):
            if file is None or "armed" in line:
                yield line
            else:
                file.write(bytes.fromhex(line["pcapng"]))
                file.flush()

    # Inside pods

    def exec(
        self, pod: str, command: Sequence[str], container: str | None = None, timeout: float = 60.0
    ) -> Finished:
        """Run a command in a pod's container and keep what it wrote. `pod` is `namespace/name`.

        A node, a host outside or a router of kind `bgp` will do as well: `node/worker-1`, `router/tor`.
        Raises subprocess.TimeoutExpired, and ApiError for a pod or container that does not run.
        """
        argv = self._exec_argv(pod, command, container, tty=False)
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
        return Finished(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def attach(
        self, pod: str, command: Sequence[str], container: str | None = None, *, tty: bool = False
    ) -> int:
        """Run a command in a pod's container on this process's own stdin, stdout and stderr."""
        argv = self._exec_argv(pod, command, container, tty=tty)
        return attended(argv) if tty else subprocess.call(argv)

    def logs(
        self, pod: str, container: str | None = None, *, previous: bool = False, follow: bool = False
    ) -> Iterator[str]:
        """What a container wrote, in pieces as they come. `pod` is `namespace/name`."""
        place = parse_place(pod)
        query = {
            "container": container or "",
            "previous": str(previous).lower(),
            "follow": str(follow).lower(),
        }
        path = f"/mininetes/v1/logs/{place.namespace}/{place.name}?{urlencode(query)}"
        for line in self._client.stream("GET", path):
            yield line["text"]

    def shell(self) -> int:
        """Mininet's prompt, on this process's terminal."""
        python = [sys.executable, "-m", "emulator.network.prompt"]
        return attended(self.sandbox.command([*_INTERRUPTIBLE, *python]))

    def _exec_argv(self, pod: str, command: Sequence[str], container: str | None, *, tty: bool) -> list[str]:
        place = parse_place(pod)
        where = (
            {"place": str(place)}
            if place.kind in MACHINES
            else {"namespace": place.namespace, "pod": place.name, "container": container}
        )
        body = {**where, "command": list(command), "tty": tty}
        answer = self._client.request("POST", "/mininetes/v1/exec-argv", body)
        return list(self.sandbox.command([*_INTERRUPTIBLE, *answer["argv"]]))

    def _expect_engine(self, timeout: float) -> None:
        """Wait until requests are answered. Raises SandboxError, with the reason, when they never will be."""
        try:
            self.sandbox.wait("engine", timeout)
        except TimeoutError:
            message = f"the engine was not ready within {timeout:g} s"
            raise sandbox.SandboxError(message, log=self.sandbox.log("engine")) from None

    def _wait(self, started: float, timeout: float) -> Readiness:
        """Wait until everything is in force. An engine that dies meanwhile is asked again when it is back."""
        deadline = started + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                with closing(Client(self.sandbox.socket, timeout=left + 30.0)) as patient:
                    answer = patient.request("GET", f"/mininetes/v1/ready?timeout={left:.3f}")
                break
            except ClusterUnreachableError as error:
                if left and self.sandbox.alive():
                    continue
                raise sandbox.SandboxError(
                    f"cluster {self.name!r} has ended", log=self.sandbox.log("engine")
                ) from error
        readiness = Readiness.from_json({**answer, "seconds": time.monotonic() - started})
        if readiness.impossible:
            raise sandbox.SandboxError(readiness.impossible)
        return readiness

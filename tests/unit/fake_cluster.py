"""A cluster for tests of what stands in front of one: objects in a dictionary, probes that answer as told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.api.client import MERGE_PATCH
from emulator.api.errors import not_found
from emulator.api.kinds import kind_named
from emulator.api.objects import JsonObject, Key, key_of
from emulator.api.selectors import matches_all, parse


@dataclass(frozen=True)
class Readiness:
    ready: bool = True
    missing: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    seconds: float = 0.1
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    changed: tuple[tuple[Key, str], ...]
    warnings: tuple[str, ...] = ()
    ready: Readiness = Readiness()


@dataclass(frozen=True)
class Finished:
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""


def report(source: str, target: str, port: str | None, outcome: str = "connected", **more: Any) -> JsonObject:
    """A Probe report of one attempt."""
    return {
        "apiVersion": "mininetes.io/v1",
        "kind": "Probe",
        "from": source,
        "to": target,
        "port": port,
        "outcome": outcome,
        "outcomes": {outcome: 1},
        "endpoints": {},
        "sourceSeen": [],
        "seen": [],
        "spec": None,
    } | more


@dataclass
class FakeCluster:
    name: str = "default"
    run_dir: Path = Path("/nonexistent")
    warnings: Sequence[str] = ()
    objects: dict[Key, JsonObject] = field(default_factory=dict)
    answer: Callable[..., JsonObject] = report
    """Makes the report of a probe from source, target and port."""
    readiness: Readiness = Readiness()
    finished: Finished = Finished()
    log: str = ""
    load: JsonObject = field(default_factory=dict)
    """What became of a load."""
    reachability: JsonObject = field(default_factory=dict)
    """The answer to every matrix."""
    packets: Sequence[JsonObject] = ()
    events: Sequence[JsonObject] = ()
    """What a watch tells after what there is."""
    probes: list[tuple[str, str, str | None]] = field(default_factory=list)
    traced: JsonObject = field(default_factory=dict)
    diagnosed: JsonObject = field(default_factory=dict)
    installed: Sequence[JsonObject] = ()
    drifted: JsonObject = field(default_factory=lambda: {"kind": "Drift", "items": [], "healed": []})
    active: Sequence[JsonObject] = ()
    """The faults that it suffers from."""
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    is_down: bool = False
    is_detached: bool = False

    def add(self, *objects: JsonObject) -> FakeCluster:
        for obj in objects:
            self.objects[key_of(obj)] = obj
        return self

    def trace(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        family: int | None = None,
        live: bool = False,
    ) -> JsonObject:
        self.calls.append(("trace", source, target, port, family))
        return self.traced

    def diagnose(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        http: str | None = None,
        family: int | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        self.calls.append(("diagnose", source, target, port, http, family, timeout))
        return self.diagnosed

    def flows(self, node: str | None = None) -> Sequence[JsonObject]:
        self.calls.append(("flows", node))
        return self.installed

    def drift(self, node: str | None = None, *, heal: bool = False) -> JsonObject:
        self.calls.append(("drift", node, heal))
        return self.drifted

    def down(self) -> None:
        self.is_down = True

    def detach(self) -> None:
        self.is_detached = True

    def apply(self, manifests: Sequence[Any], namespace: str = "default", timeout: float = 60.0) -> Applied:
        changed = []
        for manifest in manifests:
            obj = _settled(manifest, namespace)
            changed.append((key_of(obj), "configured" if key_of(obj) in self.objects else "created"))
            self.add(obj)
        return Applied(tuple(changed), (), self.readiness)

    def delete(
        self,
        manifests: Sequence[Any],
        namespace: str = "default",
        timeout: float = 60.0,
        grace_seconds: int | None = None,
    ) -> Applied:
        self.calls.append(("delete", grace_seconds))
        keys = [key_of(_settled(manifest, namespace)) for manifest in manifests]
        changed = tuple((key, "deleted" if self.objects.pop(key, None) else "absent") for key in keys)
        return Applied(changed, (), self.readiness)

    def get(
        self, kind: str, name: str | None = None, namespace: str | None = None, selector: str | None = None
    ) -> Any:
        if name is not None:
            key = Key(kind, namespace or "", name)
            if key not in self.objects:
                raise not_found(kind_named(kind), name)
            return self.objects[key]
        return [
            obj
            for key, obj in self.objects.items()
            if key.kind == kind and namespace in (None, key.namespace)
            if matches_all(parse(selector or ""), obj["metadata"].get("labels"))
        ]

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
        before: JsonObject = self.get(kind, name, namespace)
        self.calls.append(("patch", kind, namespace, name, patch, media_type))
        return before

    def watch(
        self, kind: str, namespace: str | None = None, selector: str | None = None
    ) -> Iterable[JsonObject]:
        for obj in self.get(kind, None, namespace, selector):
            yield {"type": "ADDED", "object": obj}
        yield from self.events

    def wait_ready(self, timeout: float = 60.0) -> Readiness:
        return self.readiness

    def wait_for(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        accept: Callable[[JsonObject | None], bool],
        timeout: float = 60.0,
    ) -> JsonObject | None:
        obj = self.objects.get(Key(kind, namespace or "", name))
        if not accept(obj):
            raise TimeoutError(f"{kind} {name} did not get there within {timeout:g} s", obj)
        return obj

    def probe(self, source: str, target: str, port: str | None = None, **options: Any) -> JsonObject:
        self.probes.append((source, target, port))
        self.calls.append(("probe", source, target, port, options))
        return self.answer(source, target, port)

    def matrix(self, ports: Sequence[str] = ("80/tcp",), **options: Any) -> JsonObject:
        self.calls.append(("matrix", tuple(ports), options))
        return self.reachability

    def inject(self, fault: str, **arguments: Any) -> JsonObject:
        self.calls.append(("inject", fault, arguments))
        did = [f"did {fault}"]
        return {"kind": "Fault", "name": f"{fault}-1", "fault": fault, "arguments": arguments, "did": did}

    def clear(self, *names: str) -> Sequence[JsonObject]:
        self.calls.append(("clear", *names))
        return self.active

    def faults(self) -> Sequence[JsonObject]:
        return self.active

    def start_load(self, streams: Sequence[Mapping[str, Any]], *, namespace: str = "default") -> str:
        self.calls.append(("load", tuple(streams)))
        return "7"

    def stop_load(self, load: str, sent: int = 0, *, records: bool = False) -> JsonObject:
        self.calls.append(("stop load", load))
        return self.load

    def exec(
        self, pod: str, command: Sequence[str], container: str | None = None, timeout: float = 60.0
    ) -> Finished:
        self.calls.append(("exec", pod, tuple(command), container))
        return self.finished

    def attach(
        self, pod: str, command: Sequence[str], container: str | None = None, *, tty: bool = False
    ) -> int:
        self.calls.append(("attach", pod, tuple(command), container, tty))
        return self.finished.exit_code

    def logs(
        self, pod: str, container: str | None = None, *, previous: bool = False, follow: bool = False
    ) -> Iterable[str]:
        self.calls.append(("logs", pod, container, previous, follow))
        return iter([self.log])

    def capture(self, places: Sequence[str], **options: Any) -> Iterable[JsonObject]:
        self.calls.append(("capture", tuple(places), options))
        return iter(self.packets)

    def shell(self) -> int:
        return 0


def _settled(manifest: Any, namespace: str) -> JsonObject:
    obj: Mapping[str, Any] = manifest if isinstance(manifest, dict) else manifest.object
    metadata = dict(obj["metadata"])
    if kind_named(obj["kind"]).namespaced:
        metadata.setdefault("namespace", namespace)
    return {**obj, "metadata": metadata}


def pod(
    name: str,
    namespace: str = "shop",
    node: str = "worker-1",
    ip: str = "10.244.1.3",
    owner: JsonObject | None = None,
) -> JsonObject:
    """A pod that runs and is ready."""
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2026-11-23T00:00:00Z"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata | ({"ownerReferences": [owner]} if owner else {}),
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "nginx"}]},
        "status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "main", "ready": True, "restartCount": 0, "state": {"running": {}}}
            ],
        },
    }


def node(name: str, address: str = "192.168.50.11", pod_cidr: str = "10.244.1.0/24") -> JsonObject:
    """A node that is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"podCIDRs": [pod_cidr]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }

"""A cluster without a network: the real store, admission and control loops, and a kubelet that obeys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject, Key
from emulator.api.store import Store
from emulator.cluster.admission import Admission
from emulator.cluster.changes import apply_changes
from emulator.cluster.manager import reconcile, settle
from emulator.cluster.model import ClusterState
from emulator.cluster.plan import wire
from emulator.cluster.pods import condition, is_finished, is_terminating, node_name
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import state_of
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Wiring

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
START = datetime(2026, 1, 1, tzinfo=UTC)


def shipped(name: str) -> JsonObject:
    """A shipped topology as an object."""
    found: JsonObject = yaml.safe_load((TOPOLOGIES / f"{name}.yaml").read_text())
    return found


def wiring_of(name: str = "three-node", nodes: int | None = None) -> Wiring:
    return wire(parse_topology(shipped(name), nodes=nodes))


class Lab:
    def __init__(self, wiring: Wiring | None = None, seed: int = 0) -> None:
        self.wiring = wiring or wiring_of()
        self.now = START
        uids = count(1)
        self.admission = Admission(self.wiring, lambda kind: self.store.list(kind), seed=seed)
        self.store = Store(
            None, self.admission.admit, now=lambda: self.now, new_uid=lambda: f"uid-{next(uids):04}"
        )
        self.settle()

    # -- time and loops

    def settle(self) -> None:
        refusals = settle(self.store, self.wiring, self.now)
        assert refusals == (), refusals

    def round(self) -> bool:
        """One round of the loops; whether anything changed."""
        before = self.store.resource_version
        apply_changes(self.store, reconcile(self.snapshot(), self.now))
        return self.store.resource_version != before

    def snapshot(self) -> Snapshot:
        return Snapshot(self.store.objects(), self.wiring)

    def state(self) -> ClusterState:
        return state_of(self.snapshot())

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- users

    def apply(self, *objects: JsonObject) -> None:
        for obj in objects:
            self.store.create(obj)
        self.settle()

    def run(self, *objects: JsonObject) -> None:
        """Apply, and let everything become ready."""
        self.apply(*objects)
        self.obey()

    def change(
        self, kind: str, name: str, edit: Callable[[JsonObject], None], namespace: str = "default"
    ) -> None:
        from emulator.api.objects import copy_json

        obj = copy_json(self.store.get(Key(kind, namespace, name)))
        edit(obj)
        self.store.replace(obj)
        self.settle()

    def scale(self, kind: str, name: str, replicas: int) -> None:
        self.change(kind, name, lambda obj: obj["spec"].update(replicas=replicas))

    def delete(self, kind: str, name: str, namespace: str = "default", grace: int | None = None) -> None:
        self.store.delete(Key(kind, namespace, name), grace_seconds=grace)
        self.settle()

    def get(self, kind: str, name: str, namespace: str = "default") -> JsonObject:
        return self.store.get(Key(kind, namespace, name))

    def pods(self, **labels: str) -> list[JsonObject]:
        return [
            pod
            for pod in self.store.list("Pod")
            if labels.items() <= (pod["metadata"].get("labels") or {}).items()
        ]

    def names(self, **labels: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods(**labels)]

    def nodes_of(self, **labels: str) -> list[str]:
        return [node_name(pod) for pod in self.pods(**labels)]

    # -- the kubelet

    def obey(self) -> None:
        """Start what is bound, end what terminates, until nothing is left to do."""
        while self.kubelet():
            self.settle()

    def kubelet(self) -> bool:
        """One step: whether it had anything to do."""
        busy = False
        for pod in self.store.list("Pod"):
            if is_terminating(pod):
                self.store.delete(
                    Key("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"]), grace_seconds=0
                )
                busy = True
            elif (
                (pod.get("status") or {}).get("podIP")
                and not is_finished(pod)
                and condition(pod, "Ready") is None
            ):
                self.set_ready(pod)
                busy = True
        return busy

    def set_ready(self, pod: JsonObject, ready: bool = True) -> None:
        status = dict(self.get("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])["status"])
        others = [c for c in status.get("conditions", ()) if c["type"] != "Ready"]
        value = {"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp(self.now)}
        status.update(phase="Running", conditions=[*others, value])
        self.store.replace_status({**self.get_pod(pod), "status": status})

    def finish(self, pod: JsonObject, phase: str) -> None:
        current = self.get_pod(pod)
        self.store.replace_status({**current, "status": {**current["status"], "phase": phase}})
        self.settle()

    def get_pod(self, pod: JsonObject) -> JsonObject:
        return self.get("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])


# -- objects ---------------------------------------------------------------------------------------


def pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> JsonObject:
    metadata: JsonObject = {"name": name, "labels": labels if labels is not None else {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(**spec)}


def pod_spec(**spec: Any) -> JsonObject:
    return {"containers": [{"name": "main", "image": "nginx", "ports": spec.pop("ports", [])}], **spec}


def workload(kind: str, name: str, template: JsonObject | None = None, **spec: Any) -> JsonObject:
    api = "batch/v1" if kind == "Job" else "apps/v1"
    body: JsonObject = {
        "template": {"metadata": {"labels": {"app": name}}, "spec": template or pod_spec()},
        **spec,
    }
    if kind != "Job":
        body["selector"] = {"matchLabels": {"app": name}}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": body}


def service(name: str, ports: Iterable[JsonObject] = ({"port": 80},), **spec: Any) -> JsonObject:
    metadata = {"name": name}
    body = {"selector": {"app": name}, "ports": [dict(port) for port in ports], **spec}
    if body["selector"] is None:
        del body["selector"]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}


def set_image(image: str) -> Any:
    return lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(image=image)

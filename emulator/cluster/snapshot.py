"""What the control loops look at: all objects at one moment, and the wiring they live on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from emulator.api.objects import JsonObject
from emulator.cluster.wiring import Wiring

Objects = Mapping[tuple[str, str], JsonObject]
"""The objects of one kind by (namespace, name)."""

_NONE: Objects = {}


@dataclass(frozen=True)
class Snapshot:
    """All objects by kind. Objects are shared with the store: loops copy what they change."""

    objects: Mapping[str, Objects]
    wiring: Wiring

    def all(self, kind: str) -> Iterable[JsonObject]:
        """Every object of a kind, in the order of namespaces and names."""
        found = self.objects.get(kind, _NONE)
        return (found[key] for key in sorted(found))

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """One object, or None."""
        return self.objects.get(kind, _NONE).get((namespace, name))

    @cached_property
    def pods(self) -> tuple[JsonObject, ...]:
        """Every pod, in the order of namespaces and names."""
        return tuple(self.all("Pod"))

    @cached_property
    def pods_by_namespace(self) -> Mapping[str, tuple[JsonObject, ...]]:
        """The pods of each namespace that has any."""
        found: dict[str, list[JsonObject]] = {}
        for pod in self.pods:
            found.setdefault(pod["metadata"].get("namespace", ""), []).append(pod)
        return {namespace: tuple(pods) for namespace, pods in found.items()}

    @cached_property
    def _labelled(self) -> Mapping[tuple[str, str, str], tuple[JsonObject, ...]]:
        found: dict[tuple[str, str, str], list[JsonObject]] = {}
        for pod in self.pods:
            metadata = pod["metadata"]
            for key, value in (metadata.get("labels") or {}).items():
                found.setdefault((metadata.get("namespace", ""), key, value), []).append(pod)
        return {label: tuple(pods) for label, pods in found.items()}

    def labelled(self, namespace: str, labels: Mapping[str, str]) -> Iterator[JsonObject]:
        """The pods of a namespace that carry all these labels, in the order of names."""
        groups = [self._labelled.get((namespace, key, value), ()) for key, value in labels.items()]
        if not groups:
            yield from self.pods_by_namespace.get(namespace, ())
            return
        for pod in min(groups, key=len):
            own = pod["metadata"]["labels"]
            if all(own.get(key) == value for key, value in labels.items()):
                yield pod

    @cached_property
    def orphans(self) -> Mapping[str, tuple[JsonObject, ...]]:
        """The pods without a controller, by namespace."""
        found = {
            namespace: tuple(pod for pod in pods if controller_of(pod) is None)
            for namespace, pods in self.pods_by_namespace.items()
        }
        return {namespace: pods for namespace, pods in found.items() if pods}

    @cached_property
    def pod_names(self) -> Mapping[str, frozenset[str]]:
        """The names of the pods of each namespace."""
        return {
            namespace: frozenset(pod["metadata"]["name"] for pod in pods)
            for namespace, pods in self.pods_by_namespace.items()
        }

    @cached_property
    def _owned(self) -> Mapping[str, tuple[JsonObject, ...]]:
        found: dict[str, list[JsonObject]] = {}
        for kind in ("Pod", "ReplicaSet"):
            for obj in self.all(kind):
                owner = controller_of(obj)
                if owner:
                    found.setdefault(owner["uid"], []).append(obj)
        return {uid: tuple(objects) for uid, objects in found.items()}

    def owned(self, owner: JsonObject, kind: str) -> Iterator[JsonObject]:
        """The pods or ReplicaSets that `owner` controls, in the order of names."""
        return (obj for obj in self._owned.get(owner["metadata"]["uid"], ()) if obj["kind"] == kind)


def controller_of(obj: JsonObject) -> JsonObject | None:
    """The owner reference with `controller: true`, if any."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            found: JsonObject = owner
            return found
    return None

"""All objects at one moment, and what the oracle reads in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """Pods, Services and Nodes at one moment, as the API server has them."""

    pods: tuple[Json, ...]
    services: tuple[Json, ...]
    nodes: tuple[Json, ...] = field(default=())

    @classmethod
    def of(cls, objects: Iterable[Json]) -> World:
        """The world of these objects; kinds that do not matter are left out."""
        listed = list(objects)

        def of_kind(kind: str) -> tuple[Json, ...]:
            return tuple(obj for obj in listed if obj["kind"] == kind)

        return cls(of_kind("Pod"), of_kind("Service"), of_kind("Node"))

    def service(self, namespace: str, name: str) -> Json | None:
        """The Service of that name, if there is one."""
        for service in self.services:
            metadata = service["metadata"]
            if (metadata.get("namespace"), metadata["name"]) == (namespace, name):
                return service
        return None

    def selected(self, service: Json) -> Iterator[Json]:
        """The pods that a Service's selector means; none without a selector."""
        selector = service["spec"].get("selector") or {}
        if not selector:
            return
        for pod in self.pods:
            metadata = pod["metadata"]
            if metadata.get("namespace") != service["metadata"].get("namespace"):
                continue
            labels = metadata.get("labels") or {}
            if all(labels.get(key) == value for key, value in selector.items()):
                yield pod


def is_ready(pod: Json) -> bool:
    """Its condition Ready is True."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def is_over(pod: Json) -> bool:
    """All its containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_ending(pod: Json) -> bool:
    """Its deletion has been announced."""
    return pod["metadata"].get("deletionTimestamp") is not None


def has_address(pod: Json, family: int) -> bool:
    """It has an address of that family, 4 or 6."""
    status = pod.get("status") or {}
    listed = [entry.get("ip") for entry in status.get("podIPs") or ()] or [status.get("podIP")]
    return any(ip and (":" in ip) == (family == 6) for ip in listed)


def node_of(pod: Json) -> str:
    """The node that it is bound to; empty before."""
    return str(pod["spec"].get("nodeName") or "")


def name_of(pod: Json) -> str:
    """`shop/web-1`."""
    return f"{pod['metadata'].get('namespace', 'default')}/{pod['metadata']['name']}"

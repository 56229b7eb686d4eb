"""Objects for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulator.api.objects import JsonObject, Key, key_of


class Objects:
    """An object store of a few lines."""

    def __init__(self, *objects: JsonObject) -> None:
        self._objects = {key_of(obj): obj for obj in objects}

    def find(self, key: Key) -> JsonObject | None:
        return self._objects.get(key)

    def list(self, kind: str, namespace: str = "") -> Sequence[JsonObject]:
        return [
            o for key, o in self._objects.items() if key.kind == kind and namespace in ("", key.namespace)
        ]

    def put(self, obj: JsonObject) -> None:
        self._objects[key_of(obj)] = obj


def pod(*containers: JsonObject, name: str = "web", **spec: Any) -> JsonObject:
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "labels": {"app": name, "tier": "front"},
            "annotations": {"note": 'say "hi"'},
        },
        "spec": {"nodeName": "worker-1", "containers": list(containers) or [container()], **spec},
        "status": {
            "podIP": "10.244.1.2",
            "podIPs": [{"ip": "10.244.1.2"}, {"ip": "fd00::2"}],
            "hostIP": "10.0.0.1",
        },
    }


def container(name: str = "main", image: str = "nginx", **fields: Any) -> JsonObject:
    return {"name": name, "image": image, **fields}


def service(name: str, ip: str | None, *ports: JsonObject, namespace: str = "shop") -> JsonObject:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "ports": list(ports)},
    }


def config_map(name: str = "config", **data: str) -> JsonObject:
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": data}


def secret(name: str = "secret", **data: str) -> JsonObject:
    return {"kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, "data": data}

"""What a container's specification refers to: other objects, the pod's own fields, its resources."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from emulator.api.objects import JsonObject, Key
from emulator.api.quantity import parse_quantity

NODE_CAPACITY = {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "20Gi"}
"""What `resourceFieldRef` answers for a limit that the container does not set."""


class Objects(Protocol):
    """What containers may refer to; the object store offers it."""

    def find(self, key: Key) -> JsonObject | None:
        """The object, or None."""

    def list(self, kind: str, namespace: str = "") -> Sequence[JsonObject]:
        """The objects of a kind in one namespace (empty: in all)."""


class MissingReferenceError(LookupError):
    """Something that a container needs is not there; the message is what kubelet would say."""


def field_of(pod: JsonObject, path: str) -> str:
    """What a `fieldRef` says about `pod`. Raises MissingReferenceError for a path that is not offered."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    for maps in ("labels", "annotations"):
        entries = metadata.get(maps) or {}
        if path == f"metadata.{maps}":
            return "\n".join(f'{name}="{_escaped(value)}"' for name, value in sorted(entries.items()))
        if path.startswith(f"metadata.{maps}['") and path.endswith("']"):
            return str(entries.get(path[len(f"metadata.{maps}['") : -2], ""))
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName") or "default",
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": ",".join(entry["ip"] for entry in status.get("hostIPs") or ()),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": ",".join(entry["ip"] for entry in status.get("podIPs") or ()),
    }
    if path not in fields:
        raise MissingReferenceError(f"unsupported fieldPath: {path}")
    return str(fields[path])


def resource_of(container: JsonObject, reference: JsonObject) -> str:
    """What a `resourceFieldRef` says about `container`, in units of its divisor, rounded up."""
    kind, _, name = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if kind == "limits":
        text = limits.get(name, NODE_CAPACITY.get(name, "0"))
    else:
        text = requests.get(name, limits.get(name, "0"))
    divisor = parse_quantity(reference.get("divisor") or "1") or Decimal(1)
    return str((parse_quantity(text) / divisor).to_integral_value(ROUND_CEILING))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

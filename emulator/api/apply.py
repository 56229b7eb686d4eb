"""`kubectl apply` on the server: create, or merge three ways with what the last apply said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from emulator.api.merge import three_way
from emulator.api.objects import JsonObject, copy_json
from emulator.api.schema import shape_of

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl's own annotation, so that objects applied by Mininetes can be applied by kubectl, and the
reverse."""


class Result(StrEnum):
    """What an apply did, in kubectl's words."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A manifest, ready to be stored or merged: with itself in the annotation."""

    obj: JsonObject

    @classmethod
    def from_manifest(cls, manifest: JsonObject) -> Wanted:
        """Annotate a copy of `manifest`, less the annotation and the status that it may carry."""
        obj = copy_json(manifest)
        obj.pop("status", None)
        annotations = obj.setdefault("metadata", {}).setdefault("annotations", {})
        annotations.pop(LAST_APPLIED, None)
        text = json.dumps(obj, separators=(",", ":"), sort_keys=True) + "\n"
        annotations[LAST_APPLIED] = text
        return cls(obj)

    def merged_into(self, current: JsonObject) -> JsonObject:
        """The new state of the stored object `current`."""
        shape = shape_of(self.obj["apiVersion"], self.obj["kind"])
        return three_way(last_applied(current), self.obj, current, shape)


def last_applied(obj: JsonObject) -> JsonObject:
    """The manifest of the last apply; empty when there was none (or someone spoilt the annotation)."""
    text = (obj["metadata"].get("annotations") or {}).get(LAST_APPLIED, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

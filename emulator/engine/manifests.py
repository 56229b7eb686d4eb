"""What a user of `Cluster` may call a manifest: an object, one read from a file, or the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from emulator.api.kinds import kind_named
from emulator.api.objects import JsonObject

if TYPE_CHECKING:
    from emulator.api.load import Located

Manifest: TypeAlias = "Located | JsonObject"
Manifests: TypeAlias = "str | Path | Sequence[Located | JsonObject | str | Path]"
"""Objects, or files and directories of manifests."""


def read(manifests: Manifests) -> list[Manifest]:
    """The objects meant: those given, and those in the files and directories named. Raises ManifestError."""
    if isinstance(manifests, (str, Path)):
        manifests = (manifests,)
    found: list[Manifest] = []
    for manifest in manifests:
        if isinstance(manifest, (str, Path)):
            # Reading YAML takes time to import, and most callers have read it already.
            from emulator.api.load import load

            found.extend(load([manifest]).objects)
        else:
            found.append(manifest)
    return found


def settled(manifest: Manifest, namespace: str) -> JsonObject:
    """The object of a manifest, in `namespace` where it names none."""
    obj: JsonObject = manifest if isinstance(manifest, dict) else manifest.object
    if not kind_named(obj["kind"]).namespaced or obj["metadata"].get("namespace"):
        return obj
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}

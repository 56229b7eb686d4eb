"""Where schemas come from: Kubernetes' own, out of the installed package `kubernetes-validate`, and ours.

That package carries the API server's published OpenAPI definitions, one set a release. Only the newest set's
one file is read, as data (14 ms); the package itself and its validator are never imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from emulator.api.kinds import MININETES_GROUP
from emulator.api.objects import JsonObject

_OURS = Path(__file__).parent / "schema"
_REFERENCE = "#/$defs/"
_POLICIES = "policy.networking.k8s.io"
_CUSTOM = frozenset(
    {
        (f"{_POLICIES}/v1alpha1", "AdminNetworkPolicy"),
        (f"{_POLICIES}/v1alpha1", "BaselineAdminNetworkPolicy"),
        (f"{_POLICIES}/v1alpha2", "ClusterNetworkPolicy"),
        (f"{_POLICIES}/v1beta1", "ClusterNetworkPolicy"),
    }
)
"""Kinds that are not Kubernetes' own: clusters get them as CustomResourceDefinitions."""


class SchemaMissingError(RuntimeError):
    """The Kubernetes schema is not installed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One node of a schema, with the definitions that its references mean."""

    node: JsonObject
    definitions: Mapping[str, JsonObject] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the definition that this node refers to (`io.k8s.api.core.v1.Pod`), or empty."""
        return str(self.node.get("$ref", "")).removeprefix(_REFERENCE)

    @property
    def resolved(self) -> JsonObject:
        """The node itself, or the definition that it refers to."""
        name = self.name
        return self.definitions[name] if name else self.node

    def field(self, name: str) -> Shape | None:
        """The shape of an object's field; None when there is no such field."""
        resolved = self.resolved
        found = (resolved.get("properties") or {}).get(name)
        if found is None:
            found = resolved.get("additionalProperties")
        return Shape(found, self.definitions) if isinstance(found, dict) else None

    @property
    def items(self) -> Shape | None:
        """The shape of a list's items."""
        found = self.resolved.get("items")
        return Shape(found, self.definitions) if isinstance(found, dict) else None

    @property
    def patch_strategy(self) -> frozenset[str]:
        """`merge`, `retainKeys`, or nothing: how strategic merge patches treat the field."""
        return frozenset(str(self.node.get("x-kubernetes-patch-strategy", "")).split(",")) - {""}

    @property
    def merge_keys(self) -> tuple[str, ...]:
        """The fields that tell the items of a merged list apart; empty for lists that are replaced as a
        whole."""
        if "merge" not in self.patch_strategy:
            return ()
        keys = self.node.get("x-kubernetes-list-map-keys")
        single = self.node.get("x-kubernetes-patch-merge-key")
        return tuple(keys) if keys else (single,) if single else ()


def shape_of(api_version: str, kind: str) -> Shape | None:
    """The schema of a kind, ours or Kubernetes'; None when neither has it. Raises SchemaMissingError."""
    if api_version.startswith(f"{MININETES_GROUP}/") or (api_version, kind) in _CUSTOM:
        return _our_shape(kind)
    definitions, index = _kubernetes()
    name = index.get((api_version, kind))
    return Shape(definitions[name], definitions) if name else None


def known_kinds() -> Mapping[str, tuple[str, ...]]:
    """Every kind of Kubernetes with the apiVersions that serve it."""
    found: dict[str, tuple[str, ...]] = {}
    for api_version, kind in _kubernetes()[1]:
        found[kind] = (*found.get(kind, ()), api_version)
    return found


def kubernetes_version() -> str:
    """The release whose schema is used, as `v1.37.0`."""
    return _newest().name.removesuffix("-local")


@cache
def _our_shape(kind: str) -> Shape | None:
    path = _OURS / f"{kind.lower()}.json"
    if not path.exists():
        return None
    schema = json.loads(path.read_text())
    return Shape(schema, schema.get("$defs", {}))


@cache
def _kubernetes() -> tuple[Mapping[str, JsonObject], Mapping[tuple[str, str], str]]:
    """All definitions by name, and the name of each (apiVersion, kind)."""
    definitions: dict[str, Any] = json.loads((_newest() / "_definitions.json").read_bytes())["$defs"]
    index = {
        (f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"], gvk["kind"]): name
        for name, definition in definitions.items()
        if "metadata" in definition.get("properties", {})
        for gvk in definition.get("x-kubernetes-group-version-kind", ())
    }
    return definitions, index


@cache
def _newest() -> Path:
    spec = find_spec("kubernetes_validate")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise SchemaMissingError("the Kubernetes schema is not installed: pip install kubernetes-validate")
    sets = (Path(spec.origin).parent / "kubernetes-json-schema").glob("v*-local")
    return max(sets, key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)])

"""What a manifest's `apiVersion` and `kind` mean here: stored, ignored with a word about it, or a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from emulator.api.decode import nearest
from emulator.api.findings import Finding, Reason, required
from emulator.api.kinds import KINDS, MININETES_GROUP, find_kind
from emulator.api.objects import JsonObject
from emulator.api.schema import known_kinds

FILE_KINDS = ("Scenario", "Lab")
"""Kinds of ours that are read from files and never stored."""


class Fate(StrEnum):
    """What becomes of an object."""

    STORED = "stored"
    READ = "read"
    """Ours, and no object of a cluster: a Topology, Scenario or Lab file."""
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Recognised:
    """An object's fate, and for ignored kinds why."""

    fate: Fate
    why: str = ""


_STORAGE = "only ConfigMap, Secret, emptyDir and downwardAPI volumes hold anything here"
_ACCESS = "nothing here asks for permissions"
_WHY_KIND: Mapping[str, str] = {
    "CronJob": "nothing is started by the clock here",
    "ReplicationController": "replaced by Deployment",
    "PersistentVolumeClaim": _STORAGE,
    "PersistentVolume": _STORAGE,
    "StorageClass": _STORAGE,
    "HorizontalPodAutoscaler": "replicas change by `mininetes scale` only",
    "PodDisruptionBudget": "`mininetes drain` evicts all pods at once",
    "CustomResourceDefinition": "custom resources have no controller here",
    "Kustomization": "render it first: kustomize build DIR | mininetes apply -f -",
}
_WHY_GROUP: Mapping[str, str] = {
    "rbac.authorization.k8s.io": _ACCESS,
    "storage.k8s.io": _STORAGE,
    "autoscaling": "replicas change by `mininetes scale` only",
}
_CUSTOM = "a custom resource: no controller here acts on it"
_MEANINGLESS = "it has no meaning for the network"
_BEFORE_GROUPS = frozenset({"extensions"})  # groups that Kubernetes served once
_EXPLAINED = frozenset({"Kustomization"})  # custom ones
_OUR_CUSTOM = frozenset(
    {"ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"}
)  # stored
_BEFORE_KINDS = frozenset({"PodSecurityPolicy"})  # likewise


def recognise(obj: JsonObject) -> Recognised | Finding:
    """What `obj` is, or the finding against its `apiVersion` or `kind`."""
    for field in ("apiVersion", "kind"):
        value = obj.get(field)
        if value is None or value == "":
            return required((field,), "every object has apiVersion, kind and metadata")
        if not isinstance(value, str):
            return Finding((field,), Reason.TYPE, "expected a string", f'quote it: "{value}"')
    api_version, kind = obj["apiVersion"], obj["kind"]
    if api_version.count("/") > 1 or api_version.strip("/") != api_version:
        return Finding(("apiVersion",), Reason.INVALID, f'"{api_version}" is not a version or GROUP/VERSION')
    group = api_version.rpartition("/")[0]
    if group == MININETES_GROUP:
        return _ours(api_version, kind)
    if find_kind(api_version, kind) is not None:
        return Recognised(Fate.STORED)
    versions = known_kinds().get(kind, ())
    if api_version in versions:
        return Recognised(Fate.IGNORED, _why(group, kind))
    return _unserved(api_version, group, kind, versions)


def _ours(api_version: str, kind: str) -> Recognised | Finding:
    ours = ("Topology", *FILE_KINDS)
    if kind not in ours:
        return _no_match(api_version, kind, nearest(kind, ours) or f"known are {', '.join(ours)}")
    if api_version != f"{MININETES_GROUP}/v1":
        return _no_version(api_version, kind, (f"{MININETES_GROUP}/v1",))
    return Recognised(Fate.READ)


def _unserved(api_version: str, group: str, kind: str, versions: tuple[str, ...]) -> Recognised | Finding:
    """A kind that this version of Kubernetes does not serve under this apiVersion."""
    builtin = group in _builtin_groups() or group in _BEFORE_GROUPS
    if not builtin and "." in group and not _looks_builtin(group, versions):
        if kind in _OUR_CUSTOM:
            return _no_version(api_version, kind, ())
        return Recognised(Fate.IGNORED, _WHY_KIND[kind] if kind in _EXPLAINED else _CUSTOM)
    if kind in _BEFORE_KINDS:
        return Recognised(Fate.IGNORED, _MEANINGLESS)
    if not versions:
        here = [known for known, where in known_kinds().items() if api_version in where]
        return _no_match(api_version, kind, nearest(kind, here) or nearest(kind, known_kinds()))
    if builtin and all(find_kind(version, kind) is None for version in versions):
        return Recognised(
            Fate.IGNORED, _why(group, kind)
        )  # an old PodDisruptionBudget means as little as a new one
    return _no_version(api_version, kind, versions)


def _looks_builtin(group: str, versions: Iterable[str]) -> bool:
    """Whether a group is probably a misspelt one of those that serve the kind."""
    groups = {version.rpartition("/")[0] for version in versions}
    return any(SequenceMatcher(None, group, known).ratio() > 0.85 for known in groups)


def _builtin_groups() -> frozenset[str]:
    return frozenset(
        version.rpartition("/")[0] for versions in known_kinds().values() for version in versions
    )


def _why(group: str, kind: str) -> str:
    return _WHY_KIND.get(kind) or _WHY_GROUP.get(group) or _MEANINGLESS


def _no_match(api_version: str, kind: str, hint: str) -> Finding:
    return Finding(("kind",), Reason.NOT_SUPPORTED, f'no kind "{kind}" in version "{api_version}"', hint)


def _no_version(api_version: str, kind: str, versions: tuple[str, ...]) -> Finding:
    stored = [known.api_version for known in KINDS if known.kind == kind]
    hint = f"apiVersion: {(stored or sorted(versions))[0]}"
    return Finding(
        ("apiVersion",), Reason.NOT_SUPPORTED, f'no kind "{kind}" in version "{api_version}"', hint
    )

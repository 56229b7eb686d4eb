"""The documents by which kubectl and client libraries find out what this server serves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from emulator.api.kinds import KINDS, Kind
from emulator.api.objects import JsonObject
from emulator.api.schema import kubernetes_version

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


@cache
def documents() -> Mapping[str, JsonObject]:
    """Every fixed JSON document by its path."""
    found: dict[str, JsonObject] = {
        "/version": _version(),
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g) for g in _groups() if g]},
        "/openapi/v3": {"paths": {p[1:]: {"serverRelativeURL": f"/openapi/v3{p}"} for p in _roots()}},
    }
    for group in _groups():
        for version in _versions(group):
            root = _root(group, version)
            found[root] = _resources(group, version)
            found[f"/openapi/v3{root}"] = _openapi(group, version)
        if group:
            found[f"/apis/{group}"] = {"apiVersion": "v1", **_group(group)}
    return found


def _version() -> JsonObject:
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{version}+mininetes",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "linux/amd64",
    }


def _groups() -> list[str]:
    return sorted({kind.group for kind in KINDS})


def _versions(group: str) -> list[str]:
    """Stable ones first, then beta, then alpha, newer ones before older ones."""
    found = {version for kind in KINDS if kind.group == group for version in kind.versions}
    return sorted(sorted(found, reverse=True), key=lambda one: ("alpha" in one, "beta" in one))


def _root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _roots() -> list[str]:
    return [_root(group, version) for group in _groups() for version in _versions(group)]


def _of(group: str, version: str) -> list[Kind]:
    return [kind.as_of(version) for kind in KINDS if kind.group == group and version in kind.versions]


def _group(group: str) -> JsonObject:
    versions = [{"groupVersion": f"{group}/{one}", "version": one} for one in _versions(group)]
    return {"kind": "APIGroup", "name": group, "versions": versions, "preferredVersion": versions[0]}


def _resources(group: str, version: str) -> JsonObject:
    resources = [entry for kind in _of(group, version) for entry in _entries(kind)]
    named = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": resources}


def _entries(kind: Kind) -> list[JsonObject]:
    common = {"namespaced": kind.namespaced, "kind": kind.kind, "singularName": ""}
    own: JsonObject = {**common, "name": kind.plural, "singularName": kind.singular, "verbs": _VERBS}
    if kind.short_names:
        own["shortNames"] = list(kind.short_names)
    if kind.categories:
        own["categories"] = list(kind.categories)
    entries = [own]
    if kind.has_status:
        entries.append({**common, "name": f"{kind.plural}/status", "verbs": ["get", "patch", "update"]})
    if kind.has_scale:
        scale = {"kind": "Scale", "group": "autoscaling", "version": "v1", "name": f"{kind.plural}/scale"}
        entries.append({**common, **scale, "verbs": ["get", "patch", "update"]})
    return entries


def _openapi(group: str, version: str) -> JsonObject:
    """Just enough for kubectl: which operations exist, and that the server itself checks fields."""
    names = ("dryRun", "fieldManager", "fieldValidation")
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
    paths: JsonObject = {}
    for kind in _of(group, version):
        gvk = {"group": group, "version": kind.version, "kind": kind.kind}
        write = {"parameters": parameters, "x-kubernetes-group-version-kind": gvk, "responses": {}}
        namespace = "{namespace}" if kind.namespaced else ""
        paths[kind.path(namespace)] = {"post": {**write, "x-kubernetes-action": "post"}}
        paths[kind.path(namespace, "{name}")] = {
            "put": {**write, "x-kubernetes-action": "put"},
            "patch": {**write, "x-kubernetes-action": "patch"},
        }
    return {"openapi": "3.0.0", "info": {"title": "Mininetes", "version": "v1"}, "paths": paths}

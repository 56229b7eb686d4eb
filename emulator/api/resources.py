"""The verbs of the REST front as functions from a request's parts to an answer; no HTTP in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emulator.api.apply import Result, Wanted
from emulator.api.errors import (
    ApiError,
    bad_request,
    invalid_object,
    method_not_allowed,
    no_such_resource,
    unsupported_media_type,
)
from emulator.api.findings import Finding
from emulator.api.jsonpatch import json_patch
from emulator.api.kinds import find_kind, kind_named
from emulator.api.merge import merge_patch, strategic_patch
from emulator.api.objects import JsonObject, key_of
from emulator.api.remarks import remarks
from emulator.api.requests import Answer, Selection, Target, WriteOptions
from emulator.api.schema import shape_of
from emulator.api.service_update import settled_update
from emulator.api.store import Store
from emulator.api.validate import Checked, check

APPLY_PATCH = "application/apply-patch+yaml"
_MIGRATION = "kubectl-last-applied"
"""The manager under which kubectl hands its annotation over to server-side apply; ours needs no such step."""
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY_PATCH,
)


class Resources:
    """Reads and checked writes of a store. Every method raises ApiError for what the API server refuses."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, target: Target, selection: Selection) -> Answer:
        """The collection as a `List`."""
        found = [
            obj for obj in self._store.list(target.kind.kind, selection.namespace) if selection.includes(obj)
        ]
        metadata = {"resourceVersion": str(self._store.resource_version)}
        kind = target.kind
        return Answer(
            {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": found}
        )

    def get(self, target: Target) -> Answer:
        """One object, or its scale."""
        obj = self._store.get(target.key)
        match target.subresource:
            case "" | "status":
                return Answer(obj)
            case "scale" if target.kind.has_scale:
                return Answer(_scale_of(obj))
        raise no_such_resource()

    def create(self, target: Target, body: JsonObject, options: WriteOptions) -> Answer:
        """A new object; for pods also the subresources `binding` and `eviction`."""
        _expect_object(body)
        if target.name:
            return self._create_subresource(target, body)
        obj, warnings = self._checked(_addressed(target, body), options)
        write = self._store.prepare_create if options.dry_run else self._store.create
        return Answer(write(obj), 201, warnings)

    def _create_subresource(self, target: Target, body: JsonObject) -> Answer:
        match target.kind.kind, target.subresource:
            case "Pod", "binding":
                pod = self._store.get(target.key)
                node = _part(body, "target").get("name", "")
                self._store.replace({**pod, "spec": {**pod["spec"], "nodeName": node}})
            case "Pod", "eviction":
                self._store.delete(target.key, grace_seconds=_grace(_part(body, "deleteOptions")))
            case _, "":
                raise method_not_allowed()
            case _:
                raise no_such_resource()
        return Answer(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
        )

    def replace(self, target: Target, body: JsonObject, options: WriteOptions) -> Answer:
        """A whole new state of an object, its status or its scale."""
        _expect_object(body)
        return self._update(target, lambda _current: body, options)

    def patch(self, target: Target, content_type: str, body: Any, options: WriteOptions) -> Answer:
        """An object changed by a patch of one of `PATCH_TYPES`."""
        if content_type == APPLY_PATCH:
            return self._apply_patch(target, body, options)
        change = _change(target, content_type, body)
        return self._update(target, change, options)

    def _update(
        self, target: Target, change: Callable[[JsonObject], JsonObject], options: WriteOptions
    ) -> Answer:
        current = self._store.get(target.key)
        match target.subresource:
            case "":
                wanted = _addressed(target, _changed(change, current))
                obj, warnings = self._checked(wanted, options, current)
                write = self._store.prepare_replace if options.dry_run else self._store.replace
                return Answer(write(obj), 200, warnings)
            case "status" if target.kind.has_status:
                obj = _addressed(target, _changed(change, current))
                _part(obj, "status")
                write = self._store.prepare_replace_status if options.dry_run else self._store.replace_status
                return Answer(write(obj))
            case "scale" if target.kind.has_scale:
                scaled = _scaled(current, _changed(change, _scale_of(current)))
                write = self._store.prepare_replace if options.dry_run else self._store.replace
                return Answer(_scale_of(write(scaled)))
        raise no_such_resource()

    def delete(self, target: Target, body: JsonObject, query_grace: str, options: WriteOptions) -> Answer:
        """Delete one object as the `DeleteOptions` in `body` say; answers with its last state."""
        _expect_object(body)
        if target.subresource:
            raise method_not_allowed()
        grace = int(query_grace) if query_grace.isdigit() else _grace(body)
        preconditions = _part(body, "preconditions")
        if options.dry_run or body.get("dryRun"):
            return Answer(self._store.get(target.key))
        if body.get("propagationPolicy") == "Orphan" or body.get("orphanDependents") is True:
            self._store.orphan_dependents(target.key)
        deleted = self._store.delete(
            target.key,
            grace_seconds=grace,
            uid=preconditions.get("uid"),
            resource_version=preconditions.get("resourceVersion"),
        )
        return Answer(deleted)

    def delete_collection(
        self, target: Target, selection: Selection, body: JsonObject, options: WriteOptions
    ) -> Answer:
        """Delete everything in a collection that is meant."""
        answer = self.list(target, selection)
        for obj in answer.body["items"]:
            key = key_of(obj)
            if self._store.find(key) is not None:
                self.delete(Target(target.kind, key.namespace, key.name), body, "", options)
        return answer

    # Apply

    def apply(self, manifest: JsonObject, options: WriteOptions) -> tuple[Result, Answer]:
        """Create the object, or merge it three ways into the stored one."""
        kind = find_kind(str(manifest.get("apiVersion", "")), str(manifest.get("kind", "")))
        if kind is None:
            subject = (
                f'no matches for kind "{manifest.get("kind")}" in version "{manifest.get("apiVersion")}"'
            )
            raise ApiError(404, "NotFound", subject)
        metadata = _part(manifest, "metadata")
        namespace = (metadata.get("namespace") or "default") if kind.namespaced else ""
        target = Target(kind, namespace, metadata.get("name", ""))
        checked, warnings = self._checked(_addressed(target, manifest), options)
        wanted = Wanted.from_manifest(checked)
        current = self._store.find(target.key) if target.name else None
        if current is None:
            write = self._store.prepare_create if options.dry_run else self._store.create
            made = write(wanted.obj)
            return Result.CREATED, Answer(made, 201, _remarked(warnings, made))
        write = self._store.prepare_replace if options.dry_run else self._store.replace
        merged = settled_update(current, wanted.merged_into(current))
        self._refuse(check(_without_status(merged)).broken_rules, merged, current)
        stored = write(merged)
        result = Result.UNCHANGED if stored == current else Result.CONFIGURED
        return result, Answer(stored, 200, _remarked(warnings, stored))

    def _apply_patch(self, target: Target, body: Any, options: WriteOptions) -> Answer:
        """Server-side apply, without tracking who owns which field: what the last apply set and this one
        lacks goes."""
        if options.manager == _MIGRATION:
            return self.get(target)
        if not isinstance(body, dict):
            raise bad_request("an apply patch is an object")
        if target.subresource:
            raise method_not_allowed()
        return self.apply(_addressed(target, body), options)[1]

    def _checked(
        self, body: JsonObject, options: WriteOptions, current: JsonObject | None = None
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """The object as decoded, and warnings. Raises ApiError 400 or 422."""
        kind = kind_named(body["kind"])
        checked = check(_without_status(body))
        if checked.decoding:
            listed = ", ".join(str(finding) for finding in checked.decoding)
            subject = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise bad_request(f"{subject}: {listed}")
        unknown = tuple(_unknown_field(str(finding)) for finding in checked.unknown_fields)
        if unknown and options.validation == "Strict":
            raise bad_request(f"strict decoding error: {', '.join(unknown)}")
        if current is not None:
            checked = _amended(checked, current)
        self._refuse(checked.broken_rules, body, current)
        obj = {**checked.obj, "apiVersion": kind.api_version}
        if "status" in body:
            obj["status"] = body["status"]
        return obj, (*(unknown if options.validation == "Warn" else ()), *remarks(obj))

    def _refuse(self, findings: Sequence[Finding], obj: JsonObject, current: JsonObject | None) -> None:
        """Raises ApiError 422, unless the stored object has the same mistakes: what the server itself
        filled in (a Job's selector) would not be accepted from a user."""
        if not findings:
            return
        known = frozenset(check(_without_status(current)).findings if current else ())
        if fresh := [finding for finding in findings if finding not in known]:
            name = (obj.get("metadata") or {}).get("name", "")
            raise invalid_object(kind_named(obj["kind"]), name, fresh)


def _amended(checked: Checked, current: JsonObject) -> Checked:
    """The update with what follows from it, checked again if that changes it."""
    obj = settled_update(current, checked.obj)
    return checked if obj is checked.obj else check(obj)


def _without_status(obj: JsonObject) -> JsonObject:
    """What is checked: the status is the cluster's own to write."""
    return {field: value for field, value in obj.items() if field != "status"}


def _unknown_field(finding: str) -> str:
    """`spec.foo: unknown field "foo"` in the API server's order of words."""
    return f'unknown field "{finding.partition(":")[0]}"'


def _addressed(target: Target, body: JsonObject) -> JsonObject:
    """The body with kind, name and namespace from the path. Raises ApiError 400 when it names others."""
    _expect_object(body)
    kind = target.kind
    given = (body.get("apiVersion") or kind.api_version, body.get("kind") or kind.kind)
    if not kind.takes(given[0]) or given[1] != kind.kind:
        raise bad_request(
            f"the API version in the data ({'/'.join(given)}) does not match the expected API version "
            f"({kind.api_version}/{kind.kind})"
        )
    metadata = dict(_part(body, "metadata"))
    if target.name and metadata.setdefault("name", target.name) != target.name:
        name = metadata["name"]
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        )
    if kind.namespaced:
        wanted = target.namespace or "default"
        if (metadata.get("namespace") or wanted) != wanted:
            raise bad_request("the namespace of the object does not match the namespace sent on the request")
        metadata["namespace"] = wanted
    return {**body, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _expect_object(body: Any) -> None:
    if not isinstance(body, dict):
        raise bad_request("the body of the request must be an object")


def _part(body: JsonObject, field: str) -> JsonObject:
    """The object at `field`, empty when there is none. Raises ApiError 400 when it is something else."""
    part = body.get(field)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise bad_request(f"{field}: expected an object")
    return part


def _grace(options: JsonObject) -> int | None:
    seconds = options.get("gracePeriodSeconds")
    if seconds is not None and (not isinstance(seconds, int) or isinstance(seconds, bool)):
        raise bad_request("gracePeriodSeconds: expected an integer")
    return seconds


def _changed(change: Callable[[JsonObject], JsonObject], current: JsonObject) -> JsonObject:
    """The state after a patch. Raises ApiError 400 for a patch of another shape than the object."""
    try:
        return change(current)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise bad_request("the patch does not fit the object") from error


def _change(target: Target, content_type: str, body: Any) -> Callable[[JsonObject], JsonObject]:
    """The patch as a function of the current state."""
    match content_type:
        case "application/json-patch+json" if isinstance(body, list):
            return lambda current: json_patch(current, body)
        case "application/merge-patch+json" if isinstance(body, dict):
            return lambda current: dict(merge_patch(current, body))
        case "application/strategic-merge-patch+json" if isinstance(body, dict):
            kind = target.kind
            shape = shape_of(kind.api_version, kind.kind) if target.subresource != "scale" else None
            return lambda current: strategic_patch(current, body, shape)
    if content_type in PATCH_TYPES:
        raise bad_request(f"the body is no {content_type}")
    raise unsupported_media_type(content_type, PATCH_TYPES)


def _scale_of(obj: JsonObject) -> JsonObject:
    metadata = {
        field: obj["metadata"][field]
        for field in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if field in obj["metadata"]
    }
    labels = ((obj["spec"].get("selector") or {}).get("matchLabels") or {}).items()
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels)),
        },
    }


def _scaled(obj: JsonObject, scale: JsonObject) -> JsonObject:
    replicas = _part(scale, "spec").get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise bad_request(f"spec.replicas: must be a number greater than or equal to 0, not {replicas!r}")
    wanted = _part(scale, "metadata")
    metadata = {**obj["metadata"], "resourceVersion": wanted.get("resourceVersion", "")}
    return {**obj, "metadata": metadata, "spec": {**obj["spec"], "replicas": replicas}}


def _remarked(warnings: Sequence[str], stored: JsonObject) -> tuple[str, ...]:
    """With what is remarkable only once the cluster has filled in its part, as families of a Service."""
    return tuple(dict.fromkeys((*warnings, *remarks(stored))))

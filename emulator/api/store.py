"""The object store: what etcd and the API server's registry do, in memory, with a journal.

All methods are synchronous and belong to one thread. Objects handed out are shared and must not be changed;
objects handed in are copied. Every write goes through defaults, the caller's admission and the rules about
what may change, and gets the next resourceVersion, unless it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from emulator.api import lifecycle
from emulator.api.defaults import fill_defaults
from emulator.api.errors import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    forbidden_action,
    invalid_object,
    not_found,
)
from emulator.api.immutable import changes_forbidden
from emulator.api.journal import Journal
from emulator.api.kinds import KINDS, Kind, find_kind, kind_named
from emulator.api.names import random_suffix
from emulator.api.objects import JsonObject, Key, copy_json, key_of
from emulator.api.selectors import FieldRequirement, Selector, matches_all
from emulator.api.service_update import settled_update
from emulator.api.watch import Event, EventLog, EventType, Watch

Admission = Callable[[JsonObject | None, JsonObject], JsonObject]
"""Given the stored object (None: it is new) and the wanted one, returns the one to store (a changed copy,
or the wanted one itself). Raises ApiError to refuse."""

Objects = Mapping[tuple[str, str], JsonObject]
"""The objects of one kind by (namespace, name)."""


def admit_everything(_old: JsonObject | None, new: JsonObject) -> JsonObject:
    """The admission of a store that refuses nothing."""
    return new


class Store:
    """Objects by kind, namespace and name. Raises ApiError for whatever Kubernetes refuses."""

    def __init__(
        self,
        journal: Path | None = None,
        admit: Admission = admit_everything,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uid: Callable[[], str] = lambda: str(uuid4()),
        history: int = 20_000,
    ) -> None:
        self.admit = admit
        self._now = now
        self._new_uid = new_uid
        self._objects: dict[str, dict[tuple[str, str], JsonObject]] = {kind.kind: {} for kind in KINDS}
        self._version = 0
        self._journal = Journal(journal) if journal else None
        if self._journal is not None:
            self._recover(self._journal)
        self._log = EventLog(self._version, history)

    def _recover(self, journal: Journal) -> None:
        recovered = journal.open()
        for obj in recovered.objects:
            key = key_of(obj)
            self._objects[key.kind][key.namespace, key.name] = obj
        self._version = recovered.resource_version

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    # Reading

    @property
    def resource_version(self) -> int:
        """The version of the last write."""
        return self._version

    def objects(self) -> Mapping[str, Objects]:
        """A snapshot of everything by kind; the mappings are copies, the objects shared."""
        return {kind: dict(objects) for kind, objects in self._objects.items()}

    def find(self, key: Key) -> JsonObject | None:
        """The object, or None."""
        return self._objects[key.kind].get((key.namespace, key.name))

    def get(self, key: Key) -> JsonObject:
        """The object. Raises ApiError 404."""
        found = self.find(key)
        if found is None:
            raise not_found(kind_named(key.kind), key.name)
        return found

    def list(
        self,
        kind: str,
        namespace: str = "",
        labels: Selector = (),
        fields: tuple[FieldRequirement, ...] = (),
    ) -> list[JsonObject]:
        """The objects of a kind in one namespace (empty: all) that match the selectors, in order of their
        names."""
        found = sorted(self._objects[kind].items())
        return [
            obj
            for (where, _), obj in found
            if (not namespace or where == namespace)
            and matches_all(labels, obj["metadata"].get("labels"))
            and all(field.matches(obj) for field in fields)
        ]

    def watch(self, kinds: Collection[str] | None = None, since: int | None = None) -> Watch:
        """Follow changes of `kinds` (None: all) younger than version `since` (None: from now on).

        Raises ApiError 410 when `since` is too old to replay.
        """
        return self._log.watch(kinds, self._version if since is None else since)

    # Writing

    def prepare_create(self, obj: JsonObject) -> JsonObject:
        """The object as `create` would store it, without storing it. Raises ApiError as `create` does."""
        kind = _kind_of(obj)
        new = copy_json(obj)
        metadata = new.setdefault("metadata", {})
        _settle_namespace(kind, metadata)
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                raise bad_request("name or generateName is required")
            metadata["name"] = metadata["generateName"] + random_suffix()
        key = key_of(new)
        if self.find(key) is not None:
            raise already_exists(kind, key.name)
        self._expect_namespace(kind, key)
        for field in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            metadata.pop(field, None)
        metadata["uid"] = self._new_uid()
        metadata["creationTimestamp"] = self._timestamp()
        if kind.has_generation:
            metadata["generation"] = 1
        fill_defaults(new)
        lifecycle.begin(kind, new)
        return self.admit(None, new)

    def create(self, obj: JsonObject) -> JsonObject:
        """Store a new object. Raises ApiError: 409 it exists, 404 no such namespace, 422 refused by
        admission."""
        new = self.prepare_create(obj)
        return self._commit(EventType.ADDED, None, new)

    def prepare_replace(self, obj: JsonObject) -> JsonObject:
        """The object as `replace` would store it, without storing it. Raises ApiError as `replace` does."""
        kind = _kind_of(obj)
        new = copy_json(obj)
        metadata = new.setdefault("metadata", {})
        _settle_namespace(kind, metadata)
        old = self.get(key_of(new))
        _expect_same(kind, old, metadata)
        metadata.pop("generation", None)
        for field in ("uid", "resourceVersion", "creationTimestamp", "generation"):
            if field in old["metadata"]:
                metadata[field] = old["metadata"][field]
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            metadata.pop(field, None)
            if field in old["metadata"]:
                metadata[field] = old["metadata"][field]
        if kind.has_status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        new = settled_update(old, new)
        lifecycle.carry_over(old, new)
        fill_defaults(new)
        if findings := changes_forbidden(old, new):
            raise invalid_object(kind, metadata["name"], findings)
        new = self.admit(old, new)
        if kind.has_generation and _content(new) != _content(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return new

    def replace(self, obj: JsonObject) -> JsonObject:
        """Store a new state of an object, all but its status (where the kind has one apart).

        With a resourceVersion in `obj` only over exactly that version. Raises ApiError: 404, 409, 422.
        """
        return self._store_changed(self.prepare_replace(obj))

    def prepare_replace_status(self, obj: JsonObject) -> JsonObject:
        """The object as `replace_status` would store it, without storing it."""
        kind = _kind_of(obj)
        metadata = dict(obj.get("metadata") or {})
        _settle_namespace(kind, metadata)
        old = self.get(Key(kind.kind, metadata["namespace"] if kind.namespaced else "", metadata["name"]))
        _expect_same(kind, old, metadata)
        return {**old, "status": copy_json(obj.get("status") or {})}

    def replace_status(self, obj: JsonObject) -> JsonObject:
        """Store `obj`'s status and nothing else of it. Raises ApiError: 404, 409."""
        return self._store_changed(self.prepare_replace_status(obj))

    def delete(
        self,
        key: Key,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> JsonObject:
        """Delete an object, or mark it for deletion, and return its last state.

        A pod that has a node is only marked (`deletionTimestamp`) until someone deletes it with
        `grace_seconds=0`; `None` takes the pod's own grace period. An object with finalizers goes when the
        last one is taken off it, a namespace when everything in it is gone. Raises ApiError: 404, 403 for the
        namespaces that must stay, 409 when `uid` or `resource_version` is not the object's.
        """
        kind = kind_named(key.kind)
        old = self.get(key)
        expected = {"uid": uid, "resourceVersion": resource_version}
        _expect_same(kind, old, {field: value for field, value in expected.items() if value})
        if kind.kind == "Namespace":
            return self._delete_namespace(kind, old)
        grace = lifecycle.grace_seconds(old, grace_seconds)
        if grace == 0 and not old["metadata"].get("finalizers"):
            return self._commit(EventType.DELETED, old, old)
        return self._store_changed(lifecycle.marked_for_deletion(old, grace, self._now()))

    def orphan_dependents(self, key: Key) -> None:
        """Take `key`'s ownership off everything that it owns, so that a deletion leaves them."""
        uid = self.get(key)["metadata"]["uid"]
        for objects in self._objects.values():
            for obj in [o for o in objects.values() if lifecycle.is_owned_by(o, uid)]:
                self._commit(EventType.MODIFIED, obj, lifecycle.disowned(obj, uid))

    # Behind the writes

    def _store_changed(self, new: JsonObject) -> JsonObject:
        key = key_of(new)
        old = self.get(key)
        if lifecycle.may_go(new):
            stored = self._commit(EventType.DELETED, old, new)
        elif new == old:
            stored = old
        else:
            stored = self._commit(EventType.MODIFIED, old, new)
        return stored

    def _commit(self, change: EventType, old: JsonObject | None, new: JsonObject) -> JsonObject:
        self._version += 1
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self._version)}}
        key = key_of(new)
        objects = self._objects[key.kind]
        if change is EventType.DELETED:
            del objects[key.namespace, key.name]
        else:
            objects[key.namespace, key.name] = new
        self._record(key, None if change is EventType.DELETED else new)
        self._log.append(Event(change, new, old, self._version))
        if change is EventType.DELETED and key.namespace:
            self._finish_namespace(key.namespace)
        return new

    def _record(self, key: Key, obj: JsonObject | None) -> None:
        if self._journal is None:
            return
        self._journal.append(key, obj, self._version)
        if self._journal.wants_compaction:
            self._journal.compact(((key_of(o), o) for o in self._all()), self._version)

    def _all(self) -> Iterator[JsonObject]:
        for objects in self._objects.values():
            yield from objects.values()

    def _expect_namespace(self, kind: Kind, key: Key) -> None:
        if not kind.namespaced:
            return
        namespace = self._objects["Namespace"].get(("", key.namespace))
        if namespace is None:
            raise not_found(kind_named("Namespace"), key.namespace)
        if "deletionTimestamp" in namespace["metadata"]:
            why = f"unable to create new content in namespace {key.namespace} because it is being terminated"
            raise forbidden_action(kind, key.name, why)

    def _delete_namespace(self, kind: Kind, old: JsonObject) -> JsonObject:
        name = old["metadata"]["name"]
        if name in lifecycle.IMMORTAL_NAMESPACES:
            raise forbidden_action(kind, name, "this namespace may not be deleted")
        marked = self._store_changed(lifecycle.terminating_namespace(old, self._now()))
        for obj in [o for o in self._all() if o["metadata"].get("namespace") == name]:
            if self.find(key_of(obj)) is not None:
                self.delete(key_of(obj))
        return self._finish_namespace(name) or marked

    def _finish_namespace(self, name: str) -> JsonObject | None:
        namespace = self._objects["Namespace"].get(("", name))
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return None
        if any(where == name for objects in self._objects.values() for where, _ in objects):
            return None
        return self._commit(EventType.DELETED, namespace, namespace)

    def _timestamp(self) -> str:
        return lifecycle.timestamp(self._now())


def _kind_of(obj: JsonObject) -> Kind:
    api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    found = find_kind(api_version, kind)
    if found is None:
        raise ApiError(404, "NotFound", f'no matches for kind "{kind}" in version "{api_version}"')
    return found


def _settle_namespace(kind: Kind, metadata: JsonObject) -> None:
    if kind.namespaced:
        metadata.setdefault("namespace", "default")
    else:
        metadata.pop("namespace", None)


def _expect_same(kind: Kind, old: JsonObject, wanted: JsonObject) -> None:
    """Raises ApiError 409 when `wanted` names another uid or resourceVersion than `old` has."""
    have = old["metadata"]
    if wanted.get("uid") not in (None, have["uid"]):
        why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {have['uid']}"
        raise conflict(kind, have["name"], why)
    if wanted.get("resourceVersion") not in (None, "", have["resourceVersion"]):
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise conflict(kind, have["name"], why)


def _content(obj: JsonObject) -> JsonObject:
    return {field: value for field, value in obj.items() if field not in ("metadata", "status")}

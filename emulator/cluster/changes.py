"""What a control loop wants done, as values, and doing it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject, Key, key_of


@dataclass(frozen=True, slots=True)
class Create:
    """Store a new object."""

    obj: JsonObject


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object, all but its status, if nobody else has changed it since it was read."""

    obj: JsonObject


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """Replace an object's status, whatever else has changed."""

    obj: JsonObject


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object that has this uid; None takes a pod's own grace period."""

    key: Key
    uid: str
    grace_seconds: int | None = None


Change = Create | Update | UpdateStatus | Delete


class Writer(Protocol):
    """The part of the store that changes need."""

    def create(self, obj: JsonObject) -> JsonObject:
        """Store a new object."""

    def replace(self, obj: JsonObject) -> JsonObject:
        """Store a new state, all but the status."""

    def replace_status(self, obj: JsonObject) -> JsonObject:
        """Store a new status."""

    def delete(self, key: Key, *, grace_seconds: int | None = None, uid: str | None = None) -> JsonObject:
        """Delete, or announce the deletion."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that the store would not make."""

    change: Change
    error: ApiError

    @property
    def is_outdated(self) -> bool:
        """Somebody else was quicker: the object or its namespace (403) is going, or another one by now.

        The next round sees the new state. Any other refusal is worth a line.
        """
        return self.error.code in (403, 404, 409)


def delete(obj: JsonObject, grace_seconds: int | None = None) -> Delete:
    """The deletion of exactly this object, not of a namesake that came later."""
    return Delete(key_of(obj), obj["metadata"]["uid"], grace_seconds)


def with_status(obj: JsonObject, status: JsonObject) -> tuple[UpdateStatus, ...]:
    """The change to a new status, or nothing when it is the present one. Fields not in `status` stay."""
    old = obj.get("status") or {}
    new = {**old, **status}
    return () if new == old else (UpdateStatus({**obj, "status": new}),)


def apply_changes(writer: Writer, changes: Iterable[Change]) -> tuple[Refusal, ...]:
    """Make the changes, in order, and return the ones that the store refused."""
    refusals = []
    for change in changes:
        try:
            _apply(writer, change)
        except ApiError as error:
            refusals.append(Refusal(change, error))
    return tuple(refusals)


def _apply(writer: Writer, change: Change) -> None:
    match change:
        case Create(obj):
            writer.create(obj)
        case Update(obj):
            writer.replace(obj)
        case UpdateStatus(obj):
            metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
            writer.replace_status({**obj, "metadata": metadata})
        case Delete(key, uid, grace_seconds):
            writer.delete(key, grace_seconds=grace_seconds, uid=uid)

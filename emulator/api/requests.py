"""What a REST path and its query ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulator.api.errors import ApiError, bad_request, no_such_resource
from emulator.api.kinds import Kind, find_resource
from emulator.api.objects import JsonObject, Key
from emulator.api.selectors import FieldRequirement, Selector, SelectorError, matches_all, parse, parse_fields


@dataclass(frozen=True, slots=True)
class Target:
    """A collection (no name), an object, or an object's subresource. An empty namespace means all of them."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        """The object's key."""
        return Key(self.kind.kind, self.namespace, self.name)

    @classmethod
    def from_path(cls, path: str) -> Target:
        """Read `/api/v1/namespaces/shop/services/db/status` and its like. Raises ApiError 404."""
        parts = [part for part in path.split("/") if part]
        if parts[:1] == ["api"] and len(parts) > 2:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[:1] == ["apis"] and len(parts) > 3:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            raise no_such_resource()
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and not _is_namespace_part(group, rest):
            namespace, rest = rest[1], rest[2:]
        kind = find_resource(group, version, rest[0])
        if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
            raise no_such_resource()
        if len(rest) > 1 and kind.namespaced and not namespace:
            raise no_such_resource()
        return cls(kind, namespace, *rest[1:])


def _is_namespace_part(group: str, rest: list[str]) -> bool:
    """`namespaces/shop/status` is the Namespace's own subresource, not a collection in it."""
    return not group and len(rest) == 3 and rest[2] in ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a collection are meant."""

    namespace: str = ""
    name: str = ""
    labels: Selector = ()
    fields: tuple[FieldRequirement, ...] = ()

    @classmethod
    def from_query(cls, target: Target, query: Mapping[str, str]) -> Selection:
        """Read `labelSelector` and `fieldSelector`. Raises ApiError 400."""
        try:
            labels = parse(query.get("labelSelector", ""))
            fields = parse_fields(query.get("fieldSelector", ""), target.kind.kind)
        except SelectorError as error:
            raise bad_request(str(error)) from error
        return cls(target.namespace, target.name, labels, fields)

    def includes(self, obj: JsonObject) -> bool:
        """Whether `obj` (of the right kind) is meant."""
        metadata = obj["metadata"]
        return (
            self.namespace in ("", metadata.get("namespace", ""))
            and self.name in ("", metadata["name"])
            and matches_all(self.labels, metadata.get("labels"))
            and all(field.matches(obj) for field in self.fields)
        )


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a write is to be done."""

    dry_run: bool = False
    validation: str = "Warn"
    """What becomes of unknown fields: `Strict` refuses, `Warn` drops them and says so, `Ignore` drops
    them."""
    manager: str = ""
    """Who writes, by its own account."""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> WriteOptions:
        """Read `dryRun`, `fieldValidation` and `fieldManager`. Raises ApiError 400."""
        dry_run = query.get("dryRun", "")
        validation = query.get("fieldValidation") or "Warn"
        if dry_run not in ("", "All"):
            raise ApiError(400, "BadRequest", f'Invalid value: "{dry_run}": dryRun: supported values: "All"')
        if validation not in ("Strict", "Warn", "Ignore"):
            raise bad_request(
                f'fieldValidation: Unsupported value: "{validation}": supported: Ignore, Strict, Warn'
            )
        return cls(dry_run == "All", validation, query.get("fieldManager", ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: an HTTP code, a body and warnings for the user."""

    body: JsonObject
    code: int = 200
    warnings: tuple[str, ...] = field(default=())

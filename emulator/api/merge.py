"""The three patches of the Kubernetes API, and the three-way merge behind `apply`. Inputs are never changed.

* JSON merge patch (RFC 7386): objects merge, everything else is replaced, null deletes.
* Strategic merge patch: as above, but lists merge by key where the schema says so, with the directives
  `$patch`, `$retainKeys`, `$setElementOrder/...` and `$deleteFromPrimitiveList/...`.
* Three-way: what the last apply set and this one lacks goes, what this one has is set, the rest stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from emulator.api.errors import bad_request
from emulator.api.objects import JsonObject, copy_json
from emulator.api.schema import Shape

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"
_DEFAULT_KEYS = {"protocol": "TCP"}  # the one merge key that manifests leave out


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` after a JSON merge patch."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = merge_patch(result.get(field), value)
    return result


def strategic_patch(target: JsonObject, patch: JsonObject, shape: Shape | None) -> JsonObject:
    """`target` after a strategic merge patch. Raises ApiError 400 for a directive that does not exist."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {field: copy_json(value) for field, value in patch.items() if field != "$patch"}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unrecognized patch type {directive!r}")
    result = dict(target)
    retained = patch.get("$retainKeys")
    if retained is not None:
        result = {field: value for field, value in result.items() if field in retained}
    for field, value in patch.items():
        if field.startswith(_DELETE):
            name = field.removeprefix(_DELETE)
            result[name] = [item for item in result.get(name) or () if item not in value]
        elif not field.startswith("$"):
            _patch_field(result, field, value, shape.field(field) if shape else None)
    for field, order in patch.items():
        if field.startswith(_ORDER):
            name = field.removeprefix(_ORDER)
            result[name] = _in_order(result.get(name) or [], order)
    return result


def _patch_field(result: JsonObject, field: str, value: Any, shape: Shape | None) -> None:
    if value is None:
        result.pop(field, None)
    elif isinstance(value, dict):
        old = result.get(field)
        result[field] = strategic_patch(old if isinstance(old, dict) else {}, value, shape)
    elif isinstance(value, list) and shape is not None and "merge" in shape.patch_strategy:
        result[field] = _patch_list(result.get(field) or [], value, shape)
    else:
        result[field] = copy_json(value)


def _patch_list(old: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    keys = shape.merge_keys
    if not keys:
        return [*old, *(item for item in patch if item not in old)]
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy_json(item) for item in patch if item.get("$patch") != "replace"]
    result = list(old)
    for item in patch:
        given = {key: item[key] for key in keys if key in item}
        if not given:
            raise bad_request(f"map does not contain declared merge key: {keys[0]}")
        at = _index(result, partial(_has, given))
        if item.get("$patch") == "delete":
            result = [old for i, old in enumerate(result) if i != at]
        elif at is None:
            result.append(strategic_patch({}, item, shape.items))
        else:
            result[at] = strategic_patch(result[at], item, shape.items)
    return result


def _has(given: JsonObject, item: Any) -> bool:
    return isinstance(item, dict) and all(item.get(field) == value for field, value in given.items())


def _index(items: Sequence[Any], wanted: Callable[[Any], bool]) -> int | None:
    return next((i for i, item in enumerate(items) if wanted(item)), None)


def _in_order(items: list[Any], order: list[Any]) -> list[Any]:
    """The items that `order` names in its order; each of the others behind the one that it stood behind."""

    def rank(item: Any) -> int | None:
        if isinstance(item, dict):
            return _index(order, lambda o: isinstance(o, dict) and _has(o, item))
        return _index(order, lambda o: o == item)

    result: list[Any] = sorted((i for i in items if rank(i) is not None), key=lambda i: rank(i) or 0)
    for position, item in enumerate(items):
        if rank(item) is None:
            before = items[position - 1] if position else None
            result.insert(result.index(before) + 1 if position else 0, item)
    return result


# Three-way


def three_way(
    original: JsonObject, modified: JsonObject, current: JsonObject, shape: Shape | None
) -> JsonObject:
    """`current` as `modified` wants it, without what `original` set and `modified` no longer names."""
    result = {f: value for f, value in current.items() if f in modified or f not in original}
    for field, value in modified.items():
        child = shape.field(field) if shape else None
        if value is None:
            result.pop(field, None)
        else:
            result[field] = _three_way(original.get(field), value, current.get(field), child)
    if shape is not None and "retainKeys" in shape.patch_strategy:
        result = {field: value for field, value in result.items() if field in modified}
    return result


def _three_way(original: Any, modified: Any, current: Any, shape: Shape | None) -> Any:
    if isinstance(modified, dict) and isinstance(current, dict):
        return three_way(original if isinstance(original, dict) else {}, modified, current, shape)
    if isinstance(modified, list) and isinstance(current, list) and shape and "merge" in shape.patch_strategy:
        return _three_way_list(original if isinstance(original, list) else [], modified, current, shape)
    return copy_json(modified)


def _three_way_list(original: list[Any], modified: list[Any], current: list[Any], shape: Shape) -> list[Any]:
    keys = shape.merge_keys

    def key(item: Any) -> Any:
        return (
            tuple(item.get(k, _DEFAULT_KEYS.get(k)) for k in keys)
            if keys and isinstance(item, dict)
            else item
        )

    owned = [key(item) for item in original]
    wanted = [key(item) for item in modified]
    live = {_hashable(key(item)): item for item in current}
    result = [
        _three_way(
            next((o for o in original if key(o) == key(item)), None),
            item,
            live.get(_hashable(key(item))),
            shape.items,
        )
        for item in modified
    ]
    return result + [item for item in current if key(item) not in wanted and key(item) not in owned]


def _hashable(key: Any) -> Any:
    return repr(key) if isinstance(key, (dict, list)) else key

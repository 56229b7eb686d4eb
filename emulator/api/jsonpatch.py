"""JSON patch (RFC 6902): a list of operations on places named by JSON pointers (RFC 6901)."""

from __future__ import annotations

from typing import Any

from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject, copy_json


def json_patch(target: JsonObject, operations: list[JsonObject]) -> JsonObject:
    """A copy of `target` after all operations. Raises ApiError: 422 when one cannot be done, 400 when it
    is none."""
    document: Any = copy_json(target)
    for operation in operations:
        document = _apply(document, operation)
    if not isinstance(document, dict):
        raise _impossible("the result is not an object")
    return document


def _apply(document: Any, operation: JsonObject) -> Any:
    path = _pointer(operation, "path")
    match operation.get("op"):
        case "add":
            return _add(document, path, copy_json(operation.get("value")))
        case "remove":
            return _remove(document, path)
        case "replace":
            value = copy_json(operation.get("value"))
            return value if not path else _add(_remove(document, path), path, value)
        case "move":
            origin = _pointer(operation, "from")
            value = _get(document, origin)
            return _add(_remove(document, origin), path, value)
        case "copy":
            return _add(document, path, copy_json(_get(document, _pointer(operation, "from"))))
        case "test":
            if _get(document, path) != operation.get("value"):
                raise _impossible(f"testing value {operation['path']} failed")
            return document
        case other:
            raise bad_request(f"unexpected kind of JSON patch operation: {other!r}")


def _pointer(operation: JsonObject, field: str) -> list[str]:
    text = operation.get(field)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise bad_request(f"a JSON patch operation needs {field!r}, a pointer that starts with '/'")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _impossible(why: str) -> ApiError:
    return ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {why}")


def _get(document: Any, path: list[str]) -> Any:
    value = document
    for part in path:
        try:
            value = value[_position(value, part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError):
            raise _impossible(f"doc is missing path: /{'/'.join(path)}") from None
    return value


def _position(items: list[Any], part: str, *, limit: int | None = None) -> int:
    if not part.isdigit() or int(part) >= (len(items) if limit is None else limit):
        raise _impossible(f"invalid array index: {part}")
    return int(part)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        end = len(parent)
        parent.insert(end if path[-1] == "-" else _position(parent, path[-1], limit=end + 1), value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise _impossible(f"cannot add below a plain value: /{'/'.join(path)}")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    _get(document, path)
    if not path:
        raise _impossible("cannot remove the whole document")
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        del parent[_position(parent, path[-1])]
    else:
        del parent[path[-1]]
    return document

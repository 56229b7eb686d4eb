"""Reading nested JSON that may lack what is looked for."""

from __future__ import annotations

from typing import Any


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """The value at `path` in nested JSON, or `default` where something on the way is missing."""
    for step in path:
        try:
            obj = obj[step]
        except (KeyError, IndexError, TypeError):
            return default
    return default if obj is None else obj

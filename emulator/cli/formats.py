"""Machine-readable results: JSON and YAML, never mixed with prose."""

from __future__ import annotations

import json
from typing import Any

from emulator.api.objects import JsonObject


def to_json(value: Any) -> str:
    """Indented JSON, keys in the order they were made."""
    return json.dumps(value, indent=4, ensure_ascii=False)


def to_yaml(value: Any) -> str:
    """Block-style YAML."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=False, sort_keys=False, allow_unicode=True)
    return text.rstrip("\n")


def list_of(objects: list[JsonObject]) -> JsonObject:
    """The List that kubectl prints."""
    return {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}

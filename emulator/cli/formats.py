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
    from io import StringIO

    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = StringIO()
    writer.dump(value, stream)
    return stream.getvalue().rstrip("\n")


def list_of(objects: list[JsonObject]) -> JsonObject:
    """The List that kubectl prints."""
    return {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}

"""Names, labels and annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.api.findings import Finding, Reason, required
from emulator.api.kinds import MININETES_GROUP
from emulator.api.names import dns1035_label, dns1123_label, dns1123_subdomain, path_segment, qualified_name
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import Syntax, has_form, labels

_NAMES: Mapping[str, Syntax] = {
    "Namespace": dns1123_label,
    "Service": dns1035_label,
    "Event": path_segment,
    "IPAddress": path_segment,
}
_MOST_ANNOTATIONS = 256 * 1024  # bytes, keys and values together
_PATH: Path = ("metadata",)


def metadata_findings(obj: JsonObject) -> list[Finding]:
    """What is wrong with an object's metadata; a missing name is the caller's to find (see
    `generateName`)."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or str(obj.get("apiVersion", "")).startswith(f"{MININETES_GROUP}/"):
        return []
    return [
        *_names(obj["kind"], metadata),
        *labels(metadata.get("labels"), (*_PATH, "labels")),
        *_annotations(metadata),
    ]


def name_missing(obj: JsonObject) -> list[Finding]:
    """The finding against an object that has no name and asks for none."""
    metadata = obj.get("metadata") or {}
    if metadata.get("name") or metadata.get("generateName"):
        return []
    return [required((*_PATH, "name"), "name or generateName is required")]


def _names(kind: str, metadata: JsonObject) -> Iterator[Finding]:
    syntax = _NAMES.get(kind, dns1123_subdomain)
    yield from has_form(metadata.get("name") or None, (*_PATH, "name"), syntax)
    if prefix := metadata.get("generateName"):
        # What the server appends ends the name well, so a prefix may end in '-'.
        yield from has_form(prefix, (*_PATH, "generateName"), lambda text: syntax(text.rstrip("-") or "x"))
    yield from has_form(metadata.get("namespace") or None, (*_PATH, "namespace"), dns1123_label)


def _annotations(metadata: JsonObject) -> Iterator[Finding]:
    annotations = metadata.get("annotations") or {}
    path = (*_PATH, "annotations")
    for key in annotations:
        yield from has_form(key, (*path, key), lambda text: qualified_name(text.lower()), at_key=True)
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > _MOST_ANNOTATIONS:
        yield Finding(path, Reason.TOO_LONG, f"Too long: may not be more than {_MOST_ANNOTATIONS} bytes")

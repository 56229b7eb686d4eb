"""What is wrong with an object: one value a mistake, in the API server's own words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from emulator.api.objects import JsonObject, Path, render_path


class Reason(StrEnum):
    """Why a field is refused; the values are the `reason` of a Status cause."""

    UNKNOWN = "FieldUnknown"
    """The schema has no such field (ours; the API server answers 400 in strict mode)."""
    TYPE = "FieldValueTypeInvalid"
    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    NOT_SUPPORTED = "FieldValueNotSupported"
    DUPLICATE = "FieldValueDuplicate"
    FORBIDDEN = "FieldValueForbidden"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"


DECODING = frozenset({Reason.UNKNOWN, Reason.TYPE})
"""Mistakes that show when an object is decoded (400), before anything is validated (422)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake: the place, why, and what to do about it.

    `path` may name a field that does not exist (a missing or an unknown one): whoever looks for its position
    in a file falls back on the nearest place that does.
    """

    path: Path
    reason: Reason
    message: str
    """The whole sentence, without the path."""
    hint: str = ""
    at_key: bool = False
    """The mistake is the field's name, not its value."""

    def __str__(self) -> str:
        where = render_path(self.path)
        return f"{where}: {self.message}" if where else self.message

    def cause(self) -> JsonObject:
        """The entry of `Status.details.causes`."""
        return {"reason": self.reason.value, "message": self.message, "field": render_path(self.path)}


def shown(value: Any) -> str:
    """A value as error messages quote it: JSON, cut at 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def required(path: Path, detail: str = "") -> Finding:
    """A field is missing (or empty where it must not be)."""
    return Finding(path, Reason.REQUIRED, "Required value" + (f": {detail}" if detail else ""))


def invalid(path: Path, value: Any, detail: str, hint: str = "") -> Finding:
    """A field's value breaks a rule."""
    return Finding(path, Reason.INVALID, f"Invalid value: {shown(value)}: {detail}", hint)


def not_supported(path: Path, value: Any, supported: Iterable[str], hint: str = "") -> Finding:
    """A field's value is none of the words that the field knows."""
    words = ", ".join(json.dumps(word) for word in supported)
    message = f"Unsupported value: {shown(value)}: supported values: {words}"
    return Finding(path, Reason.NOT_SUPPORTED, message, hint)


def duplicate(path: Path, value: Any) -> Finding:
    """A value repeats where it must be unique."""
    return Finding(path, Reason.DUPLICATE, f"Duplicate value: {shown(value)}")


def forbidden(path: Path, detail: str, hint: str = "") -> Finding:
    """A field must not be set here."""
    return Finding(path, Reason.FORBIDDEN, f"Forbidden: {detail}", hint)

"""Claims about fields of objects."""

from __future__ import annotations

from emulator.api.objects import JsonObject
from emulator.scenario.model import Claim
from emulator.verdict.expectation import dig


def failure(claim: Claim, obj: JsonObject | None) -> str:
    """Why `obj` is not what `claim` says; empty when it is. None is an object that does not exist."""
    value = dig(obj or {}, claim.path)
    if claim.exists is not None:
        there = value is not None
        return "" if there is claim.exists else f"{claim.path} {'exists' if there else 'does not exist'}"
    if claim.contains:
        held = claim.contains in (value if isinstance(value, list) else str(value))
        return "" if held else f"{claim.path} is {value!r}, expected {claim.contains!r} in it"
    if value is None:
        return f"{claim.path} does not exist"
    if claim.differs is not None:
        return "" if not _same(value, claim.differs) else f"{claim.path} is {value!r}, expected anything else"
    return "" if _same(value, claim.equals) else f"{claim.path} is {value!r}, expected {claim.equals!r}"


def _same(found: object, wanted: object) -> bool:
    return found == wanted or (
        found is not None and not isinstance(found, bool) and str(found) == str(wanted)
    )

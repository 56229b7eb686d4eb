"""Names, labels and annotations."""

from __future__ import annotations

from emulator.api.findings import Finding
from emulator.api.objects import JsonObject


def metadata_findings(obj: JsonObject) -> list[Finding]:
    """What is wrong with an object's metadata."""
    return []

"""What the API server checks beyond the schema, one module a family of kinds.

Rules see objects as their authors wrote them (defaults not yet filled in, types right), and answer with
findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.api.findings import Finding
from emulator.api.objects import JsonObject

RULES: Mapping[str, Callable[[JsonObject], list[Finding]]] = {}

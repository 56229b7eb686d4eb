"""The one list of causes, in the order in which they are looked for.

What keeps a packet from being sent comes before what becomes of it; a cause that explains another comes
before it; what the answers contradict each other about comes last, when no cause explains it.
"""

from __future__ import annotations

from emulator.verdict.causes import policies, unexplained
from emulator.verdict.diagnose.diagnosis import Code, Finder

FINDERS: tuple[Finder, ...] = (
    policies.source_isolated,
    policies.destination_isolated,
    unexplained.drifted,
    unexplained.tables_against_manifests,
    unexplained.packets_against_tables,
)

CODES: tuple[Code, ...] = (*policies.CODES, *unexplained.CODES)
"""All of them, as docs/diagnose.md lists them."""

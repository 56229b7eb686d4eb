"""All cases, in the order of docs/diagnose.md."""

from __future__ import annotations

from tests.system.diagnose import bgp, frontends, machinery, several, workloads
from tests.system.diagnose.case import Case

MANIFESTS: tuple[Case, ...] = (*workloads.CASES, *frontends.CASES, *several.CASES)
"""Those that share one cluster."""
CASES: tuple[Case, ...] = (*MANIFESTS, *machinery.CASES, *bgp.CASES)

"""Causes in who answers questions for names."""

from __future__ import annotations

from emulator.oracle.answer import Code as Said
from emulator.probes.lookups import Lookup
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence, Naming

DNS_DOWN = Code(
    "dns-server-down",
    "The name server does not answer: no process of it runs, or none is ready",
    "start it again",
)
UPSTREAM_DOWN = Code(
    "dns-upstream-down",
    "The cluster's DNS answers, but the server that it forwards names of the internet to does not",
    "bring that server back, or forward to another one",
)
CODES = (DNS_DOWN, UPSTREAM_DOWN)


def dns_server_down(evidence: Evidence) -> Cause | None:
    """The way to the server is free, and nobody is at its end."""
    naming = evidence.naming
    if naming is None or naming.answered or not naming.servers or _forwarding(naming):
        return None
    way, server = naming.way, naming.servers[0]
    empty = way.reasons(Said.NO_ENDPOINTS)
    if not empty and not way.difference:
        return None
    service = next((s.ref for s in evidence.state.services if server in s.cluster_ips), None)
    host = next((h.name for h in evidence.state.wiring.external if server in {a.ip for a in h.addresses}), "")
    about = str(service) if service else f"Host/{host}" if host else f"Address/{server}"
    why = "has no ready endpoint" if empty else "does not answer"
    said = f"{server}, the name server of {evidence.source}, {why}"
    see = "mininetes get pods -n kube-system -o wide" if service else ""
    return Cause(DNS_DOWN, about, said, DNS_DOWN.remedy, see)


def dns_upstream_down(evidence: Evidence) -> Cause | None:
    """The server failed to find out."""
    naming = evidence.naming
    if naming is None or not naming.failed:
        return None
    failed = _forwarding(naming)
    if failed is None:
        return None
    said = (
        f"{failed.server} answers for the cluster's names and says {failed.outcome} for {failed.name}: "
        "the server that it forwards to does not answer"
    )
    fix = f"{UPSTREAM_DOWN.remedy}; the Corefile is in configmap/coredns -n kube-system"
    return Cause(
        UPSTREAM_DOWN,
        f"Name/{evidence.asked.target.name}",
        said,
        fix,
        "mininetes logs deploy/coredns -n kube-system",
    )


def _forwarding(naming: Naming) -> Lookup | None:
    """A question that the server could not answer by itself, where it answered others."""
    spoken = any(one.outcome in ("NOERROR", "NXDOMAIN") for one in naming.lookups)
    unsure = [one for one in naming.lookups if one.outcome == "SERVFAIL"]
    silent = [one for one in naming.lookups if one.outcome == "timeout"] if spoken else []
    return next(iter((*unsure, *silent)), None)

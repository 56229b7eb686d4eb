"""Causes in names: the server that cannot be asked because of a policy, and names that do not exist."""

from __future__ import annotations

from difflib import get_close_matches

from emulator.cluster.dns.model import Rcode
from emulator.cluster.model import Direction
from emulator.cluster.places import PlaceKind
from emulator.oracle.answer import Code as Said
from emulator.verdict.causes.cluster_policies import exception
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence, Naming

BLOCKED = Code(
    "dns-blocked-by-policy",
    "A policy keeps the pod from the cluster's name server, so that no name can be looked up",
    "allow egress to port 53, UDP and TCP, of kube-system's DNS pods",
)
WRONG_NAMESPACE = Code(
    "wrong-dns-namespace",
    "The name means a Service of the client's namespace or of one that has none of that name; "
    "another namespace has it",
    "say the namespace in the name: SERVICE.NAMESPACE",
)
WRONG_NAME = Code(
    "wrong-dns-name",
    "There is no such name",
    "use a name that exists: SERVICE.NAMESPACE, or SERVICE within the same namespace",
)
BROKEN_ALIAS = Code(
    "external-name-unknown",
    "The ExternalName Service stands for a name that does not exist",
    "mend spec.externalName",
)
CODES = (BLOCKED, WRONG_NAMESPACE, WRONG_NAME, BROKEN_ALIAS)

_ALLOWED = """egress:
- to:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports:
  - {port: 53, protocol: UDP}
  - {port: 53, protocol: TCP}"""

_DENIED = {Said.EGRESS_DENIED: Direction.EGRESS, Said.INGRESS_DENIED: Direction.INGRESS}
_BLOCKING = (Said.EGRESS_ISOLATED, Said.INGRESS_ISOLATED, *_DENIED)


def blocked_by_policy(evidence: Evidence) -> Cause | None:
    """The name servers are out of reach, because policies say so."""
    naming = evidence.naming
    if naming is None or not naming.failed or naming.answered:
        return None
    for reason in naming.way.reasons(*_BLOCKING):
        fix = _ALLOWED if reason.code is Said.EGRESS_ISOLATED else BLOCKED.remedy
        if direction := _DENIED.get(reason.code):
            fix = exception(evidence, reason, direction)
        name, namespace = reason.object.name, reason.object.namespace
        where = f" -n {namespace}" if namespace else ""
        see = f"mininetes describe {reason.object.kind.lower()}/{name}{where}"
        sentence = f"{evidence.source} cannot ask for names: {reason.sentence}"
        return Cause(BLOCKED, str(reason.object), sentence, fix, see)
    return None


def broken_alias(evidence: Evidence) -> Cause | None:
    """An ExternalName Service leads nowhere."""
    naming, service = _unknown(evidence), evidence.service()
    if naming is None or service is None or service["spec"].get("type") != "ExternalName":
        return None
    metadata, alias = service["metadata"], service["spec"].get("externalName")
    ref = f"Service/{metadata['namespace']}/{metadata['name']}"
    sentence = f"{ref} stands for {alias}, and there is no such name"
    fix = f"spec:\n  externalName: ...   # {alias} does not exist"
    return Cause(BROKEN_ALIAS, ref, sentence, fix)


def wrong_name(evidence: Evidence) -> Cause | None:
    """There is no such name; perhaps there is one like it."""
    naming = _unknown(evidence)
    if naming is None or evidence.service() is not None:
        return None
    asked = evidence.asked.target.name.rstrip(".")
    words = asked.split(".")
    known = [(o["metadata"]["name"], o["metadata"]["namespace"]) for o in evidence.snapshot.all("Service")]
    own = evidence.asked.source.namespace or "default"
    meant = words[1] if len(words) > 1 else own
    namespaces = sorted(namespace for name, namespace in known if name == words[0])
    if namespaces:
        there, sentence = namespaces[0], f"{asked}: namespace {meant} has no Service {words[0]}"
        fix = f"use the name {words[0]}.{there}"
        return Cause(WRONG_NAMESPACE, f"Service/{there}/{words[0]}", f"{sentence}; {there} has", fix)
    here = [name for name, namespace in known if namespace == meant]
    near = get_close_matches(words[0], here, n=1)
    if near:
        fix = f"use the name {near[0]}{'.' + meant if len(words) > 1 else ''}"
        sentence = f"{asked}: there is no Service {words[0]} in namespace {meant}, but {near[0]}"
        return Cause(WRONG_NAME, f"Service/{meant}/{near[0]}", sentence, fix)
    return Cause(WRONG_NAME, f"Name/{asked}", f"{asked}: no name server knows it", WRONG_NAME.remedy)


def _unknown(evidence: Evidence) -> Naming | None:
    """The look-up, if servers have said that there is no such name or no address."""
    naming = evidence.naming
    if evidence.asked.target.kind is not PlaceKind.NAME or naming is None or not naming.failed:
        return None
    said = {lookup.outcome for lookup in naming.lookups}
    return naming if said and said <= {Rcode.NXDOMAIN.value, Rcode.NOERROR.value} else None

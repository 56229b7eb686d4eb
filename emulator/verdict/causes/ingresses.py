"""Causes in Ingresses, for requests over HTTP: nobody serves the class, or nothing is behind the path."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from emulator.api.objects import JsonObject
from emulator.cluster.ingress.backends import BackendError, backend_of, slices_by_service
from emulator.cluster.ingress.classes import class_of
from emulator.cluster.ingress.controllers import Controller, controllers, controllers_in
from emulator.oracle.answer import Code as Said
from emulator.verdict.causes.pods import NOT_RUNNING, ailments
from emulator.verdict.causes.sockets import INGRESS_PROXY_DOWN
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence

CLASS_MISSING = Code(
    "ingress-class-missing",
    "No controller serves the Ingress: its class does not exist, it names none, or no controller of it runs",
    "set spec.ingressClassName to a class whose controller runs: mininetes get ingressclasses",
)
BACKEND_MISSING = Code(
    "ingress-backend-missing",
    "The Service behind the Ingress' path does not exist, lacks the port, or has no ready endpoint",
    "mend the backend's service name and port, or the Service",
)
NO_RULE = Code(
    "ingress-rule-missing",
    "No rule of any Ingress is for this host and path",
    "add a rule for the host and path, or ask for those that a rule has",
)
CODES = (CLASS_MISSING, BACKEND_MISSING, NO_RULE)

_REFUSED = (404, 502, 503)


def proxy_down(evidence: Evidence) -> Cause | None:
    """Nobody stands behind the Service of an ingress controller, because its proxy does not run."""
    service = evidence.service()
    selector = (service or {}).get("spec", {}).get("selector")
    if service is None or not selector or not evidence.answers.reasons(Said.NO_ENDPOINTS):
        return None
    pods = evidence.snapshot.labelled(service["metadata"]["namespace"], selector)
    for found in ailments(evidence, [pod for pod in pods if any(controllers_in(pod))]):
        if found.code is NOT_RUNNING:
            said = f"no proxy of the ingress controller runs: {found.sentence}"
            return Cause(INGRESS_PROXY_DOWN, found.object, said, found.fix, found.see)
    return None


def unserved_class(evidence: Evidence) -> Cause | None:
    """An Ingress has a rule for the request, and no controller reads it."""
    if not _refused(evidence):
        return None
    running = controllers(evidence.snapshot)
    host, path = _request(evidence)
    for ingress, _ in _matching(evidence, host, path):
        if any(controller.serves(ingress, evidence.snapshot) for controller in running):
            continue
        named = class_of(ingress)
        known = [o["metadata"]["name"] for o in evidence.snapshot.all("IngressClass")]
        if not named:
            why = "it names no class, and none was the default when it was made"
        elif named in known:
            why = f"no controller of its class {named} runs"
        else:
            why = f"there is no IngressClass {named}"
        ref = _ref(ingress)
        served = [name for name in known if _is_served(evidence, running, name)]
        fix = (
            f"spec:\n  ingressClassName: {served[0]}"
            if served
            else "install a controller: mininetes apply -f ingress-controller"
        )
        return Cause(CLASS_MISSING, ref, f"{ref} is not served: {why}", fix, _see(ingress))
    return None


def unserved_backend(evidence: Evidence) -> Cause | None:
    """The rule is obeyed, and there is nobody to send the request to."""
    if not _refused(evidence):
        return None
    host, path = _request(evidence)
    snapshot = evidence.snapshot
    running = controllers(snapshot)
    found = [
        one for one in _matching(evidence, host, path) if any(c.serves(one[0], snapshot) for c in running)
    ]
    for ingress, backend in found[:1]:
        service, namespace = backend.get("service"), ingress["metadata"]["namespace"]
        if not service:
            continue
        name, port = service["name"], service.get("port") or {}
        ref = _ref(ingress)
        try:
            reached = backend_of(snapshot, slices_by_service(snapshot), namespace, name, port)
        except BackendError as error:
            fix = _mended(evidence, namespace, name)
            return Cause(BACKEND_MISSING, ref, f"{ref}, path {path}: {error}", fix, _see(ingress))
        if not reached.servers:
            return _empty(evidence, ingress, namespace, name)
    return None


def without_rule(evidence: Evidence) -> Cause | None:
    """Nobody has said what to do with the host or path."""
    if not _refused(evidence) or 404 not in _statuses(evidence):
        return None
    host, path = _request(evidence)
    if _matching(evidence, host, path) or not _is_a_proxys(evidence):
        return None
    hosts = sorted({rule.get("host") or "*" for o in evidence.snapshot.all("Ingress") for rule in _rules(o)})
    told = f"; there are rules for {', '.join(hosts)}" if hosts else ""
    sentence = f"no rule of any Ingress is for http://{host}{path}{told}"
    entry = f"{{path: {path}, pathType: Prefix, backend: ...}}"
    fix = f"spec:\n  rules:\n  - host: {host}\n    http: {{paths: [{entry}]}}"
    return Cause(NO_RULE, f"Name/{host}", sentence, fix, "mininetes get ingress -A")


def _empty(evidence: Evidence, ingress: JsonObject, namespace: str, name: str) -> Cause:
    ref, service = _ref(ingress), evidence.snapshot.get("Service", namespace, name)
    selector = (service or {}).get("spec", {}).get("selector") or {}
    why = f"Service {namespace}/{name} has no ready endpoint"
    pods = list(evidence.snapshot.labelled(namespace, selector)) if selector else []
    ail = next(ailments(evidence, pods), None)
    if ail is not None:
        return Cause(BACKEND_MISSING, ref, f"{ref}: {why}: {ail.sentence}", ail.fix, ail.see)
    fix = f"make spec.selector of Service {namespace}/{name} match pods, or scale their workload up"
    return Cause(
        BACKEND_MISSING, ref, f"{ref}: {why}", fix, f"mininetes describe service/{name} -n {namespace}"
    )


def _mended(evidence: Evidence, namespace: str, name: str) -> str:
    service = evidence.snapshot.get("Service", namespace, name)
    if service is None:
        known = [o["metadata"]["name"] for o in evidence.snapshot.all("Service")
                 if o["metadata"]["namespace"] == namespace]  # fmt: skip
        return f"name a Service of {namespace}: {', '.join(known) or 'there is none'}"
    ports = ", ".join(str(port["port"]) for port in service["spec"].get("ports") or ())
    return f"name a port of Service {namespace}/{name}: {ports}"


# -- the request and the rules -----------------------------------------------------------------------------


def _statuses(evidence: Evidence) -> set[int]:
    return {int(r.get("status") or 0) for r in (evidence.answers.wire or {}).get("http") or ()}


def _refused(evidence: Evidence) -> bool:
    return bool(evidence.asked.http) and bool(_statuses(evidence) & set(_REFUSED))


def _request(evidence: Evidence) -> tuple[str, str]:
    """Host, without its port, and path."""
    url = urlsplit(evidence.asked.http)
    return (url.hostname or evidence.asked.target.name).lower(), url.path or "/"


def _rules(ingress: JsonObject) -> list[JsonObject]:
    return ingress["spec"].get("rules") or []


def _matching(evidence: Evidence, host: str, path: str) -> list[tuple[JsonObject, JsonObject]]:
    """Ingresses with a rule for the request, and the rule's backend; the most precise first."""
    found = [
        (weight, ingress, backend)
        for ingress in evidence.snapshot.all("Ingress")
        for weight, backend in _backends(ingress, host, path)
    ]
    return [(ingress, backend) for _, ingress, backend in sorted(found, key=lambda one: one[0], reverse=True)]


def _backends(
    ingress: JsonObject, host: str, path: str
) -> Iterator[tuple[tuple[int, int, bool], JsonObject]]:
    if ingress["spec"].get("defaultBackend"):
        yield (-1, 0, False), ingress["spec"]["defaultBackend"]
    for rule in _rules(ingress):
        fit = _host_fits((rule.get("host") or "").lower(), host)
        if fit is None:
            continue
        for entry in (rule.get("http") or {}).get("paths") or ():
            wanted, exact = entry.get("path") or "/", entry.get("pathType") == "Exact"
            stem = wanted.rstrip("/")
            if path == wanted if exact else (path == stem or path.startswith(f"{stem}/")):
                yield (fit, len(wanted), exact), entry["backend"]


def _host_fits(rule: str, host: str) -> int | None:
    """How precisely a rule's host is meant: 2 itself, 1 by a wildcard, 0 since it is for all; None: not."""
    if not rule:
        return 0
    if rule.startswith("*."):
        return 1 if host.partition(".")[2] == rule[2:] else None
    return 2 if rule == host else None


def _is_served(evidence: Evidence, running: tuple[Controller, ...], name: str) -> bool:
    found = evidence.snapshot.get("IngressClass", "", name)
    return found is not None and any(found["spec"].get("controller") in one.names for one in running)


def _is_a_proxys(evidence: Evidence) -> bool:
    """Whether it was a controller that answered, not an application that has no such page."""
    answered = set((evidence.answers.wire or {}).get("endpoints") or ())
    pods = {
        f"{c.pod['metadata']['namespace']}/{c.pod['metadata']['name']}"
        for c in controllers(evidence.snapshot)
    }
    return bool(answered & pods) and not (evidence.answers.wire or {}).get("servedBy")


def _ref(ingress: JsonObject) -> str:
    return f"Ingress/{ingress['metadata']['namespace']}/{ingress['metadata']['name']}"


def _see(ingress: JsonObject) -> str:
    return f"mininetes describe ingress/{ingress['metadata']['name']} -n {ingress['metadata']['namespace']}"

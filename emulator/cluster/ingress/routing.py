"""All Ingresses of one controller, merged: which request goes to which backend.

Kubernetes says how one Ingress is read and leaves it to controllers how several are merged. Here, as in
ingress-nginx, the oldest wins where two say something about the same host and path; ages are compared by
creation time, then by namespace and name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from emulator.api.objects import JsonObject
from emulator.cluster.ingress.annotations import Handling, handling_of
from emulator.cluster.ingress.backends import BackendError, backend_of, slices_by_service
from emulator.cluster.ingress.controllers import Controller
from emulator.cluster.ingress.model import (
    ANY_HOST,
    HTTP,
    HTTPS,
    Backend,
    Certificate,
    Problem,
    Routed,
    Routing,
    Site,
)
from emulator.cluster.snapshot import Snapshot

_PATTERN = re.compile(r"[()\[\]|^$*\\]")
_BLANK = re.compile(r"\s")


def route(snapshot: Snapshot, controller: Controller, now: datetime) -> Routed:
    """What `controller` does with the objects of `snapshot`, and what of its Ingresses it cannot serve."""
    merging = _Merging(snapshot, now)
    for ingress in sorted(snapshot.all("Ingress"), key=_age):
        if controller.serves(ingress, snapshot):
            merging.add(ingress)
    return merging.routed(controller.default_backend)


def _age(ingress: JsonObject) -> tuple[str, str, str]:
    metadata = ingress["metadata"]
    return metadata.get("creationTimestamp") or "", metadata.get("namespace") or "", metadata["name"]


@dataclass(slots=True)
class _Rules:
    """The rules of one host, and whose they are."""

    exact: dict[str, str] = field(default_factory=dict)
    prefix: dict[str, str] = field(default_factory=dict)
    default: str = ""
    owners: dict[tuple[str, str], str] = field(default_factory=dict)


class _Merging:
    """Takes Ingresses, the oldest first."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        self._snapshot = snapshot
        self._now = now
        self._slices = slices_by_service(snapshot)
        self._rules: dict[str, _Rules] = {}
        self._backends: dict[str, Backend] = {}
        self._catch_all = ""
        self._fallback = ""
        self._shown: dict[str, tuple[str, str]] = {}
        """Server name → the Secret whose certificate it gets, and the Ingress that says so."""
        self._pems: dict[str, str] = {}
        self._problems: list[Problem] = []
        self._ingress: JsonObject = {}
        self._handling = Handling()

    def add(self, ingress: JsonObject) -> None:
        """Merge one more."""
        self._ingress, self._handling = ingress, handling_of(ingress)
        spec = ingress["spec"]
        default = self._backend(spec["defaultBackend"]) if spec.get("defaultBackend") else ""
        if default and not spec.get("rules"):
            self._catch_all = self._catch_all or default
        self._fallback = self._fallback or default
        for rule in spec.get("rules") or ():
            self._rule(rule, default)
        for tls in spec.get("tls") or ():
            self._tls(tls)
        if self._handling.ignored:
            listed = ", ".join(self._handling.ignored)
            self._complain("AnnotationIgnored", f"annotations without effect here: {listed}", 0)

    def routed(self, default_service: tuple[str, str] | None) -> Routed:
        """What has come together; `default_service` gets what nobody else wants."""
        default = self._catch_all or self._fallback
        if not default and default_service:
            default = self._default_service(*default_service)
        sites = [
            Site(host, rules.exact, rules.prefix, rules.default)
            for host, rules in sorted(self._rules.items())
        ]
        hosts: dict[str, list[str]] = {}
        for host, (secret, _) in sorted(self._shown.items()):
            hosts.setdefault(secret, []).append(host)
        certificates = [
            Certificate(name, tuple(shown), self._pems[name]) for name, shown in sorted(hosts.items())
        ]
        backends = tuple(backend for _, backend in sorted(self._backends.items()))
        routing = Routing(tuple(sites), backends, default, tuple(certificates))
        return Routed(routing, tuple(dict.fromkeys(self._problems)))

    def _default_service(self, namespace: str, name: str) -> str:
        service = self._snapshot.get("Service", namespace, name)
        ports = (service or {}).get("spec", {}).get("ports") or ()
        if not ports:
            return ""
        try:
            found = backend_of(self._snapshot, self._slices, namespace, name, {"number": ports[0]["port"]})
        except BackendError:
            return ""
        self._backends[found.name] = found
        return found.name

    # Rules

    def _rule(self, rule: JsonObject, default: str) -> None:
        host = (rule.get("host") or ANY_HOST).lower()
        rules = self._rules.setdefault(host, _Rules())
        rules.default = rules.default or default
        for entry in (rule.get("http") or {}).get("paths") or ():
            path = entry.get("path") or "/"
            exact = entry.get("pathType") == "Exact"
            if not path.startswith("/") or _BLANK.search(path):
                self._complain("PathNotSupported", f'path "{path}" can match no request')
                continue
            if not exact and _PATTERN.search(path):
                said = f'path "{path}" is taken literally: regular expressions are not supported'
                self._complain("PathNotSupported", said)
            path = path if exact else path.rstrip("/")
            backend = self._backend(entry["backend"])
            kind, taken = ("exact", rules.exact) if exact else ("prefix", rules.prefix)
            owner = rules.owners.setdefault((kind, path), self._name)
            if taken.setdefault(path, backend) != backend or (owner != self._name):
                self._complain("PathTaken", _taken(host, path or "/", owner, self._name))

    def _backend(self, backend: JsonObject) -> str:
        """The name of a backend, which is known from then on; one that cannot serve says so to clients."""
        namespace = self._ingress["metadata"]["namespace"]
        try:
            if backend.get("resource"):
                resource = backend["resource"]
                raise BackendError(
                    "ResourceBackendNotSupported",
                    f"the backend {resource.get('kind')} {resource.get('name')} is a resource, "
                    "and the proxy serves Services only",
                )
            service = backend["service"]
            found = backend_of(
                self._snapshot, self._slices, namespace, service["name"], service.get("port") or {}
            )
        except BackendError as error:
            self._complain(error.reason, str(error))
            found = Backend(f"{namespace}_{self._ingress['metadata']['name']}_{len(self._problems)}_out",
                            excuse=str(error))  # fmt: skip
            known = [one for one in self._backends.values() if one.excuse == str(error) and not one.servers]
            found = known[0] if known else found
        found = self._handled(found)
        self._backends[found.name] = found
        return found.name

    def _handled(self, backend: Backend) -> Backend:
        """A backend as this Ingress wants it handled; with a name of its own where that is not as usual."""
        handling = self._handling
        if not handling.path and not handling.only_https:
            return backend
        name = (
            f"{backend.name}_for_{self._ingress['metadata']['namespace']}_{self._ingress['metadata']['name']}"
        )
        return replace(backend, name=name, path=handling.path, only_https=handling.only_https)

    # TLS

    def _tls(self, tls: JsonObject) -> None:
        name = tls.get("secretName")
        if not name:
            return
        # TLS is rare, and what reads certificates takes a tenth of a second to import.
        from emulator.cluster.ingress.certificates import CertificateError, pair_in

        namespace = self._ingress["metadata"]["namespace"]
        secret = self._snapshot.get("Secret", namespace, name)
        if secret is None:
            self._complain("CertificateMissing", f"Secret {namespace}/{name} does not exist{_INSTEAD}", HTTPS)
            return
        try:
            pair = pair_in(secret)
        except CertificateError as error:
            self._complain("CertificateUnusable", f"Secret {namespace}/{name}: {error}{_INSTEAD}", HTTPS)
            return
        if not pair.begins <= self._now <= pair.ends:
            said = f"is valid from {pair.begins:%Y-%m-%d} to {pair.ends:%Y-%m-%d} only"
            self._complain("CertificateExpired", f"Secret {namespace}/{name}: its certificate {said}", HTTPS)
        key = f"{namespace}_{name}"
        self._pems[key] = pair.pem
        for host in tls.get("hosts") or pair.names:
            if not pair.covers(host):
                said = f'its certificate is for {", ".join(pair.names) or "no name"}, not for "{host}"'
                self._complain("CertificateMismatch", f"Secret {namespace}/{name}: {said}{_INSTEAD}", HTTPS)
                continue
            secret_name, owner = self._shown.setdefault(host.lower(), (key, self._name))
            if secret_name != key:
                said = f'the certificate for "{host}" is that of Ingress {owner}, which is older'
                self._complain("CertificateTaken", said, HTTPS)

    @property
    def _name(self) -> str:
        metadata = self._ingress["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}"

    def _complain(self, reason: str, message: str, port: int = HTTP) -> None:
        metadata = self._ingress["metadata"]
        self._problems.append(Problem(metadata["namespace"], metadata["name"], reason, message, port))


_INSTEAD = "; the controller's own certificate is shown instead"


def _taken(host: str, path: str, owner: str, own: str) -> str:
    where = f'host "{host}", path {path}' if host else f"path {path} of all hosts"
    return f"{where} stands there twice: the first counts" if owner == own else (
        f"{where} is served as Ingress {owner} says, which is older"
    )  # fmt: skip

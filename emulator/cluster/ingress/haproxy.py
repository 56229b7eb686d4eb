"""HAProxy's configuration for a `Routing`: the files of its directory, by name.

A request's host is looked up first (precise, then with `*` for its first label, then the rules of all
hosts), and within that host its path: among exact ones, then the longest prefix. A prefix `/foo` is an
entry for `/foo` itself and one for what begins with `/foo/`: that is what *element by element* means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.cluster.ingress.model import ANY_HOST, Backend, Certificate, Routing, Site

MAIN = "haproxy.cfg"
_CERTIFICATES = "certificates.list"
_NOT_FOUND = "not_found"
_EVERY_HOST = "_"
"""No host is called so: names have no underscores."""
_UNSAFE = re.compile(r"[^\w .,:;/()*-]")

_GLOBAL = """\
global
  default-path config
  maxconn 2000
  nbthread 1
  log stdout format raw local0 info
  hard-stop-after 240s
  mworker-max-reloads 20
  ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.ssl.default-dh-param 2048

defaults
  mode http
  log global
  option redispatch 1
  retries 3
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  timeout tunnel 1h
"""
_ROUTE = """\
  http-request set-var(txn.host) req.hdr(host),field(1,:),lower,rtrim(.)
  http-request set-var(txn.path) path
  http-request set-var(txn.site) var(txn.host),map_str(hosts.map)
  http-request set-var(txn.wildcard) var(txn.host),regsub(^[^.]+,*)
  http-request set-var(txn.site) var(txn.wildcard),map_str(hosts.map) if !{ var(txn.site) -m found }
  http-request set-var(txn.site) str(_) if !{ var(txn.site) -m found }
  http-request set-var(txn.key) var(txn.site),concat(,txn.path,)
  http-request set-var(txn.backend) var(txn.key),map_str(exact.map)
  http-request set-var(txn.backend) var(txn.key),map_beg(prefix.map) if !{ var(txn.backend) -m found }
  http-request set-var(txn.backend) var(txn.site),map_str(defaults.map) if !{ var(txn.backend) -m found }
  http-request set-var(txn.backend) str({default}) if !{ var(txn.backend) -m found }
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  use_backend %[var(txn.backend)]
  log-format '%ci - [%tr] "%HM %[var(txn.host)]%HU %HV" %ST %B %b/%s %Ta'
"""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a proxy listens, and what it shows to those who ask for an unknown name."""

    addresses: tuple[str, ...]
    """`0.0.0.0` and `::`, as far as its pod has addresses of that family."""
    http: int
    https: int
    health: tuple[int, ...]
    default_certificate: str = field(repr=False)
    """Certificate and key in PEM."""


def configuration(routing: Routing, listening: Listening) -> Mapping[str, str]:
    """File name → content. The names are relative to the directory of `MAIN`."""
    sites = sorted(routing.sites, key=lambda site: site.host)
    default = routing.default or _NOT_FOUND
    return {
        MAIN: "\n".join([_GLOBAL, *_frontends(listening, default), *_backends(routing.backends)]),
        "hosts.map": _map((site.host, site.host) for site in sites if site.host != ANY_HOST),
        "exact.map": _map(pair for site in sites for pair in _exact(site).items()),
        "prefix.map": _map(pair for site in sites for pair in _prefixes(site)),
        "defaults.map": _map((_key(site), site.default) for site in sites if site.default),
        **dict(_certificates(routing.certificates, listening.default_certificate)),
    }


def _frontends(listening: Listening, default: str) -> Iterator[str]:
    yield "frontend ingress"
    for address in listening.addresses:
        only = " v6only" if address == "::" else ""
        yield f"  bind {_literal(address)}:{listening.http}{only}"
        yield (
            f"  bind {_literal(address)}:{listening.https}{only} ssl crt-list {_CERTIFICATES} "
            "alpn h2,http/1.1"
        )
    yield _ROUTE.replace("{default}", default)
    for port in listening.health:
        yield f"frontend health_{port}"
        for address in listening.addresses:
            yield f"  bind {_literal(address)}:{port}" + (" v6only" if address == "::" else "")
        yield "  no log"
        yield '  http-request return status 200 content-type text/plain string "ok\\n"\n'


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _backends(backends: Sequence[Backend]) -> Iterator[str]:
    yield f"backend {_NOT_FOUND}"
    yield (
        "  http-request return status 404 content-type text/plain lf-string "
        '"404: no Ingress has a rule for host %[var(txn.host)] and path %[var(txn.path)]\\n"\n'
    )
    for backend in backends:
        yield f"backend {backend.name}"
        if backend.only_https:
            yield "  http-request redirect scheme https code 308 if !{ ssl_fc }"
        if backend.path:
            yield f"  http-request set-path {backend.path}"
        if backend.servers:
            yield "  balance roundrobin"
            yield "  http-response set-header X-Served-By %[srv_name,regsub(:,/)]"
        else:
            excuse = _UNSAFE.sub("?", backend.excuse)
            yield (f'  http-request return status 503 content-type text/plain string "503: {excuse}\\n"')
        names: set[str] = set()
        for server in backend.servers:
            name = server.name.replace(":", "-").replace("/", ":")
            name = name if name not in names else f"{name}.{server.port}"
            names.add(name)
            yield f"  server {name} {_literal(server.address)}:{server.port}"
        yield ""


def _key(site: Site) -> str:
    return site.host or _EVERY_HOST


def _exact(site: Site) -> Mapping[str, str]:
    """Whole paths: a prefix is one of them, unless a rule for exactly this path says otherwise."""
    key = _key(site)
    prefixes = {f"{key}{path}": backend for path, backend in site.prefix.items() if path}
    return {**prefixes, **{f"{key}{path}": backend for path, backend in site.exact.items()}}


def _prefixes(site: Site) -> Iterator[tuple[str, str]]:
    for path, backend in site.prefix.items():
        yield f"{_key(site)}{path}/", backend


def _map(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{key} {value}\n" for key, value in sorted(pairs))


def _certificates(certificates: Sequence[Certificate], default: str) -> Iterator[tuple[str, str]]:
    yield "certificates/default.pem", default
    lines = ["certificates/default.pem"]
    for certificate in certificates:
        file = f"certificates/{certificate.name}.pem"
        yield file, certificate.pem
        lines.append(" ".join([file, *certificate.hosts]))
    yield _CERTIFICATES, "\n".join(lines) + "\n"

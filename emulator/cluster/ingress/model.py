"""What an ingress proxy does, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HTTP, HTTPS = 80, 443
ANY_HOST = ""
"""The host of rules that name none."""


@dataclass(frozen=True, slots=True)
class Server:
    """One endpoint of a backend."""

    name: str
    """`shop/web-0`, or its address where no pod is behind it."""
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Backend:
    """Where requests are sent: a port of a Service."""

    name: str
    """Unique, and a word that HAProxy accepts: `shop_web_80`."""
    servers: tuple[Server, ...] = ()
    excuse: str = ""
    """What a client is told, with status 503, when there are no servers."""
    path: str = ""
    """What its servers are asked for, whatever the client asked for; empty leaves the path as it is."""
    only_https: bool = False
    """Clients that come over HTTP are sent to HTTPS."""


@dataclass(frozen=True, slots=True)
class Site:
    """The rules of one host: its name, `*.` and the rest of one, or `ANY_HOST`."""

    host: str
    exact: Mapping[str, str] = field(default_factory=dict)
    """Path → backend, for requests of exactly this path."""
    prefix: Mapping[str, str] = field(default_factory=dict)
    """Path, without a slash at its end → backend, for it and everything below."""
    default: str = ""
    """The backend for every other path; empty for the one of all hosts."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, and the server names that it is shown for."""

    name: str
    hosts: tuple[str, ...]
    """Empty: for the names in the certificate itself."""
    pem: str = field(repr=False)
    """Chain and key."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything that one controller does."""

    sites: tuple[Site, ...] = ()
    backends: tuple[Backend, ...] = ()
    default: str = ""
    """The backend for what no rule wants; empty means 404."""
    certificates: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of an Ingress that does not work; the rest of it does."""

    namespace: str
    ingress: str
    reason: str
    """In CamelCase, as events and statuses have it."""
    message: str
    port: int = HTTP
    """Where it shows: 80 for rules, 443 for certificates; 0 for a mere remark."""

    def __str__(self) -> str:
        return f"Ingress {self.namespace}/{self.ingress}: {self.message}"


@dataclass(frozen=True, slots=True)
class Routed:
    """What a controller does, and what it cannot do."""

    routing: Routing
    problems: tuple[Problem, ...] = ()

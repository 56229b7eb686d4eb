"""What to send, from where, to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

IPAddress = IPv4Address | IPv6Address
Family = Literal[4, 6]

DEFAULT_TIMEOUT = 1.3
"""Seconds of silence after which a packet counts as dropped: time for the one SYN that Linux repeats after a
second, so that a single lost packet is not taken for a rule."""
MAX_COUNT = 20_000
SCHEMES = ("http", "https")


class RequestError(ValueError):
    """The request makes no sense; the message says why."""


class Protocol(StrEnum):
    """What carries a probe."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    SCTP = "sctp"
    """Carried in crafted packets only: few kernels have sockets for it."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a place's packets can be seen and made."""

    place: str
    """`shop/web`, `node/worker-1`, `ext/client`, or an interface's own name such as `n1-up`."""
    netns: Path | None
    """Path of its network namespace; None is the one that the engine runs in."""
    interface: str = ""
    """The interface to watch and to send crafted packets from; empty watches all of the namespace."""


@dataclass(frozen=True, slots=True)
class Sites:
    """Every place that a probe may start from or look at."""

    sites: Mapping[str, Site]

    def __getitem__(self, place: str) -> Site:
        """The site of `place`. Raises RequestError when nothing is known of it."""
        try:
            return self.sites[place]
        except KeyError:
            raise RequestError(f"no such place: {place}") from None

    def __contains__(self, place: str) -> bool:
        return place in self.sites


@dataclass(frozen=True, slots=True)
class Target:
    """A destination, resolved: the addresses to send to and the places that may answer."""

    name: str
    """As the user wrote it: `svc/shop/db`, `ext/server`, `10.96.0.10`."""
    addresses: tuple[IPAddress, ...]
    port: int | None = None
    candidates: tuple[str, ...] = ()

    def address(self, family: Family | None) -> IPAddress:
        """The first address of `family` (None: of any). Raises RequestError when there is none."""
        for address in self.addresses:
            if family in (None, address.version):
                return address
        wanted = f"IPv{family} address" if family else "address"
        raise RequestError(f"{self.name} has no {wanted}")


@dataclass(frozen=True, slots=True)
class HttpGet:
    """An HTTP request to make over each connection."""

    path: str = "/"
    host: str = ""
    """The Host header; empty uses the address and port."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    scheme: str = "http"
    """`https` speaks TLS first, and asks for `host` by name."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One question to the network: `count` connections, datagrams or echo requests."""

    source: str
    target: Target
    protocol: Protocol
    count: int = 1
    timeout: float = DEFAULT_TIMEOUT
    """Seconds to wait for each answer."""
    interval: float = 0
    """Seconds between the starts of attempts; with several `exchanges`, between those of one connection."""
    exchanges: int = 1
    """HTTP: requests on each connection, which stays open between them."""
    family: Family | None = None
    http: HttpGet | None = None
    payload: bytes | None = None
    """UDP and ICMP: what to send; None sends text that carries a mark of its own."""
    size: int | None = None
    """ICMP and UDP: length of the payload in bytes, padded or cut to it."""
    ttl: int | None = None
    dont_fragment: bool = False
    source_address: IPAddress | None = None
    source_port: int | None = None
    captures: tuple[str, ...] = ()
    """More places to watch; what was captured there is part of the observation."""
    packet: Mapping[str, Any] | None = None
    """A crafted packet (see `generators`) to send instead of using a socket."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_COUNT:
            raise RequestError(f"count must be between 1 and {MAX_COUNT}, not {self.count}")
        if not 0 < self.timeout <= 300:
            raise RequestError(f"timeout must be between 0 and 300 seconds, not {self.timeout}")
        if self.packet is None and self.protocol is not Protocol.ICMP and self.target.port is None:
            raise RequestError(f"{self.protocol} to {self.target.name} needs a port")
        if self.packet is None and self.protocol is Protocol.SCTP:
            raise RequestError(
                "SCTP is carried, but no socket speaks it here: a scenario may send `{packet: sctp}`"
            )
        if self.http is not None and self.protocol is not Protocol.TCP:
            raise RequestError("HTTP needs a TCP port")
        if self.interval < 0 or self.exchanges < 1:
            raise RequestError("interval must not be negative, and exchanges at least 1")
        if self.exchanges > 1 and self.http is None:
            raise RequestError("several exchanges on one connection need HTTP")
        if self.source_port is not None and self.count > 1:
            raise RequestError("a source port can be used by one connection at a time: count must be 1")


def request_of(body: Mapping[str, Any], source: str, target: Target, protocol: Protocol) -> ProbeRequest:
    """The request in a JSON body, its ends already resolved. Raises RequestError.

    Reads `count`, `timeout`, `interval`, `exchanges`, `family`, `http` (a URL, or an object with path, host,
    method, headers, body and scheme), `payload`, `size`, `ttl`, `dontFragment`, `sourceAddress`,
    `sourcePort`, `captures`, `packet`.
    """
    try:
        family, own, payload = body.get("family"), body.get("sourceAddress"), body.get("payload")
        if family not in (None, 4, 6):
            raise RequestError(f"family must be 4 or 6, not {family!r}")
        return ProbeRequest(
            source,
            target,
            protocol,
            count=int(body.get("count", 1)),
            timeout=float(body.get("timeout") or DEFAULT_TIMEOUT),
            interval=float(body.get("interval") or 0),
            exchanges=int(body.get("exchanges") or 1),
            family=family,
            http=http_get(body["http"]) if body.get("http") else None,
            payload=None if payload is None else str(payload).encode(),
            size=_whole(body, "size"),
            ttl=_whole(body, "ttl"),
            dont_fragment=bool(body.get("dontFragment", False)),
            source_address=None if own is None else ip_address(own),
            source_port=_whole(body, "sourcePort"),
            captures=tuple(body.get("captures", ())),
            packet=body.get("packet"),
        )
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, RequestError) else RequestError(str(error)) from None


def http_get(spec: str | Mapping[str, Any]) -> HttpGet:
    """An HTTP request from a URL (`http://shop.example/cart?x=1`, `/cart`) or an object.

    Raises RequestError.
    """
    if not isinstance(spec, str):
        known = {"path", "host", "method", "headers", "body", "scheme"}
        if unknown := set(spec) - known:
            raise RequestError(f"unknown field of an HTTP request: {', '.join(sorted(unknown))}")
        return HttpGet(
            str(spec.get("path", "/")),
            str(spec.get("host", "")),
            str(spec.get("method", "GET")).upper(),
            dict(spec.get("headers", {})),
            str(spec.get("body", "")).encode(),
            _scheme(str(spec.get("scheme", "http")), spec),
        )
    url = urlsplit(spec)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return HttpGet(path, url.netloc, scheme=_scheme(url.scheme or "http", spec))


def _scheme(scheme: str, spec: object) -> str:
    if scheme not in SCHEMES:
        raise RequestError(f"only {' and '.join(SCHEMES)} are spoken, not {scheme}: {spec}")
    return scheme


def _whole(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    return None if value is None else int(value)

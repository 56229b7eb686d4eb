"""Places: how people, scenarios and reports name the ends of a packet's journey.

====================  =======================================================
`shop/web-7d4b9c`     a pod (`web-7d4b9c` alone takes the current namespace)
`pod/shop/web`        a pod, whatever its namespace is called
`deploy/shop/web`     any pod of a Deployment; `sts/` and `ds/` likewise
`svc/shop/db`         a Service, by its cluster IP
`node/worker-1`       a node
`ext/client`          a host outside the cluster
`router/tor`          a router that is a Linux network stack
`10.96.0.10`          an IP address; IPv6 with a port in brackets: `[fd00::1]:80/tcp`
`db.shop.svc`         a DNS name: one word with a dot in it, or `localhost`
`//db`                a DNS name of one word
====================  =======================================================

A port follows a colon: `svc/shop/db:5432/tcp`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_PROTOCOLS = ("tcp", "udp", "sctp")


class PlaceError(ValueError):
    """The text names no place, or no port; the message says what to write instead."""


class PlaceKind(StrEnum):
    """What sort of place; the value is the first word of its name."""

    POD = "pod"
    DEPLOYMENT = "deploy"
    STATEFUL_SET = "sts"
    DAEMON_SET = "ds"
    SERVICE = "svc"
    NODE = "node"
    EXTERNAL = "ext"
    ROUTER = "router"
    ADDRESS = "address"
    NAME = "name"


WORKLOADS = frozenset({PlaceKind.DEPLOYMENT, PlaceKind.STATEFUL_SET, PlaceKind.DAEMON_SET})
MACHINES = frozenset({PlaceKind.NODE, PlaceKind.EXTERNAL, PlaceKind.ROUTER})
"""What is no pod and has a network stack of its own."""
_WITHOUT_NAMESPACE = MACHINES | {PlaceKind.ADDRESS, PlaceKind.NAME}
RESERVED = ("pod", "deploy", "sts", "ds", "svc", "node", "ext", "router")
"""First words that are never a namespace; a pod in a namespace so called is `pod/svc/x`."""


@dataclass(frozen=True, slots=True)
class Port:
    """An L4 port, `5432/tcp`; or `icmp`, which has no number (0)."""

    number: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}" if self.number else self.protocol


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a probe. `str()` gives the canonical spelling, without the port."""

    kind: PlaceKind
    name: str
    namespace: str = ""
    port: Port | None = None

    def __str__(self) -> str:
        if self.kind is PlaceKind.NAME and not _is_name(self.name):
            return f"//{self.name}"
        if self.kind in (PlaceKind.ADDRESS, PlaceKind.NAME):
            return self.name
        if self.kind is PlaceKind.POD and self.namespace not in RESERVED:
            return f"{self.namespace}/{self.name}"
        return "/".join(part for part in (self.kind.value, self.namespace, self.name) if part)


def parse_port(text: str) -> Port:
    """Read `80/tcp`, `80` (TCP) or `icmp`. Raises `PlaceError`."""
    number, slash, protocol = text.strip().lower().partition("/")
    if number == "icmp" and not slash:
        return Port(0, "icmp")
    if not number.isdecimal() or not 1 <= int(number) <= 65535:
        raise PlaceError(f"{text!r} is not a port: write a number from 1 to 65535 and a protocol, as 80/tcp")
    if slash and protocol not in _PROTOCOLS:
        raise PlaceError(f"{text!r}: unknown protocol {protocol!r}, known are {', '.join(_PROTOCOLS)}")
    return Port(int(number), protocol or "tcp")


def parse_place(text: str, namespace: str = "default") -> Place:
    """Read a place, as in the table above; `namespace` is for names that do not say theirs.

    Raises `PlaceError` when it cannot be one.
    """
    bare, port = _split_port(text.strip())
    place = _place(bare, namespace)
    return replace(place, port=parse_port(port)) if port else place


def _split_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise PlaceError(f"{text!r}: write an IPv6 address with a port as [fd00::1]:80/tcp")
        return address, rest[1:]
    if text.count(":") > 1:
        return text, ""
    bare, colon, port = text.partition(":")
    if colon and not port:
        raise PlaceError(f"{text!r}: a port is missing behind the colon")
    return bare, port


def place_of_url(url: str) -> Place | None:
    """The host that a URL names; None for a mere path. Raises `PlaceError` for what is no host."""
    try:
        host = urlsplit(url).hostname
    except ValueError as error:
        raise PlaceError(f"{url!r} is not a URL: {error}") from None
    return _place(host if _is_address(host) else f"//{host}", "default") if host else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_name(word: str) -> bool:
    """Whether a word alone is taken for a DNS name, not for a pod."""
    return "." in word or word == "localhost"


def _place(text: str, namespace: str) -> Place:
    if text.startswith("//"):
        return _checked(Place(PlaceKind.NAME, text.removeprefix("//").lower()), text)
    words = text.split("/")
    match words:
        case [word]:
            return _single(word, namespace)
        case [("node" | "ext" | "router") as kind, name]:
            return _checked(Place(PlaceKind(kind), name), text)
        case [("pod" | "deploy" | "sts" | "ds" | "svc") as kind, name]:
            return _checked(Place(PlaceKind(kind), name, namespace), text)
        case [("pod" | "deploy" | "sts" | "ds" | "svc") as kind, own, name]:
            return _checked(Place(PlaceKind(kind), name, own), text)
        case [own, name] if own not in RESERVED:
            return _checked(Place(PlaceKind.POD, name, own), text)
    raise PlaceError(
        f"{text!r} is not a place: write NAMESPACE/POD or KIND/NAMESPACE/NAME, KIND one of "
        + ", ".join(RESERVED)
    )


def _single(word: str, namespace: str) -> Place:
    try:
        return Place(PlaceKind.ADDRESS, str(ip_address(word)))
    except ValueError:
        pass
    if _is_name(word):
        return _checked(Place(PlaceKind.NAME, word), word)
    return _checked(Place(PlaceKind.POD, word, namespace), word)


def _checked(place: Place, text: str) -> Place:
    namespaced = place.kind not in _WITHOUT_NAMESPACE
    if not _NAME.fullmatch(place.name) or (namespaced and not _NAMESPACE.fullmatch(place.namespace)):
        raise PlaceError(f"{text!r} is not a place: names are lower-case letters, digits and '-'")
    return place

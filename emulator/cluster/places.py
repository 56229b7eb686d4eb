"""Places: how users name the ends of a conversation.

`shop/web-7d4b9c` is a pod (`pod/shop/web-7d4b9c` always works), `deploy/shop/web` any pod of a
workload, `svc/shop/db` a service, `node/worker-1` a node, `ext/client` a host outside the
cluster; an IP address or a DNS name stands for itself. A port may follow: `svc/shop/db:5432/tcp`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from emulator.cluster.model import Protocol


class PlaceKind(StrEnum):
    """What a place is; the values are the reserved first words."""

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


WORKLOAD_KINDS = {
    PlaceKind.DEPLOYMENT: "Deployment",
    PlaceKind.STATEFUL_SET: "StatefulSet",
    PlaceKind.DAEMON_SET: "DaemonSet",
}
_NAMESPACED = {PlaceKind.POD, PlaceKind.SERVICE, *WORKLOAD_KINDS}
_PORT = re.compile(r"(?P<number>\d+|[a-z0-9-]*[a-z][a-z0-9-]*)(/(?P<protocol>tcp|udp|sctp))?\Z", re.IGNORECASE)


class PlaceError(ValueError):
    """A text that names no place; the message says what would."""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """`5432/tcp`: a port number, or the name of a port, with its protocol (TCP unless said)."""

    port: int | str
    protocol: Protocol = Protocol.TCP

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol.lower()}"


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a conversation. `namespace` is empty where places have none."""

    kind: PlaceKind
    namespace: str
    name: str
    port: PortSpec | None = None

    def __str__(self) -> str:
        if self.kind is PlaceKind.POD:
            return f"{self.namespace}/{self.name}"
        if self.kind in (PlaceKind.ADDRESS, PlaceKind.NAME):
            return self.name
        return "/".join(part for part in (self.kind.value, self.namespace, self.name) if part)

    @property
    def address(self) -> IPv4Address | IPv6Address:
        """The address that an ADDRESS place is. Raises ValueError for the others."""
        return ip_address(self.name)


def parse_port(text: str) -> PortSpec:
    """Read `80`, `80/udp` or `http/tcp`. Raises PlaceError."""
    found = _PORT.match(text)
    if not found:
        raise PlaceError(f"{text!r} is not a port: write 80/tcp, 53/udp or a port's name")
    number = found["number"]
    protocol = Protocol((found["protocol"] or "tcp").upper())
    if not number.isdigit():
        return PortSpec(number, protocol)
    if not 1 <= int(number) <= 65535:
        raise PlaceError(f"port {number} is outside 1-65535")
    return PortSpec(int(number), protocol)


def parse_place(text: str, namespace: str = "default") -> Place:
    """Read a place as a user writes it. `namespace` serves names that have none. Raises PlaceError."""
    address, port_text = _split_port(text.strip())
    port = parse_port(port_text) if port_text else None
    if not address:
        raise PlaceError("an empty place: write namespace/pod, svc/namespace/name, node/name or ext/name")
    try:
        return Place(PlaceKind.ADDRESS, "", str(ip_address(address)), port)
    except ValueError:
        pass
    parts = address.split("/")
    if not all(parts):
        raise PlaceError(f"{text!r} has an empty part")
    try:
        kind = PlaceKind(parts[0]) if len(parts) > 1 else None
    except ValueError:
        kind = None
    if kind in (PlaceKind.ADDRESS, PlaceKind.NAME):
        kind = None
    if kind is None:
        return _unprefixed(parts, namespace, port, text)
    if kind in _NAMESPACED:
        if len(parts) == 2:
            return Place(kind, namespace, parts[1], port)
        if len(parts) == 3:
            return Place(kind, parts[1], parts[2], port)
        raise PlaceError(f"{text!r} has too many parts: write {kind.value}/namespace/name")
    if len(parts) != 2:
        raise PlaceError(f"{text!r} has too many parts: write {kind.value}/name")
    return Place(kind, "", parts[1], port)


def _unprefixed(parts: list[str], namespace: str, port: PortSpec | None, text: str) -> Place:
    if len(parts) == 2:
        return Place(PlaceKind.POD, parts[0], parts[1], port)
    if len(parts) > 2:
        words = ", ".join(sorted(kind.value for kind in (*_NAMESPACED, PlaceKind.NODE, PlaceKind.EXTERNAL)))
        raise PlaceError(f"{text!r}: {parts[0]!r} is no kind of place; the kinds are {words}")
    if "." in parts[0]:
        return Place(PlaceKind.NAME, "", parts[0].lower(), port)
    return Place(PlaceKind.POD, namespace, parts[0], port)


def _split_port(text: str) -> tuple[str, str | None]:
    """Split `place:80/tcp`; a bare IPv6 address has colons of its own, `[2001:db8::1]:80` has both."""
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        return address, rest[1:] if rest.startswith(":") else None
    try:
        ip_address(text)
    except ValueError:
        address, colon, port = text.partition(":")
        return address, port if colon else None
    return text, None

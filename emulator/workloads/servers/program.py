"""What a server program is: listeners with handlers, made from what a container would know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext

from emulator.cluster.dns.view import Objects


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a conversation. `str` is as Go prints it: `10.244.1.3:40000`, `[fd00::3]:40000`."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, its body read."""

    method: str
    target: str
    """Path and query as they came."""
    path: str
    query: Mapping[str, str]
    headers: Sequence[tuple[str, str]]
    body: bytes
    client: Peer
    server: Peer
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str:
        """The first value of a header; empty without one."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. A text body is sent as UTF-8."""

    body: str | bytes = ""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body


HttpHandler = Callable[[Request], Awaitable[Response]]
StreamHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Peer], Awaitable[None]]
DatagramAnswer = bytes | None
DatagramHandler = Callable[[bytes, Peer], DatagramAnswer | Awaitable[DatagramAnswer]]
"""Answers one datagram from a peer, at once or later; None is silence."""


@dataclass(frozen=True, slots=True)
class HttpListener:
    """HTTP on a TCP port."""

    port: int
    handler: HttpHandler
    server_name: str = ""
    """The Server header; empty sends none."""
    address: str = ""
    """The one local address to listen on; empty listens on all, of both families."""
    tls: SSLContext | None = None
    """Speaks HTTPS with this certificate."""


@dataclass(frozen=True, slots=True)
class StreamListener:
    """Anything on a TCP or SCTP port."""

    port: int
    handler: StreamHandler
    sctp: bool = False
    address: str = ""


@dataclass(frozen=True, slots=True)
class DatagramListener:
    """Datagrams on a UDP port."""

    port: int
    handler: DatagramHandler
    address: str = ""


Listener = HttpListener | StreamListener | DatagramListener


@dataclass(frozen=True, slots=True)
class Program:
    """A container's servers."""

    listeners: Sequence[Listener] = ()
    greeting: Sequence[str] = ()
    """Lines of its log once it serves."""
    linger: float = 0.0
    """Seconds for which it goes on serving after it was asked to stop."""
    exit_status: int = 0
    """How it ends when asked to stop."""


class ProgramError(Exception):
    """The program ends at once: bad arguments, or a port that it cannot have.

    The message goes to its log, `status` is its exit status.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Declared:
    """One `containerPort` of the manifest."""

    port: int
    protocol: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The cluster's objects, for a program that would watch the API server."""

    objects: Objects
    version: Callable[[], int]
    """The resourceVersion of the last change."""
    has_synced: Callable[[], bool]
    """Whether the objects are complete and seen by every control loop."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a program sees of the container that it is in."""

    pod: str
    namespace: str
    node: str
    container: str
    hostname: str
    addresses: Sequence[str]
    """The pod's addresses, the primary one first."""
    arguments: Sequence[str]
    """What follows the program's name on its command line."""
    environment: Mapping[str, str]
    ports: Sequence[Declared]
    netns: Path
    log: Callable[[str], None]
    exit: Callable[[int], None]
    """End the container with a status, from within a handler."""
    locate: Callable[[str], Path | None]
    """Where a path inside the container is kept outside; None for what is no volume."""
    read: Callable[[str], bytes]
    """What a file of a volume, or one that kubelet manages below /etc, holds. Raises OSError."""
    run: Callable[[Sequence[str]], Awaitable[tuple[int, bytes]]]
    """Run a command in the container: its exit status and output."""
    cluster: ClusterAccess


ProgramFactory = Callable[[Context], Program]
"""Makes the program of a container that starts. Raises ProgramError."""

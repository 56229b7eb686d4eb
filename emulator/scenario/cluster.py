"""What scenarios and the command line ask of a running cluster.

`emulator.engine.client.Cluster` is the one that runs; tests put a fake behind the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from emulator.api.client import MERGE_PATCH
from emulator.api.objects import JsonObject, Key


class Readiness(Protocol):
    """Whether everything asked for is in force, and what is missing if not."""

    @property
    def ready(self) -> bool: ...  # noqa: D102
    @property
    def missing(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def failing(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102
    @property
    def remarks(self) -> tuple[str, ...]: ...  # noqa: D102


class Applied(Protocol):
    """What `apply` and `delete` did."""

    @property
    def changed(self) -> Sequence[tuple[Key, str]]:
        """Each object and what became of it: created, configured, unchanged, deleted, absent."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the user should know, a sentence each."""

    @property
    def ready(self) -> Readiness:
        """Whether the change is in force."""


class Finished(Protocol):
    """A command that ran in a pod."""

    @property
    def exit_code(self) -> int: ...  # noqa: D102
    @property
    def stdout(self) -> str: ...  # noqa: D102
    @property
    def stderr(self) -> str: ...  # noqa: D102


class LiveCluster(Protocol):
    """A cluster that runs. Timeouts are in seconds; `namespace=None` means all of them."""

    @property
    def name(self) -> str:
        """The name it was started under."""

    @property
    def run_dir(self) -> Path:
        """Where its logs lie while it runs."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was said of the objects that it was started with."""

    def down(self) -> None:
        """Stop it; returns when nothing is left."""

    def detach(self) -> None:
        """Let it live on when this process ends."""

    def apply(self, manifests: Sequence[Any], namespace: str = "default", timeout: float = 60.0) -> Applied:
        """Create or change objects and wait until that is in force."""

    def delete(
        self,
        manifests: Sequence[Any],
        namespace: str = "default",
        timeout: float = 60.0,
        grace_seconds: int | None = None,
    ) -> Applied:
        """Delete objects (only kind and metadata are looked at) and wait until that is in force.

        `grace_seconds` is for pods; None takes each one's own.
        """

    def get(
        self, kind: str, name: str | None = None, namespace: str | None = None, selector: str | None = None
    ) -> Any:
        """One object, or a list of them. Raises ApiError (404) when there is no such object."""

    def patch(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        subresource: str = "",
        media_type: str = MERGE_PATCH,
    ) -> JsonObject:
        """Change an object by a patch: merge (RFC 7386), strategic merge, or JSON patch (RFC 6902)."""

    def watch(
        self, kind: str, namespace: str | None = None, selector: str | None = None
    ) -> Iterable[JsonObject]:
        """Events `{"type": ..., "object": ...}`: everything there is first, then what happens."""

    def wait_ready(self, timeout: float = 60.0) -> Readiness:
        """Wait until the network is in force, or the deadline."""

    def wait_for(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        accept: Callable[[JsonObject | None], bool],
        timeout: float = 60.0,
    ) -> JsonObject | None:
        """Watch one object until `accept` is content with it (None: it does not exist).

        Raises TimeoutError with the last state in its arguments.
        """

    def probe(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        count: int = 1,
        http: str | None = None,
        family: int | None = None,
        packet: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        interval: float | None = None,
        exchanges: int | None = None,
        size: int | None = None,
        dont_fragment: bool | None = None,
        source_port: int | None = None,
        checks: Sequence[Mapping[str, Any]] = (),
    ) -> JsonObject:
        """Send real traffic; the answer is the `Probe` contract."""

    def trace(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        family: int | None = None,
        live: bool = False,
    ) -> JsonObject:
        """Where the installed flows take a connection; the answer is the `Trace` contract."""

    def diagnose(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        http: str | None = None,
        family: int | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        """Why a packet fares as it does; the answer is the `Diagnosis` contract."""

    def flows(self, node: str | None = None) -> Sequence[JsonObject]:
        """The installed flows, with owners."""

    def drift(self, node: str | None = None, *, heal: bool = False) -> JsonObject:
        """How they differ from what is computed."""

    def matrix(
        self,
        ports: Sequence[str] = ("80/tcp",),
        *,
        namespaces: Sequence[str] | None = None,
        nodes: bool = False,
        external: bool = False,
        family: int | None = None,
        timeout: float | None = None,
        answers: Sequence[str] = ("wire", "spec"),
    ) -> JsonObject:
        """Probe every pair; the answer is the `Matrix` contract."""

    def inject(self, fault: str, **arguments: object) -> JsonObject:
        """Make a fault happen; the answer says what was done."""

    def clear(self, *names: str) -> Sequence[JsonObject]:
        """Undo faults by name or kind, all without names; those that were cleared."""

    def faults(self) -> Sequence[JsonObject]:
        """The active faults."""

    def start_load(self, streams: Sequence[Mapping[str, Any]], *, namespace: str = "default") -> str:
        """Begin a steady load and return its id."""

    def stop_load(self, load: str, sent: int = 0, *, records: bool = False) -> JsonObject:
        """End a load once it has made `sent` requests; the answer is the `Load` contract."""

    def exec(
        self, pod: str, command: Sequence[str], container: str | None = None, timeout: float = 60.0
    ) -> Finished:
        """Run a command in a pod's container and keep what it wrote. `pod` is `namespace/name`."""

    def attach(
        self, pod: str, command: Sequence[str], container: str | None = None, *, tty: bool = False
    ) -> int:
        """Run a command in a pod's container on this process's own stdin, stdout and stderr."""

    def logs(
        self, pod: str, container: str | None = None, *, previous: bool = False, follow: bool = False
    ) -> Iterable[str]:
        """What a container wrote, in pieces as they come."""

    def capture(
        self,
        places: Sequence[str],
        *,
        filter: str = "",
        seconds: float | None = None,
        count: int | None = None,
        file: BinaryIO | None = None,
    ) -> Iterable[JsonObject]:
        """Packets as they pass; with `file` they are written there as pcapng."""

    def shell(self) -> int:
        """Mininet's prompt, on this process's terminal."""

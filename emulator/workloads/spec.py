"""What one container is to be, said by the engine and read by the spawner's child that becomes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.linux.capabilities import Capability

DEFAULT_CAPABILITIES = frozenset(
    int(name)
    for name in (
        Capability.CHOWN,
        Capability.DAC_OVERRIDE,
        Capability.FOWNER,
        Capability.KILL,
        Capability.SETGID,
        Capability.SETUID,
        Capability.NET_BIND_SERVICE,
        Capability.NET_RAW,
        Capability.NET_ADMIN,
    )
)
"""What a container may do. SYS_ADMIN must stay out: with it, a container can remount the host's files."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BUSYBOX = "/busybox"
"""Where images made of busybox find its applets, before the host's programs."""
EVERYWHERE = "/tools"
"""Where all containers find programs of ours that come before the host's."""
SERVERS = "/servers"
"""Where images of servers find programs by their servers' names."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Show `source`, a file or directory outside, at `target` inside."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a command runs as."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities: frozenset[int] = DEFAULT_CAPABILITIES


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run inside a container."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    credentials: Credentials = field(default_factory=Credentials)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container: its view of the file system, and the command that it runs.

    Without a command its first process only waits: the engine serves in its stead.
    """

    hostname: str
    command: Command | None = None
    mounts: tuple[Mount, ...] = ()
    read_only_root: bool = False
    busybox: bool = False
    open_stdin: bool = False
    """Keep standard input open, as `stdin: true` does; otherwise it is at its end."""


def encode(value: ContainerSpec | Command) -> bytes:
    """The JSON text of a specification."""
    return json.dumps(value, default=_members).encode()


def _members(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def decode_container(text: bytes) -> ContainerSpec:
    """The inverse of `encode` for containers."""
    data = json.loads(text)
    data["command"] = _command(data["command"]) if data["command"] else None
    data["mounts"] = tuple(Mount(**entry) for entry in data["mounts"])
    return ContainerSpec(**data)


def decode_command(text: bytes) -> Command:
    """The inverse of `encode` for commands."""
    return _command(json.loads(text))


def _command(data: dict[str, Any]) -> Command:
    credentials = data["credentials"]
    return Command(
        argv=tuple(data["argv"]),
        env=data["env"],
        directory=data["directory"],
        credentials=Credentials(
            uid=credentials["uid"],
            gid=credentials["gid"],
            groups=tuple(credentials["groups"]),
            capabilities=frozenset(credentials["capabilities"]),
        ),
    )

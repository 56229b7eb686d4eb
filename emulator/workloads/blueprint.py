"""From a container of the manifest to what is started: plan, environment, mounts, rights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import ENOENT
from functools import cache
from pathlib import Path, PurePosixPath

from emulator.api.objects import JsonObject
from emulator.linux.capabilities import Capability
from emulator.workloads.door import INSIDE
from emulator.workloads.environment import expand, variables_of
from emulator.workloads.exposure import ports_of
from emulator.workloads.hosts import (
    LONGEST_HOSTNAME,
    NSSWITCH,
    Dns,
    hosts_file,
    kernel_hostname_of,
    resolv_conf,
)
from emulator.workloads.images import Plan, Run, plan
from emulator.workloads.references import MissingReferenceError, Objects
from emulator.workloads.rootfs import SHARED_DIRECTORIES
from emulator.workloads.servers.program import Declared
from emulator.workloads.spec import (
    BUSYBOX,
    DEFAULT_CAPABILITIES,
    EVERYWHERE,
    PATH,
    SERVERS,
    Command,
    ContainerSpec,
    Credentials,
    Mount,
)
from emulator.workloads.toolbox import EVERYWHERE as TOOLS_EVERYWHERE
from emulator.workloads.toolbox import SERVERS as SERVER_TOOLS
from emulator.workloads.volumes import Volumes

DOOR = "door"
PROXY = "proxy"
PROXY_CONFIGURATION, PROXY_SOCKETS = "/etc/haproxy", "/run/haproxy"

_GRANTABLE = DEFAULT_CAPABILITIES | {
    int(capability)
    for capability in (
        Capability.FSETID,
        Capability.SETPCAP,
        Capability.NET_BROADCAST,
        Capability.IPC_LOCK,
        Capability.SYS_CHROOT,
        Capability.SYS_NICE,
        Capability.AUDIT_WRITE,
        Capability.SETFCAP,
    )
}
"""Capabilities that a manifest may add. None of them reaches beyond the container."""


class ConfigError(Exception):
    """The container cannot be created as the manifest has it; the message is kubelet's."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything about a container that starts."""

    plan: Plan
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    credentials: Credentials
    hostname: str
    directory: str
    read_only_root: bool
    open_stdin: bool
    files: Mapping[Path, str]
    """What has to be in files outside before the container's first process starts."""
    termination_log: Path
    proxy: Path | None
    """Where the ingress proxy's configuration and sockets are kept; None for any other container."""
    door: Path
    """The socket at which a container that has servers asks for one."""
    ports: tuple[Declared, ...]
    """Where its server is expected."""
    notices: tuple[str, ...]

    def specification(self) -> ContainerSpec:
        """What the spawner is told; the files that it names are there when this returns. Raises OSError."""
        for path, content in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        run = self.plan if isinstance(self.plan, Run) else None
        return ContainerSpec(
            hostname=self.hostname,
            command=self.command(run.argv) if run else None,
            mounts=self.mounts,
            read_only_root=self.read_only_root,
            busybox=run is not None and run.busybox,
            open_stdin=self.open_stdin,
        )

    def command(self, argv: Sequence[str]) -> Command:
        """`argv` with the container's environment, directory and rights."""
        return Command(tuple(argv), self.environment, self.directory, self.credentials)

    def read(self, path: str) -> bytes:
        """What a file of the container holds: one of a volume, or below /etc. Raises OSError."""
        outside = self.locate(path)
        if outside is None:
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT), path)
        # Most containers have servers only, and never need their files: those are kept until they do.
        kept = self.files.get(outside)
        return kept.encode() if kept is not None else outside.read_bytes()

    def locate(self, path: str) -> Path | None:
        """Where a path of the container is kept outside; None when it is in no volume."""
        wanted = PurePosixPath(path)
        for mount in sorted(self.mounts, key=lambda mount: len(mount.target), reverse=True):
            if wanted.is_relative_to(mount.target):
                return Path(mount.source) / wanted.relative_to(mount.target)
        return None


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where one pod's containers get their files from."""

    directory: Path
    """Where the pod's files are kept."""
    logs: Path
    """Where what its containers write is kept."""
    tools: Path
    """Programs of ours that containers find at `/`."""
    objects: Objects
    volumes: Volumes
    dns: Dns

    def blueprint(self, pod: JsonObject, container: JsonObject) -> Blueprint:
        """Read a container of the manifest. Raises ConfigError."""
        try:
            links = variables_of(pod, container, self.objects)
            mounts = tuple(self.volumes.mounts(container, links))
        except MissingReferenceError as error:
            raise ConfigError(str(error)) from error
        credentials, notices = _credentials(pod, container)
        own = self.directory / "containers" / container["name"]
        hostname = _kernel_hostname(pod, self.dns.domain)
        expanded = {**_usual_variables(container, hostname, credentials), **links}
        directory = container.get("workingDir") or "/"
        available = _Availability(mounts, expanded["PATH"], directory)
        chosen = plan(
            container.get("image") or "",
            [expand(word, links) for word in container.get("command") or ()],
            [expand(word, links) for word in container.get("args") or ()],
            interactive=bool(container.get("stdin")),
            available=available,
        )
        expanded |= {"NOTIFY_SOCKET": f"{PROXY_SOCKETS}/notify"} if _is_proxy(chosen) else {}
        expanded["PATH"] = ":".join((*_first_programs(chosen), EVERYWHERE, expanded["PATH"]))
        termination_log = own / "termination-log"
        managed = self._managed_files(pod, hostname, mounts)
        writable = _writable(chosen, own, mounts)
        return Blueprint(
            plan=chosen,
            environment=expanded,
            mounts=(
                *(Mount(str(self.directory / name), f"/etc/{name}") for name in managed),
                *(Mount(str(directory), target) for target, directory in writable.items()),
                *self._tools(),
                *self._servers(chosen, own / DOOR),
                *_proxy_mounts(chosen, own / PROXY),
                Mount(
                    str(termination_log), container.get("terminationMessagePath") or "/dev/termination-log"
                ),
                *mounts,
            ),
            credentials=credentials,
            hostname=hostname,
            directory=directory,
            read_only_root=bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem")),
            open_stdin=bool(container.get("stdin")),
            files={
                termination_log: "",
                **{self.directory / name: content for name, content in managed.items()},
                **{page: chosen.writable[target] for target, page in _pages(writable)},
            },
            termination_log=termination_log,
            proxy=own / PROXY if _is_proxy(chosen) else None,
            door=own / DOOR,
            ports=ports_of(pod, container, self.objects),
            notices=notices,
        )

    def _managed_files(self, pod: JsonObject, hostname: str, mounts: Sequence[Mount]) -> Mapping[str, str]:
        """The files below /etc that kubelet writes, but for those that a volume covers."""
        files = {
            "hostname": f"{hostname}\n",
            "hosts": hosts_file(pod, self.dns.domain),
            "resolv.conf": resolv_conf(pod, self.dns),
            "nsswitch.conf": NSSWITCH,
        }
        covered = {mount.target for mount in mounts}
        return {name: content for name, content in files.items() if f"/etc/{name}" not in covered}

    def _tools(self) -> Iterator[Mount]:
        for tool in sorted(self.tools.glob("*")):
            if tool.is_file():
                yield Mount(str(tool), f"/{tool.name}", read_only=True)
        yield Mount(str(self.tools / TOOLS_EVERYWHERE), EVERYWHERE, read_only=True)

    def _servers(self, chosen: Plan, door: Path) -> Iterator[Mount]:
        """What a command line needs to start servers of the table."""
        if isinstance(chosen, Run) and chosen.has_servers:
            yield Mount(str(self.tools / SERVER_TOOLS), SERVERS, read_only=True)
            yield Mount(str(door), INSIDE)


def _kernel_hostname(pod: JsonObject, domain: str) -> str:
    """What the kernel is to be told. Raises ConfigError for more than it takes, in kubelet's words."""
    hostname = kernel_hostname_of(pod, domain)
    if len(hostname) > LONGEST_HOSTNAME:
        raise ConfigError(
            f"Failed to construct FQDN from Pod hostname and cluster domain, FQDN {hostname} is too long "
            f"({LONGEST_HOSTNAME} characters is the max, {len(hostname)} characters requested)"
        )
    return hostname


def _usual_variables(container: JsonObject, hostname: str, credentials: Credentials) -> dict[str, str]:
    """What every container finds in its environment."""
    home = "/" if credentials.uid else "/root"
    terminal = {"TERM": "xterm"} if container.get("tty") else {}
    return {"PATH": PATH, "HOSTNAME": hostname, "HOME": home, **terminal}


def _is_proxy(chosen: Plan) -> bool:
    return isinstance(chosen, Run) and chosen.configured


def _proxy_mounts(chosen: Plan, home: Path) -> Iterator[Mount]:
    """Its configuration, which it can only read, and the sockets over which it is spoken to."""
    if _is_proxy(chosen):
        yield Mount(str(home / "etc"), PROXY_CONFIGURATION, read_only=True)
        yield Mount(str(home / "run"), PROXY_SOCKETS)


def _first_programs(chosen: Plan) -> tuple[str, ...]:
    """The directory whose programs come before all others."""
    if not isinstance(chosen, Run):
        return ()
    return (BUSYBOX,) if chosen.busybox else (SERVERS,) if chosen.has_servers else ()


@dataclass(frozen=True, slots=True)
class _Availability:
    """Tells whether a container finds a program."""

    mounts: Sequence[Mount]
    search: str
    directory: str

    def __call__(self, program: str) -> bool:
        if "/" not in program:
            return shutil.which(program, path=self.search) is not None
        path = PurePosixPath(self.directory) / program
        if any(path.is_relative_to(mount.target) for mount in self.mounts):
            return True
        return path.parts[1] in SHARED_DIRECTORIES and os.access(path, os.X_OK)


def _writable(chosen: Plan, own: Path, mounts: Sequence[Mount]) -> Mapping[str, Path]:
    """Directories of the image that its container may change, such as a document root, and where they are."""
    covered = {mount.target for mount in mounts}
    names = {target: own / "files" / PurePosixPath(target).name for target in chosen.writable}
    return {target: directory for target, directory in names.items() if target not in covered}


def _pages(writable: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """The first index.html of each directory that has not been made yet."""
    return ((target, path / "index.html") for target, path in writable.items() if not path.exists())


def _credentials(pod: JsonObject, container: JsonObject) -> tuple[Credentials, tuple[str, ...]]:
    """Who the container's commands run as, and what of its securityContext could not be had.

    Raises ConfigError.
    """
    context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    uid, gid = context.get("runAsUser") or 0, context.get("runAsGroup") or 0
    if context.get("runAsNonRoot") and context.get("runAsUser") == 0:
        raise ConfigError("container's runAsUser breaks non-root policy")
    groups = tuple(context.get("supplementalGroups") or ())
    groups += (context["fsGroup"],) if "fsGroup" in context else ()
    notices = []
    capabilities, refused = _capabilities(context.get("capabilities") or {})
    if refused:
        notices.append(f"capabilities that containers cannot have here: {', '.join(refused)}")
    if context.get("privileged"):
        notices.append("privileged: containers never hold more than their own rights here")
    if not _mapped("uid", (uid,)) or not _mapped("gid", (gid, *groups)):
        notices.append(f"user {uid}, group {gid} cannot be had here (no range of user IDs): runs as root")
        uid, gid, groups = 0, 0, ()
    return Credentials(uid, gid, groups, capabilities), tuple(notices)


def _capabilities(wanted: JsonObject) -> tuple[frozenset[int], tuple[str, ...]]:
    dropped = {_capability(name) for name in wanted.get("drop") or ()}
    held = (
        set() if "ALL" in dropped else {n for n in DEFAULT_CAPABILITIES if Capability(n).name not in dropped}
    )
    refused = []
    for name in map(_capability, wanted.get("add") or ()):
        number = Capability.__members__.get(name)
        if name == "ALL":
            held |= _GRANTABLE
        elif number is not None and int(number) in _GRANTABLE:
            held.add(int(number))
        else:
            refused.append(name)
    return frozenset(held), tuple(refused)


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _mapped(kind: str, numbers: Sequence[int]) -> bool:
    return all(any(first <= number < end for first, end in _ranges(kind)) for number in numbers)


@cache
def _ranges(kind: str) -> tuple[tuple[int, int], ...]:
    """User or group IDs that exist in this user namespace."""
    with open(f"/proc/self/{kind}_map") as text:
        rows = [tuple(map(int, line.split())) for line in text]
    return tuple((first, first + count) for first, _, count in rows)

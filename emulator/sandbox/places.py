"""Where a cluster's files lie on the host, and the small file that tells other processes who runs it."""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.sandbox.errors import ClusterNameError, SandboxError

RUN = "/run/mininetes"
"""Where the run directory's `var` is seen inside, and there `MININETES_RUN`."""

SOCKET_PATH_LIMIT = 107
"""Bytes that `sockaddr_un` has for a path, less the closing zero."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def state_home() -> Path:
    """The directory that holds one run directory per cluster of this user."""
    if chosen := os.environ.get("MININETES_HOME"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(base) / "mininetes"


def run_directory(name: str) -> Path:
    """The run directory of the cluster called `name`."""
    return state_home() / check_name(name)


def socket_path(name: str) -> Path:
    """Where the REST front of the cluster called `name` is reached; short on purpose."""
    if chosen := os.environ.get("MININETES_HOME"):
        path = Path(chosen).absolute() / f"{name}.sock"
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "mininetes" / f"{name}.sock"
    else:
        path = Path(f"/tmp/mininetes-{os.getuid()}") / f"{name}.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise SandboxError(
            f"the socket path {path} is longer than {SOCKET_PATH_LIMIT} bytes",
            hint="use a shorter --name, or a shorter MININETES_HOME or XDG_RUNTIME_DIR",
        )
    return path


def check_name(name: str) -> str:
    """Return `name` when it can name a cluster (a DNS label, as in Kubernetes).

    Raises SandboxError otherwise.
    """
    if not _NAME.fullmatch(name):
        raise ClusterNameError(
            f"{name!r} cannot name a cluster",
            hint="use lower-case letters, digits and '-', at most 63, as for a Kubernetes namespace",
        )
    return name


def name_taken(name: str) -> ClusterNameError:
    """The error for a name that a cluster has which runs, starts or ends."""
    return ClusterNameError(
        f"a cluster named {name!r} is already there",
        hint=f"choose another --name, or end it with: mininetes down --name {name}",
    )


@dataclass(frozen=True)
class Process:
    """A process of this boot: its id and, since ids are used again, its start time in clock ticks."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Identify the living process `pid`; raises ProcessLookupError."""
        return cls(pid, _start_time(pid))

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        try:
            return _start_time(self.pid) == self.started
        except ProcessLookupError:
            return False

    def open(self) -> int:
        """A pidfd of this very process; raises ProcessLookupError when it has ended."""
        fd = os.pidfd_open(self.pid)
        if not self.alive():
            os.close(fd)
            raise ProcessLookupError(self.pid)
        return fd


def _start_time(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    # The second field, the command in brackets, may itself hold brackets and blanks.
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return int(fields[19])


@dataclass(frozen=True)
class Record:
    """What `state.json` in a run directory says about a running cluster."""

    name: str
    socket: str
    boot: str
    init: Process
    launcher: Process
    janitor: Process
    keep_credentials: bool
    """Whether a process that enters keeps its user, because that user is the sandbox's root."""

    def save(self, run_dir: Path) -> None:
        """Write the file in one step."""
        fresh = run_dir / "state.json.new"
        fresh.write_text(json.dumps(asdict(self), indent=1))
        fresh.rename(run_dir / "state.json")

    @classmethod
    def load(cls, run_dir: Path) -> Record | None:
        """Read the file; None when there is none, or it makes no sense."""
        try:
            fields = json.loads((run_dir / "state.json").read_text())
            fields.update({role: Process(**fields[role]) for role in ("init", "launcher", "janitor")})
            return cls(**fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def running(self) -> bool:
        """Whether the sandbox that it speaks of runs."""
        return self.boot == boot_id() and self.init.alive()

    def forget(self, run_dir: Path) -> None:
        """Remove what is left when launcher and janitor were killed at once; else it is theirs to do."""
        if self.boot == boot_id() and (self.launcher.alive() or self.janitor.alive()):
            return
        for path in (Path(self.socket), run_dir / "control.sock", run_dir / "state.json"):
            with suppress(OSError):
                path.unlink()


def boot_id() -> str:
    """The kernel's name for this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def lock(run_dir: Path) -> int:
    """Make the run directory if need be and hold it for this process and its children.

    Returns the file descriptor that holds it. Raises SandboxError when a cluster of that name runs or is
    starting or ending, and where it cannot be made.
    """
    while True:
        try:
            run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SandboxError(
                f"the run directory {run_dir} cannot be made: {error.strerror}",
                hint="set MININETES_HOME to a directory that you may write to",
            ) from None
        try:
            fd = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # its last owner removed it between the two calls
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise name_taken(run_dir.name) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.stat(run_dir)):
                return fd
        os.close(fd)

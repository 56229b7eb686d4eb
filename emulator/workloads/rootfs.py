"""The file systems that containers see.

`Template` is made once, in the spawner's own mount namespace: a small root that holds the host's
programs read-only, a minimal `/dev` and the run directory. Each container copies that namespace, so
its cost does not grow with what is mounted elsewhere, and builds its own root in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from emulator.linux import mounts
from emulator.linux.mounts import MountFlag
from emulator.workloads.layers import lay_over, make_place
from emulator.workloads.spec import BUSYBOX, ContainerSpec, Mount

SHARED_DIRECTORIES = frozenset(
    {"bin", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr"}
)
"""Top-level directories that containers see of the host. The others (homes, run directories,
sockets, variable data) are nobody's business and are replaced by empty ones of their own."""

_OWN_DIRECTORIES = ("home", "media", "mnt", "srv", "var/cache", "var/lib", "var/log", "var/spool")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SCRATCH = "/tmp"
_HOST = "/host"
_RUN = "/run-directory"
_BUSYBOX = "/busybox"
_EMPTY = "/empty"
_SHADOW = "/shadow"
_CONTAINER = "/container"
_OLD = "/.old"
_PLAIN = "/.host"
"""Where a container finds the host's directories of which it sees a changed version elsewhere."""
_LINK_LIMIT = 40
_QUIET = MountFlag.NO_SUID | MountFlag.NO_DEV
_INERT = _QUIET | MountFlag.NO_EXEC
_READ_ONLY_PROC = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_HIDDEN_PROC = ("acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "scsi", "timer_list")
_ROOT_SIZE = "size=256m,mode=755"


@dataclass(frozen=True, slots=True)
class Template:
    """The spawner's lean root, from which container roots are made."""

    directories: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    run_directory: str

    @classmethod
    def make(cls, run_directory: str, busybox: str, tools: str, hidden: Sequence[str]) -> Template:
        """Build the template in the caller's mount namespace, which has to be its own, and move into it.

        `busybox` is the path of the program, or empty where the host has none; programs in the directory
        `tools` replace its applets. Containers do not see the `hidden` directories. Raises OSError.
        """
        mounts.mount(None, "/", flags=MountFlag.RECURSIVE | MountFlag.PRIVATE)
        programs = _read_programs(tools)
        run_descriptor = os.open(run_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        directories, links = _shared_entries()
        sources = {name: os.open(f"/{name}", os.O_PATH | os.O_CLOEXEC) for name in directories}
        mounts.mount("tmpfs", _SCRATCH, "tmpfs", _QUIET, "mode=755")
        for path in (_HOST, _RUN, _BUSYBOX, _EMPTY, _SHADOW, _CONTAINER, "/dev", "/proc", "/sys", _OLD):
            os.mkdir(_SCRATCH + path)
        for name, descriptor in sources.items():
            os.mkdir(f"{_SCRATCH}{_HOST}/{name}")
            mounts.bind(f"/proc/self/fd/{descriptor}", f"{_SCRATCH}{_HOST}/{name}")
            mounts.make_read_only(f"{_SCRATCH}{_HOST}/{name}")
            os.close(descriptor)
        for name, target in links:
            os.symlink(target, f"{_SCRATCH}{_HOST}/{name}")
        mounts.bind(f"/proc/self/fd/{run_descriptor}", _SCRATCH + _RUN)
        os.close(run_descriptor)
        for name in ("proc", "sys"):
            mounts.bind(f"/{name}", f"{_SCRATCH}/{name}")
        for path in (run_directory, *hidden):
            _hide(path, directories)
        mounts.mount("tmpfs", _SCRATCH + _EMPTY, "tmpfs", _INERT | MountFlag.READ_ONLY, "size=4k")
        _make_devices(_SCRATCH + "/dev")
        _install_busybox(busybox, programs, _SCRATCH + _BUSYBOX)
        mounts.pivot_root(_SCRATCH, _SCRATCH + _OLD)
        mounts.unmount(_OLD)
        return cls(directories, links, run_directory)

    def enter(self, spec: ContainerSpec) -> None:
        """Build the root that `spec` asks for and move into it. The caller's mount, PID, UTS, IPC and
        network namespaces must be the container's. Raises OSError."""
        mounts.mount("tmpfs", _CONTAINER, "tmpfs", _QUIET, _ROOT_SIZE)
        placed = (Mount(self._outside(m.source), self._resolve(m.target), m.read_only) for m in spec.mounts)
        wanted = sorted(placed, key=lambda mount: PurePosixPath(mount.target).parts)
        self._fill(spec, wanted)
        os.mkdir(_CONTAINER + _OLD)
        mounts.pivot_root(_CONTAINER, _CONTAINER + _OLD)
        for mount in wanted:
            _place(mount)
        if spec.read_only_root:
            mounts.mount(None, "/", flags=MountFlag.REMOUNT | MountFlag.BIND | MountFlag.READ_ONLY | _QUIET)
        mounts.unmount(_OLD)
        if not spec.read_only_root:
            os.rmdir(_OLD)

    def _fill(self, spec: ContainerSpec, wanted: Iterable[Mount]) -> None:
        """Everything of a container's root but its volumes."""
        shadows = self._shadows(wanted)
        for name in self.directories:
            os.mkdir(f"{_CONTAINER}/{name}")
            if name in shadows:
                os.makedirs(f"{_CONTAINER}{_PLAIN}/{name}")
                mounts.bind(f"{_HOST}/{name}", f"{_CONTAINER}{_PLAIN}/{name}")
                lay_over(
                    shadows[name], f"{_HOST}/{name}", f"{_CONTAINER}/{name}", lower_inside=f"{_PLAIN}/{name}"
                )
            else:
                mounts.bind(f"{_HOST}/{name}", f"{_CONTAINER}/{name}")
        for name, target in self.links:
            os.symlink(target, f"{_CONTAINER}/{name}")
        if shadows:
            # Links that lead from one of the host's directories to another have to lead somewhere here too.
            for name in (*self.directories, *(name for name, _ in self.links)):
                if name not in shadows:
                    os.symlink(f"/{name}", f"{_CONTAINER}{_PLAIN}/{name}")
        for name in _OWN_DIRECTORIES:
            os.makedirs(f"{_CONTAINER}/{name}")
        for name, mode in (("root", 0o700), ("run", 0o755), ("tmp", 0o1777), ("var/tmp", 0o1777)):
            _own_directory(f"{_CONTAINER}/{name}", mode, writable=spec.read_only_root)
        os.symlink("/run", f"{_CONTAINER}/var/run")
        if spec.busybox:
            os.mkdir(_CONTAINER + BUSYBOX)
            mounts.bind(_BUSYBOX, _CONTAINER + BUSYBOX)
        _mount_kernel_views(_CONTAINER)

    def _outside(self, source: str) -> str:
        """Where a path of the run directory is seen after the container's root has taken over."""
        return _OLD + _RUN + source.removeprefix(self.run_directory)

    def _resolve(self, target: str) -> str:
        """`target` with the symbolic links of the container's file system followed."""
        pending, done = list(PurePosixPath(target).parts[1:]), PurePosixPath("/")
        for _ in range(_LINK_LIMIT):
            while pending:
                step = pending.pop(0)
                if step == "..":
                    done = done.parent
                    continue
                link = _read_link(f"{_HOST}{done / step}")
                if link is not None:
                    pending[:0] = [part for part in PurePosixPath(link).parts if part != "/"]
                    done = PurePosixPath("/") if link.startswith("/") else done
                    break
                done /= step
            else:
                return str(done)
        raise OSError(40, os.strerror(40), target)

    def _shadows(self, wanted: Iterable[Mount]) -> dict[str, str]:
        """Directories to lay over the host's, which hold the mount points that the host lacks."""
        shadows: dict[str, str] = {}
        covered: list[PurePosixPath] = []
        for mount in wanted:
            target = PurePosixPath(mount.target)
            top = target.parts[1] if len(target.parts) > 1 else ""
            if top not in self.directories or any(target.is_relative_to(upper) for upper in covered):
                continue
            covered.append(target)
            if os.path.lexists(f"{_HOST}{target}"):
                continue
            if not shadows:
                mounts.mount("tmpfs", _SHADOW, "tmpfs", _QUIET, "mode=755,size=1m")
            shadows[top] = f"{_SHADOW}/{top}"
            make_place(_SHADOW + mount.target, directory=os.path.isdir(mount.source.removeprefix(_OLD)))
        return shadows


def _shared_entries() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    directories, links = [], []
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.name not in SHARED_DIRECTORIES:
            continue
        if entry.is_symlink():
            links.append((entry.name, os.readlink(entry.path)))
        elif entry.is_dir():
            directories.append(entry.name)
    return tuple(directories), tuple(links)


def _hide(path: str, directories: Iterable[str]) -> None:
    """Cover a directory that lies below one that containers see: sockets in it would be open to them."""
    if PurePosixPath(path).parts[1] in directories:
        mounts.mount("tmpfs", f"{_SCRATCH}{_HOST}{path}", "tmpfs", _INERT | MountFlag.READ_ONLY, "size=4k")


def _make_devices(directory: str) -> None:
    mounts.mount("tmpfs", directory, "tmpfs", MountFlag.NO_SUID, "mode=755,size=64k")
    for name in _DEVICES:
        os.close(os.open(f"{directory}/{name}", os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC))
        mounts.mount(f"/dev/{name}", f"{directory}/{name}", flags=MountFlag.BIND)
    # A read-only directory cannot be given a mount point later.
    os.close(os.open(f"{directory}/termination-log", os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC))
    for name in ("shm", "pts"):
        os.mkdir(f"{directory}/{name}")
    for name, target in (
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ):
        os.symlink(target, f"{directory}/{name}")
    mounts.mount(
        None, directory, flags=MountFlag.REMOUNT | MountFlag.BIND | MountFlag.READ_ONLY | MountFlag.NO_SUID
    )


def _read_programs(directory: str) -> dict[str, bytes]:
    programs = {}
    for entry in os.scandir(directory):
        with open(entry.path, "rb") as file:
            programs[entry.name] = file.read()
    return programs


def _install_busybox(applets: str, programs: Mapping[str, bytes], directory: str) -> None:
    mounts.mount("tmpfs", directory, "tmpfs", _QUIET, "mode=755,size=1m")
    if applets:
        pid = os.posix_spawn(applets, [applets, "--install", "-s", directory], {})
        if os.waitpid(pid, 0)[1]:
            raise OSError(5, "busybox cannot install its applets", applets)
    for name, content in programs.items():
        target = f"{directory}/{name}"
        if os.path.lexists(target):
            os.unlink(target)
        with open(target, "wb") as file:
            file.write(content)
        os.chmod(target, 0o755)
    mounts.make_read_only(directory)


def _mount_kernel_views(root: str) -> None:
    """`/dev`, `/proc` and `/sys`, of which nothing can be changed."""
    for name in ("dev", "proc", "sys"):
        os.mkdir(f"{root}/{name}")
    mounts.bind("/dev", f"{root}/dev")
    mounts.mount("tmpfs", f"{root}/dev/shm", "tmpfs", _INERT, "mode=1777,size=64m")
    terminals = "ptmxmode=0666,mode=620"
    mounts.mount("devpts", f"{root}/dev/pts", "devpts", MountFlag.NO_SUID | MountFlag.NO_EXEC, terminals)
    mounts.mount("proc", f"{root}/proc", "proc", _INERT)
    try:
        mounts.mount("sysfs", f"{root}/sys", "sysfs", _INERT | MountFlag.READ_ONLY)
    except PermissionError:
        # A host that covers parts of its own /sys (a container does) forbids an uncovered one.
        mounts.mount("tmpfs", f"{root}/sys", "tmpfs", _INERT | MountFlag.READ_ONLY, "size=4k")
    for name in _READ_ONLY_PROC:
        path = f"{root}/proc/{name}"
        if os.path.exists(path):
            mounts.bind(path, path)
            mounts.mount(None, path, flags=MountFlag.REMOUNT | MountFlag.BIND | MountFlag.READ_ONLY | _INERT)
    for name in _HIDDEN_PROC:
        path = f"{root}/proc/{name}"
        if os.path.isdir(path):
            mounts.bind(_EMPTY, path)
        elif os.path.exists(path):
            mounts.bind("/dev/null", path)


def _own_directory(path: str, mode: int, *, writable: bool) -> None:
    """A directory of the container's own; `writable` keeps it so when its root is read-only."""
    os.mkdir(path)
    os.chmod(path, mode)
    if writable:
        mounts.bind(path, path)


def _place(mount: Mount) -> None:
    if not os.path.exists(mount.target):
        make_place(mount.target, directory=os.path.isdir(mount.source))
    mounts.bind(mount.source, mount.target)
    if mount.read_only:
        mounts.make_read_only(mount.target)


def _read_link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None

"""What the sandbox sees of the host's files: everything read-only, nobody's home, nothing of other clusters.

The host's tree stays where it is, so that interpreters, tools and their libraries work unchanged. Over it
lie fresh file systems (`Hide`), and on these the few directories that the sandbox needs from below
(`Expose`). All of it is mounted while preparing, one user namespace above the sandbox: inside, these mounts
are locked, and not even the sandbox's root can unmount them or make them writable again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from emulator.linux import mounts
from emulator.linux.mounts import MountAttribute, MountFlag
from emulator.sandbox.places import RUN

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_TUN = os.makedev(10, 200)


@dataclass(frozen=True)
class Hide:
    """A fresh, empty file system over a directory of the host."""

    path: str
    mode: int = 0o755


@dataclass(frozen=True)
class Expose:
    """A directory of the host, seen at `at`."""

    path: str
    at: str
    writable: bool = False


Step = Hide | Expose


def plan(code: Iterable[str], run_dir: str, homes: Iterable[str]) -> tuple[Step, ...]:
    """Order what is hidden and exposed, outer directories first.

    `code` are the directories that interpreter and project are read from, `run_dir` is what the sandbox may
    write, `homes` are directories to hide beside the usual ones.
    """
    trees = {os.path.realpath(path) for path in code}
    hides = {"/tmp": 0o1777, "/var/tmp": 0o1777, "/run": 0o755, "/root": 0o755, "/home": 0o755}
    hides.update({os.path.realpath(home): 0o755 for home in homes})
    for tree in trees:
        hides.update(dict.fromkeys(_closed_parents(tree), 493))
    hides.pop("/", None)
    steps: list[Step] = [Hide(path, mode) for path, mode in hides.items()]
    steps += [Expose(path, path) for path in trees]
    steps.append(Expose(run_dir, RUN, writable=True))
    return tuple(sorted(steps, key=_order))


def _order(step: Step) -> tuple[int, bool, str]:
    place = step.at if isinstance(step, Expose) else step.path
    return place.count("/"), isinstance(step, Expose), place


def _closed_parents(path: str) -> list[str]:
    """Directories above `path` that only their owner or group may pass."""
    parents = []
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            parents.append(path)
    return parents


def prepare(steps: Sequence[Step], *, root: int, users: int | None) -> None:
    """Build the view in a fresh mount namespace of this process's own.

    `root` is the id of the sandbox's root; `users` a descriptor of a user namespace with the sandbox's map,
    through which files of the host's root are seen as the sandbox's root's (None where they already are).
    """
    mounts.mount(None, "/", None, MountFlag.RECURSIVE | MountFlag.PRIVATE)
    trees = {step: _take(step, users) for step in steps if isinstance(step, Expose)}
    devices = {name: mounts.clone_tree(f"/dev/{name}") for name in _DEVICES if os.path.exists(f"/dev/{name}")}
    tun = mounts.clone_tree("/dev/net/tun") if os.path.exists("/dev/net/tun") else None
    mounts.change_tree("/", add=MountAttribute.READ_ONLY | MountAttribute.NO_SUID)
    for own in filter(os.path.ismount, ("/proc", "/sys")):
        # Where the host's is locked read-only, the kernel lets nobody inside mount a writable one for itself.
        mounts.change_tree(own, remove=MountAttribute.READ_ONLY)
    for step in steps:
        if isinstance(step, Hide):
            if os.path.isdir(step.path):  # else an outer one hides it already
                _mount_empty(step.path, step.mode, root)
        else:
            os.makedirs(step.at, exist_ok=True)
            mounts.attach_tree(trees[step], step.at)
    _make_devices(devices, tun, root)


def _take(step: Expose, users: int | None) -> int:
    tree = mounts.clone_tree(step.path)
    if step.writable:
        return tree
    mounts.change_tree(tree, add=MountAttribute.READ_ONLY | MountAttribute.NO_SUID)
    if users is not None:
        try:
            mounts.change_tree(tree, add=MountAttribute.ID_MAPPED, users=users)
        except OSError as error:
            # Then files that only root may read stay out of reach; a file system without this feature is no
            # reason to stop.
            if not mounts.is_unsupported(error):
                raise
    return tree


def _mount_empty(
    path: str, mode: int, root: int, flags: MountFlag = MountFlag.NO_SUID | MountFlag.NO_DEV
) -> None:
    mounts.mount("mininetes", path, "tmpfs", flags, f"mode={mode:o},uid={root},gid={root}")


def _make_devices(devices: dict[str, int], tun: int | None, root: int) -> None:
    _mount_empty("/dev", 0o755, root, MountFlag.NO_SUID)
    for name, tree in devices.items():
        os.close(os.open(f"/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        mounts.attach_tree(tree, f"/dev/{name}")
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"/dev/{name}")
    for name in ("net", "pts", "shm"):
        os.mkdir(f"/dev/{name}")
    _mount_empty("/dev/shm", 0o1777, root)
    try:
        os.mknod("/dev/net/tun", stat.S_IFCHR | 0o666, _TUN)
        os.chmod("/dev/net/tun", 0o666)
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except PermissionError:
        # Only the host's root may make device nodes; an ordinary user has the host's own, with its mode.
        with suppress(FileNotFoundError):
            os.unlink("/dev/net/tun")
        if tun is not None:
            os.close(os.open("/dev/net/tun", os.O_CREAT | os.O_WRONLY, 0o666))
            mounts.attach_tree(tun, "/dev/net/tun")


def finish(openvswitch: str) -> None:
    """Mount what belongs to the sandbox's own namespaces; runs inside, as its first process.

    `openvswitch` is the directory that tools find the daemons' sockets in without being told.
    """
    mounts.mount(None, "/", None, MountFlag.RECURSIVE | MountFlag.PRIVATE)
    guarded = MountFlag.NO_SUID | MountFlag.NO_DEV | MountFlag.NO_EXEC
    mounts.mount("proc", "/proc", "proc", guarded)
    mounts.mount(
        "devpts",
        "/dev/pts",
        "devpts",
        MountFlag.NO_SUID | MountFlag.NO_EXEC,
        "newinstance,ptmxmode=0666,mode=620",
    )
    try:
        mounts.mount("sysfs", "/sys", "sysfs", guarded | MountFlag.READ_ONLY)
    except PermissionError:
        # Inside another container: rather no /sys than one that shows the host's interfaces.
        mounts.mount("mininetes", "/sys", "tmpfs", guarded | MountFlag.READ_ONLY)
    os.makedirs("/run/netns", exist_ok=True)
    os.symlink(openvswitch, "/run/openvswitch")

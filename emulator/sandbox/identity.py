"""Who the sandbox's users are on the host.

Root and ordinary users take the same two steps. A *preparing* step may change mounts and give ids away;
then comes the sandbox's own user namespace, in which everything runs. Root prepares with its own rights. An
ordinary user prepares inside an outer user namespace that maps the user to 0 and, where newuidmap allows
it, a range of subordinate ids behind it. Mounts made while preparing are locked for everything inside
(mount_namespaces(7)).
"""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

RANGE = 65536
FIRST_FOR_ROOT = 100000
_CAP_SYS_ADMIN = 21


@dataclass(frozen=True)
class Extent:
    """A run of `count` ids: from `inside` on in the namespace, from `outside` on in its parent."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        return f"{self.inside} {self.outside} {self.count}"


IdMap = tuple[Extent, ...]


@dataclass(frozen=True)
class Identity:
    """Who is who in the two user namespaces, as pairs of maps for users and for groups.

    `outer` is None when the caller prepares with its own rights.
    """

    outer: tuple[IdMap, IdMap] | None
    inner: tuple[IdMap, IdMap]

    @property
    def root(self) -> int:
        """The id of the sandbox's root as the preparing step sees it."""
        return self.inner[0][0].outside

    @property
    def single(self) -> bool:
        """Whether the sandbox has one user only."""
        return sum(extent.count for extent in self.inner[0]) == 1


def identify() -> Identity:
    """Choose the maps for the user who runs this process."""
    if has_admin_rights():
        extents = (
            Extent(0, FIRST_FOR_ROOT, RANGE) if _is_mapped(FIRST_FOR_ROOT, RANGE) else Extent(0, 0, 1),
        )
        return Identity(None, (extents, extents))
    users, groups = _subordinate("/etc/subuid"), _subordinate("/etc/subgid")
    if (
        users is None
        or groups is None
        or shutil.which("newuidmap") is None
        or shutil.which("newgidmap") is None
    ):
        single = (Extent(0, 0, 1),)
        return Identity(((Extent(0, os.geteuid(), 1),), (Extent(0, os.getegid(), 1),)), (single, single))
    return Identity(
        ((Extent(0, os.geteuid(), 1), users), (Extent(0, os.getegid(), 1), groups)),
        (_onto_itself(users), _onto_itself(groups)),
    )


def _onto_itself(behind: Extent) -> IdMap:
    # The kernel takes no extent that crosses from one extent of the parent's map into the next.
    return Extent(0, 0, 1), Extent(1, 1, behind.count)


def has_admin_rights() -> bool:
    """Whether this process is root and holds CAP_SYS_ADMIN, which root in a container may lack."""
    if os.geteuid() != 0:
        return False
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_ADMIN & 1)


def _is_mapped(first: int, count: int) -> bool:
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, _outside, size = map(int, line.split())
        if inside <= first and first + count <= inside + size:
            return True
    return False


def _subordinate(path: str) -> Extent | None:
    """The largest range that the file (subuid(5)) gives to this user, as ids from 1 on."""
    uid = os.geteuid()
    try:
        owners = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        owners = {str(uid)}
    try:
        rows = [line.split(":") for line in Path(path).read_text().splitlines() if line.count(":") == 2]
    except OSError:
        return None
    ranges = [(int(count), int(first)) for owner, first, count in rows if owner in owners and int(count) > 0]
    if not ranges:
        return None
    count, first = max(ranges)
    return Extent(1, first, min(count, RANGE - 1))


def write_maps(pid: int, maps: tuple[IdMap, IdMap]) -> None:
    """Write the maps of the user namespace of `pid`, a child of ours; needs rights over both sets of ids."""
    for kind, extents in zip(("uid", "gid"), maps, strict=True):
        Path(f"/proc/{pid}/{kind}_map").write_text("".join(f"{extent}\n" for extent in extents))


def map_outer(pid: int, maps: tuple[IdMap, IdMap]) -> None:
    """Write the maps of an ordinary user's outer namespace; for more than one id through newuidmap.

    Raises OSError, or ChildProcessError when newuidmap refuses.
    """
    if len(maps[0]) == 1:
        Path(f"/proc/{pid}/setgroups").write_text("deny")
        write_maps(pid, maps)
        return
    for tool, extents in zip(("newuidmap", "newgidmap"), maps, strict=True):
        numbers = " ".join(str(extent) for extent in extents).split()
        child = os.posix_spawnp(tool, [tool, str(pid), *numbers], dict(os.environ))
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise ChildProcessError(f"{tool} {pid} {' '.join(numbers)} ended with {code}")


def become_root() -> None:
    """Take the ids 0 of this process's user namespace, and drop other groups where that is allowed."""
    if Path("/proc/self/setgroups").read_text().strip() == "allow":
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)

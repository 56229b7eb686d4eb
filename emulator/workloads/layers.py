"""Directories of the host with mount points in them that the host lacks.

A read-only directory cannot be given a mount point, so a container that mounts a volume at
`/usr/share/nginx/html` sees a `/usr` in which that path exists. That is an overlay mount where the
kernel permits one, else a directory of symbolic links.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from emulator.linux import mounts
from emulator.linux.mounts import MountFlag


def make_place(path: str, *, directory: bool) -> None:
    """An empty directory or file to mount on."""
    os.makedirs(path if directory else os.path.dirname(path), exist_ok=True)
    if not directory:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def lay_over(upper: str, lower: str, target: str, *, lower_inside: str) -> None:
    """Show `lower` at the directory `target`, with what `upper` has besides. Nothing there can be written.

    `lower_inside` is where the container sees `lower` too.
    """
    flags = MountFlag.READ_ONLY | MountFlag.NO_SUID | MountFlag.NO_DEV
    try:
        mounts.mount("overlay", target, "overlay", flags, f"lowerdir={upper}:{lower}")
    except OSError:
        # Old kernels cannot, nor can any where something is mounted below `lower`, as in a container.
        _link(upper, lower, target, PurePosixPath(lower_inside))
        mounts.bind(target, target)
        mounts.make_read_only(target)


def _link(upper: str, lower: str, target: str, lower_inside: PurePosixPath) -> None:
    """Fill `target` with links to what is in `lower`, and with directories where `upper` adds something."""
    added = {entry.name: entry.is_dir() for entry in os.scandir(upper)}
    there = {entry.name: entry.is_dir() for entry in os.scandir(lower)} if os.path.isdir(lower) else {}
    for name in there.keys() - added.keys():
        os.symlink(lower_inside / name, f"{target}/{name}")
    for name, is_directory in added.items():
        if is_directory:
            os.mkdir(f"{target}/{name}")
            _link(f"{upper}/{name}", f"{lower}/{name}", f"{target}/{name}", lower_inside / name)
        else:
            make_place(f"{target}/{name}", directory=False)

"""The private Open vSwitch of a sandbox: its two daemons and the steps before them, as units."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from emulator.sandbox.errors import SandboxError
from emulator.sandbox.places import RUN
from emulator.sandbox.services import Ready, Unit

DIRECTORY = f"{RUN}/ovs"
"""Database, sockets, pid files and logs, as seen inside."""

DATABASE_SOCKET = f"{DIRECTORY}/db.sock"

ENVIRONMENT: Mapping[str, str] = {
    "OVS_RUNDIR": DIRECTORY,
    "OVS_DBDIR": DIRECTORY,
    "OVS_LOGDIR": DIRECTORY,
    "OVS_SYSCONFDIR": DIRECTORY,
}

_SCHEMAS = ("/usr/share/openvswitch/vswitch.ovsschema", "/usr/local/share/openvswitch/vswitch.ovsschema")


class Datapath(StrEnum):
    """Which of Open vSwitch's datapaths forwards packets."""

    NETDEV = "netdev"
    """In ovs-vswitchd itself: works everywhere."""
    KERNEL = "kernel"
    """In the kernel's openvswitch module, where there is one."""


def has_kernel_datapath() -> bool:
    """Whether the running kernel has Open vSwitch's module, loaded or built in."""
    if Path("/sys/module/openvswitch").is_dir():
        return True
    with suppress(OSError):
        built_in = Path("/lib/modules", os.uname().release, "modules.builtin").read_text()
        return "/openvswitch.ko" in built_in
    return False


def schema() -> str:
    """The installed schema of the Open_vSwitch database; raises SandboxError."""
    for path in _SCHEMAS:
        if os.path.exists(path):
            return path
    raise SandboxError("Open vSwitch is not installed", hint="run: mininetes doctor")


def units(datapath: Datapath, *, offload: bool) -> tuple[Unit, ...]:
    """What has to run before anything else; `offload` switches userspace TSO on, in time.

    Raises SandboxError when Open vSwitch or the wanted datapath is not there.
    """
    if datapath is Datapath.KERNEL and not has_kernel_datapath():
        raise SandboxError(
            "this kernel has no openvswitch module loaded",
            hint="as root: modprobe openvswitch; or leave --datapath at netdev",
        )
    database = f"{DIRECTORY}/conf.db"
    settings = [f"other_config:userspace-tso-enable={str(offload).lower()}"]
    return (
        Unit("ovs-database", ("ovsdb-tool", "create", database, schema()), ready=Ready.EXIT),
        Unit(
            "ovsdb-server",
            ("ovsdb-server", database, f"--remote=punix:{DATABASE_SOCKET}", *_daemon("ovsdb-server")),
            ready=Ready.DAEMON,
            after=("ovs-database",),
            pid_file=f"{DIRECTORY}/ovsdb-server.pid",
        ),
        Unit(
            "ovs-settings",
            ("ovs-vsctl", "--no-wait", "--timeout=10", "init", "--", "set", "Open_vSwitch", ".", *settings),
            ready=Ready.EXIT,
            after=("ovsdb-server",),
        ),
        Unit(
            "ovs-vswitchd",
            (
                "ovs-vswitchd",
                f"unix:{DATABASE_SOCKET}",
                *_daemon("ovs-vswitchd"),
                *(("--disable-system",) if datapath is Datapath.NETDEV else ()),
            ),
            ready=Ready.DAEMON,
            after=("ovs-settings",),
            pid_file=f"{DIRECTORY}/ovs-vswitchd.pid",
        ),
    )


def _daemon(name: str) -> tuple[str, ...]:
    return (
        f"--pidfile={DIRECTORY}/{name}.pid",
        f"--log-file={DIRECTORY}/{name}.log",
        "--detach",
        "--no-chdir",
        "-vconsole:off",
        "-vsyslog:off",
    )

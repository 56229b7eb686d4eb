"""Can this machine run clusters? Every check tries the thing itself and says how to mend what is missing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from emulator.linux import mounts, namespaces
from emulator.linux.namespaces import Namespace
from emulator.sandbox import openvswitch
from emulator.sandbox.errors import SandboxError
from emulator.sandbox.identity import has_admin_rights, identify
from emulator.sandbox.launching import launch
from emulator.sandbox.sandbox import Sandbox

PATIENCE = 10.0
"""Seconds that one trial may take."""

_OPEN_FILES = 4096
_NEIGHBOURS = 1024
_INOTIFY_INSTANCES = 64


@dataclass(frozen=True)
class Check:
    """One thing that the program needs, or is better with."""

    name: str
    purpose: str
    ok: bool
    needed: bool
    """Whether no cluster can run without it."""
    detail: str
    mend: str
    """What to do when it is not `ok`."""


@dataclass(frozen=True)
class Trial:
    """What was found when a thing was tried."""

    ok: bool
    detail: str
    mend: str = ""


def examine() -> tuple[Check, ...]:
    """Try everything; takes about a second. Leaves nothing behind."""
    return (*_on_the_host(), *_in_a_sandbox())


def _on_the_host() -> Iterator[Check]:
    yield _check("python", "runs the program", _python())
    yield _check(
        "user namespaces", "every cluster lives in some, so that no host rights are needed", _namespaces()
    )
    yield _check(
        "subordinate ids",
        "more than one user inside a cluster: tcpdump and others drop to one",
        _ids(),
        needed=False,
    )
    yield _check("/dev/net/tun", "the bridges' own ports", _tun())
    for command, package, purpose in _COMMANDS:
        yield _check(command, purpose, _command(command, package))
    for command, package in _POD_COMMANDS:
        yield _check(command, "for commands in pods", _command(command, package), needed=False)
    yield _check("bird", "topologies with a router that speaks BGP", _command("bird", "bird2"), needed=False)
    yield _check("open files", "one or two for each pod", _open_files(), needed=False)
    yield _check("inotify", "log following", _inotify(), needed=False)
    yield _check("neighbour table", "one or two entries for each pod", _neighbours(), needed=False)
    yield _check("openvswitch module", "--datapath kernel", _kernel_datapath(), needed=False)


_COMMANDS = (
    ("ovs-vswitchd", "openvswitch-switch", "forwards the packets"),
    ("ovsdb-server", "openvswitch-switch", "holds the configuration of Open vSwitch"),
    ("ovs-vsctl", "openvswitch-switch", "configures Open vSwitch"),
    ("ovs-ofctl", "openvswitch-switch", "shows flow tables"),
    ("mnexec", "mininet", "shells of Mininet's hosts"),
    ("ip", "iproute2", "Mininet's commands"),
    ("tc", "iproute2", "rate, delay and loss of links"),
    ("nsenter", "util-linux", "exec and shell"),
    ("openssl", "openssl", "the API server's certificate"),
)
_POD_COMMANDS = (
    ("busybox", "busybox"),
    ("ping", "iputils-ping"),
    ("traceroute", "traceroute"),
    ("tcpdump", "tcpdump"),
    ("dig", "bind9-dnsutils"),
    ("curl", "curl"),
    ("haproxy", "haproxy"),
    ("nc", "netcat-openbsd"),
    ("iperf", "iperf"),
)


def _check(name: str, purpose: str, trial: Trial, *, needed: bool = True) -> Check:
    return Check(name, purpose, trial.ok, needed, trial.detail, trial.mend)


# -- on the host


def _python() -> Trial:
    found = ".".join(map(str, sys.version_info[:3]))
    return Trial(sys.version_info >= (3, 11), found, "install Python 3.11 or newer, then: make install")


def _namespaces() -> Trial:
    try:
        _in_a_child(_use_namespaces)
    except OSError as error:
        return Trial(False, str(error), _how_to_mend_namespaces())
    return Trial(True, "kernel " + os.uname().release)


def _use_namespaces() -> None:
    """Fails where namespaces are forbidden, and where they exist without the rights that belong to them."""
    kinds = Namespace.MOUNT | Namespace.NET
    namespaces.unshare(kinds if has_admin_rights() else kinds | Namespace.USER)
    flags = mounts.MountFlag.RECURSIVE | mounts.MountFlag.PRIVATE
    mounts.mount(None, "/", None, flags)
    os.close(mounts.clone_tree("/"))
    mounts.change_tree("/", add=mounts.MountAttribute.READ_ONLY)


def _how_to_mend_namespaces() -> str:
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return _MEND_APPARMOR.format(os.path.realpath(sys.executable))
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return "as root: sysctl -w kernel.unprivileged_userns_clone=1"
    if _setting("user/max_user_namespaces") == "0":
        return "as root: sysctl -w user.max_user_namespaces=15000"
    return (
        "use Linux 5.12 or newer; inside a container, allow unshare and mount (docker run --privileged), "
        "or use a virtual machine"
    )


_MEND_APPARMOR = """\
AppArmor takes the rights in user namespaces away (Ubuntu 24.04 and later). As root, allow this interpreter:
  cat > /etc/apparmor.d/mininetes <<END
  abi <abi/4.0>,
  include <tunables/global>
  profile mininetes {0} flags=(unconfined) {{
    userns,
  }}
  END
  apparmor_parser -r /etc/apparmor.d/mininetes
or allow every program: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"""


def _ids() -> Trial:
    try:
        identity = identify()
    except (OSError, ValueError) as error:
        return Trial(False, str(error), _MEND_IDS)
    if identity.single:
        return Trial(
            False, "one id only: tcpdump refuses to run in pods, and files cannot change owner", _MEND_IDS
        )
    return Trial(True, f"{sum(extent.count for extent in identity.inner[0])} ids")


_MEND_IDS = (
    "as root: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
)


def _tun() -> Trial:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except FileNotFoundError:
        if has_admin_rights():
            return Trial(_has_tun_driver(), "no node, but root makes its own", "as root: modprobe tun")
        return Trial(False, "there is none", "as root: modprobe tun; chmod 0666 /dev/net/tun")
    except OSError as error:
        mend = "as root: chmod 0666 /dev/net/tun (the mode that systemd and Debian give it)"
        return Trial(False, error.strerror or str(error), mend)
    return Trial(True, f"mode {os.stat('/dev/net/tun').st_mode & 0o777:04o}")


def _has_tun_driver() -> bool:
    with suppress(OSError):
        return " tun\n" in Path("/proc/misc").read_text()
    return False


def _command(command: str, package: str) -> Trial:
    path = shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return Trial(path is not None, path or "not found", f"as root: apt-get install {package}")


def _open_files() -> Trial:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= _OPEN_FILES or has_admin_rights()
    return Trial(enough, f"up to {hard}", f"raise the hard limit, for example: ulimit -Hn {1 << 20} as root")


def _inotify() -> Trial:
    found = int(_setting("fs/inotify/max_user_instances") or 0)
    return Trial(
        found >= _INOTIFY_INSTANCES, str(found), "as root: sysctl -w fs.inotify.max_user_instances=512"
    )


def _neighbours() -> Trial:
    """The kernel has one table for all network namespaces of the machine, so all clusters share it."""
    limits = [_setting(f"net/{family}/neigh/default/gc_thresh3") for family in ("ipv4", "ipv6")]
    least = min((int(limit) for limit in limits if limit), default=_NEIGHBOURS)
    return Trial(
        least >= _NEIGHBOURS,
        f"room for {least} in all clusters together",
        "as root, for more pods than that: sysctl -w net.ipv4.neigh.default.gc_thresh3=16384 "
        "net.ipv6.neigh.default.gc_thresh3=16384",
    )


def _kernel_datapath() -> Trial:
    return Trial(openvswitch.has_kernel_datapath(), "", "as root: modprobe openvswitch")


def _setting(path: str) -> str:
    with suppress(OSError):
        return Path("/proc/sys", path).read_text().strip()
    return ""


def _in_a_child(action: Callable[[], None]) -> None:
    """Run `action` in a child process, so that its namespaces go with it; raises its OSError."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hear)
            action()
        except OSError as error:
            os.write(say, str(error).encode())
        finally:
            os._exit(0)
    os.close(say)
    with os.fdopen(hear) as answer:
        message = answer.read()
    os.waitpid(child, 0)
    if message:
        raise OSError(message)


# -- in a sandbox


@dataclass(frozen=True)
class _Inside:
    name: str
    purpose: str
    commands: str
    needed: bool
    mend: str


_INSIDE = (
    _Inside(
        "bridge",
        "nodes' switches, by Open vSwitch in user space",
        "ovs-vsctl --timeout=5 add-br b0 -- set bridge b0 datapath_type=netdev fail_mode=secure",
        True,
        "see the log in the detail; reinstalling openvswitch-switch may help",
    ),
    _Inside("veth", "links and pods", "ip link add v0 type veth peer v1", True, "as root: modprobe veth"),
    _Inside(
        "netns",
        "pods, nodes and hosts",
        "ip netns add n0 && ip netns exec n0 true",
        True,
        "as root: sysctl -w user.max_net_namespaces=15000",
    ),
    _Inside(
        "vxlan",
        "overlay topologies, the default among them",
        "ip link add x0 type vxlan id 1 dstport 4789 local 127.0.0.1",
        True,
        "as root: modprobe vxlan; or use a routed topology",
    ),
    _Inside(
        "sch_tbf",
        "`rate` of links",
        "ip link add t0 type veth peer t1 && tc qdisc add dev t0 root tbf rate 1mbit burst 10k latency 50ms",
        False,
        "as root: modprobe sch_tbf; without it topologies with rates are refused",
    ),
    _Inside(
        "sch_netem",
        "impaired links, by netem",
        "ip link add e0 type veth peer e1 && tc qdisc add dev e0 root netem delay 1ms",
        False,
        "as root: apt-get install linux-modules-extra-$(uname -r) where there is one, modprobe sch_netem; "
        "without it our own relay impairs links, see below",
    ),
    _Inside(
        "link relay",
        "impaired links where the kernel has no sch_netem: these are by the relay",
        "ip link add q0 type veth peer q1 && tc qdisc add dev q0 root handle 1: htb && "
        "tc filter add dev q0 parent 1: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect "
        "dev q1 && test -c /dev/net/tun",
        False,
        "use a kernel with sch_htb, cls_u32 and act_mirred; with neither sch_netem nor these, impaired links "
        "are refused",
    ),
    _Inside(
        "packet sockets",
        "captures and generated packets",
        "python -I -S -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 768)'",
        True,
        "use a kernel with CONFIG_PACKET",
    ),
)


def _in_a_sandbox() -> Iterator[Check]:
    """Start a sandbox and try inside it what clusters do there."""
    with _trial_sandbox() as found:
        if isinstance(found, SandboxError):
            detail = "; ".join(filter(None, (str(found), found.log.strip())))
            yield Check(
                "sandbox", "a cluster's namespaces and Open vSwitch", False, True, detail, _MEND_SANDBOX
            )
            return
        version = _run(found, "ovs-vswitchd --version | head -n 1")
        yield Check("sandbox", "a cluster's namespaces and Open vSwitch", True, True, version.detail, "")
        for one in _INSIDE:
            trial = _run(found, one.commands)
            yield Check(
                one.name, one.purpose, trial.ok, one.needed, "" if trial.ok else trial.detail, one.mend
            )


_MEND_SANDBOX = "mend what is missing above first; if nothing is, the detail tells what the kernel refused"


@contextmanager
def _trial_sandbox() -> Iterator[Sandbox | SandboxError]:
    name = f"doctor-{os.getpid()}"
    try:
        sandbox = launch(name, timeout=PATIENCE)
    except SandboxError as error:
        yield error
        return
    with sandbox:
        yield sandbox


def _run(sandbox: Sandbox, commands: str) -> Trial:
    argv = sandbox.command(["sh", "-c", commands])
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return Trial(False, f"no answer in {PATIENCE:g} s")
    return Trial(done.returncode == 0, (done.stdout + done.stderr).strip())

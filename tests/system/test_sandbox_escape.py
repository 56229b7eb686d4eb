"""What the sandbox's root, with all the rights that it has, can do to the host: nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.sandbox import Sandbox
from tests.system.host import state
from tests.system.inside import out, run

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def bait() -> Iterator[Path]:
    """A directory and a file of the host that everybody may write, put where the sandbox sees them."""
    with tempfile.TemporaryDirectory(prefix="bait-") as name:
        directory = Path(name)
        directory.chmod(0o777)
        (directory / "file").write_text("as it was")
        (directory / "file").chmod(0o666)
        yield directory
        assert (directory / "file").read_text() == "as it was"
        assert sorted(entry.name for entry in directory.iterdir()) == ["file"]


@pytest.fixture
def cage(launched: Callable[..., Sandbox], bait: Path) -> Sandbox:
    return launched("cage", code=[bait])


CHANGE = "echo changed > {bait}/file"
REMOUNT = "mount -o remount,rw,bind"
WRITES = [
    CHANGE,
    "touch {bait}/new",
    "rm {bait}/file",
    f"{REMOUNT} {{bait}} && {CHANGE}",
    f"mount -o remount,rw {{bait}} && {CHANGE}",
    f"umount {{bait}} && umount -l / && {CHANGE}",
    f"unshare --mount sh -c '{REMOUNT} {{bait}} && {CHANGE}'",
    f"unshare --user --map-root-user --mount sh -c '{REMOUNT} {{bait}} && {CHANGE}'",
    f"mkdir /tmp/b && mount --bind {{bait}} /tmp/b && {REMOUNT} /tmp/b && echo changed > /tmp/b/file",
    f"mkdir /tmp/r && mount --rbind / /tmp/r && {REMOUNT} /tmp/r && touch /tmp/r/etc/mininetes-was-here",
    f"{REMOUNT} / && touch /etc/mininetes-was-here",
    "touch {project}/mininetes-was-here",
    "touch /etc/mininetes-was-here",
    "mkdir /tmp/p && mount -t proc none /tmp/p && echo changed > /tmp/p/1/root{bait}/file",
    f"nsenter --target 1 --mount sh -c '{CHANGE}'",
]


@pytest.mark.parametrize("attempt", WRITES)
def test_it_cannot_write_the_hosts_files(cage: Sandbox, bait: Path, attempt: str) -> None:
    assert out(cage, f"cat {bait}/file") == "as it was"
    assert run(cage, attempt.format(bait=bait, project=PROJECT)).returncode != 0
    assert not Path("/etc/mininetes-was-here").exists()
    assert not (PROJECT / "mininetes-was-here").exists()


HIDDEN = [
    "umount /root && ls /root/*",
    "umount /home && ls /home/*",
    "umount /tmp && ls /tmp/*",
    "umount /run && ls /run/*",
    "umount -l /dev && ls /dev/disk /dev/kmsg",
    "cat /etc/shadow",
    f"find /root /home /tmp /var/tmp -path '{PROJECT}' -prune -o -type f -print | grep .",
]


@pytest.mark.parametrize("attempt", HIDDEN)
def test_it_cannot_see_what_is_hidden(sandbox: Sandbox, attempt: str) -> None:
    assert run(sandbox, attempt).returncode != 0


SETTINGS = [
    "echo 1 > /proc/sys/vm/drop_caches",
    "echo 99 > /proc/sys/vm/swappiness",
    "echo 12345 > /proc/sys/kernel/threads-max",
    "echo 12345 > /proc/sys/fs/file-max",
    "echo h > /proc/sysrq-trigger",
    "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk",
    "mknod /dev/disk b 254 0 && head -c 1 /dev/disk",
    "modprobe dummy_of_mininetes",
    "date --set=2000-01-01",
    "dmesg --clear",
    "chroot /proc/1/root sh -c 'ls /proc/1/root/lost+found/*'",
]


@pytest.mark.parametrize("attempt", SETTINGS)
def test_it_cannot_change_the_hosts_kernel(sandbox: Sandbox, attempt: str) -> None:
    before = state()
    assert run(sandbox, attempt).returncode != 0
    assert state() == before


def test_it_sees_neither_the_hosts_network_nor_its_processes(sandbox: Sandbox) -> None:
    assert out(sandbox, "ls /sys/class/net") == "lo"
    assert out(sandbox, "ip -o link | wc -l") == "1"
    assert out(sandbox, "wc -l < /proc/net/route") == "1"
    assert out(sandbox, f"ls /proc | grep -c '^{os.getpid()}$' || true") == "0"
    assert run(sandbox, f"kill -0 {os.getpid()}").returncode != 0
    # The host's network namespace would be one that this process is in too.
    assert out(sandbox, "readlink /proc/1/ns/net") != os.readlink("/proc/self/ns/net")


def test_it_cannot_reach_another_cluster(launched: Callable[..., Sandbox], clusters_home: Path) -> None:
    one, other = launched("one"), launched("other")
    out(
        other,
        "ovs-vsctl --timeout=5 add-br secret -- set bridge secret datapath_type=netdev; ip netns add secret",
    )
    assert run(one, f"ls {other.run_dir} || ls {other.socket} || ls {clusters_home}/other").returncode != 0
    assert out(one, "ovs-vsctl list-br; ls /run/netns") == ""
    assert out(one, "cat /proc/net/unix | grep -c other || true") == "0"
    script = (
        "import glob, sys\n"
        "lines = [line for path in glob.glob('/proc/*/mountinfo') for line in open(path)]\n"
        "sys.exit(any('other' in line for line in lines))"
    )
    out(one, f'python -I -S -c "{script}"')


def test_its_root_is_nobody_on_the_host(sandbox: Sandbox) -> None:
    status = Path(f"/proc/{sandbox.pid}/status").read_text()
    ids = next(line for line in status.splitlines() if line.startswith("Uid:"))
    users = set(map(int, ids.split()[1:]))
    assert users == ({100000} if os.getuid() == 0 else {os.getuid()})
    out(sandbox, "touch $MININETES_RUN/mine")
    assert (sandbox.run_dir / "var" / "mine").stat().st_uid in users

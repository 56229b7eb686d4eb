"""`kill -9` at any moment, of any process that holds a sandbox: nothing is left but logs."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from emulator.sandbox import launch
from tests.system.host import await_end, files, members, namespaces_in_use, namespaces_of, now, state

pytestmark = pytest.mark.sandbox

SEED = int(os.environ.get("MININETES_SEED", "2"))
ROUNDS = 20
LONGEST_DELAY = 0.5

CLUSTER = """
import signal, subprocess
from emulator.sandbox import launch
box = launch("victim")
subprocess.run(box.command(["sh", "-c", '''
ovs-vsctl add-br b -- set bridge b datapath_type=netdev
ip netns add n; ip link add v type veth peer w; mount -t tmpfs none /run/netns; touch $MININETES_RUN/file
''']), check=True)
signal.pause()
"""


def descendants(pid: int) -> Iterator[int]:
    """The process and what it started, outer ones first."""
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from descendants(int(child))


def wait_at_most(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let time pass, unless the process ends before."""
    fd = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(seconds * 1000)
    os.close(fd)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_nothing_is_left_after_kill_9_at_a_random_moment(clusters_home: Path, number: int) -> None:
    chance = random.Random(SEED * 1000 + number)
    before = state()
    cluster = subprocess.Popen([sys.executable, "-c", CLUSTER], stderr=subprocess.DEVNULL)
    wait_at_most(cluster, chance.uniform(0, LONGEST_DELAY))
    tree = [pid for pid in descendants(cluster.pid) if pid in members(clusters_home) or pid == cluster.pid]
    namespaces: set[str] = set()
    for pid in tree:
        with suppress(OSError):
            namespaces |= namespaces_of(pid) - namespaces_of(os.getpid())
    victim = chance.choice(
        tree[:4]
    )  # the caller, the launcher, the janitor, the first process (or its builder)
    print(f"seed {SEED}, round {number}: killing process {tree.index(victim)} of {len(tree)}")
    moment = now()
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:  # a builder that has done its work meanwhile: the cluster goes on without it
        cluster.kill()
    await_end(clusters_home, besides=frozenset({cluster.pid}))
    cluster.kill()
    cluster.wait()
    await_end(clusters_home)
    assert files(clusters_home) == []
    assert not namespaces & namespaces_in_use(before=moment)
    assert state() == before
    with launch("victim") as box:
        assert box.alive()
    assert list(clusters_home.iterdir()) == []

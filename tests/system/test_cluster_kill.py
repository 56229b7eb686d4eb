"""`kill -9` of whatever holds a whole cluster, while it starts or runs: the host is as it was before.

`make test` kills a few; `make soak` goes on with ever new seeds.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.host import await_end, files, members, namespaces_in_use, namespaces_of, now, state
from tests.system.processes import descendants

SEED = int(os.environ.get("MININETES_SEED", "5"))
KILLS = int(os.environ.get("MININETES_KILLS", "6"))
OFTEN = 2
"""How many of them every kind of user tries."""
LONGEST_DELAY = 2.5
"""Seconds; a cluster with a shop in it is ready after half of that."""
HOLDERS = 4
"""The caller, the launcher, the janitor, the first process of the sandbox."""

CLUSTER = """
import random, signal, sys
from emulator import Cluster
from tests.system.reachability import shop
chance = random.Random(sys.argv[1])
topologies = ["three-node", "three-node-routed", "single-node", "two-zone-vpc"]
cluster = Cluster.up(chance.choice(topologies), name="victim")
nodes = [node["metadata"]["name"] for node in cluster.get("Node")]
objects = shop()
for pod in objects:
    if pod["kind"] == "Pod":
        pod["spec"]["nodeName"] = chance.choice(nodes)
cluster.apply(objects)
signal.pause()
"""


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=pytest.mark.sandbox if n < OFTEN else ()) for n in range(KILLS)]
)
def test_nothing_is_left_of_a_killed_cluster(clusters_home: Path, number: int) -> None:
    chance = random.Random(SEED * 1000 + number)
    before = state()
    command = [sys.executable, "-c", CLUSTER, str(chance.random())]
    cluster = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _await_end_at_most(cluster.pid, chance.uniform(0.1, LONGEST_DELAY))
    tree = [pid for pid in descendants(cluster.pid) if pid == cluster.pid or pid in members(clusters_home)]
    namespaces: set[str] = set()
    for pid in tree:
        with suppress(OSError):
            namespaces |= namespaces_of(pid) - namespaces_of(os.getpid())
    victim = chance.choice(tree[:HOLDERS])
    print(f"seed {SEED}, round {number}: kill -9 of process {tree.index(victim)} of {len(tree)}")
    moment = now()
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    if victim != cluster.pid and len(tree) > 1:
        await_end(clusters_home, besides=frozenset({cluster.pid}))
    cluster.kill()
    cluster.wait()
    await_end(clusters_home)
    assert files(clusters_home) == []
    assert not namespaces & namespaces_in_use(before=moment)
    assert state() == before


def _await_end_at_most(pid: int, seconds: float) -> None:
    """Let time pass, unless the process ends before."""
    fd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(seconds * 1000)
    os.close(fd)

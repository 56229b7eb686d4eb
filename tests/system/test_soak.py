"""A minute of `make soak`: Services under traffic, random changes, an oracle, and nothing left over."""

from __future__ import annotations

import os
import time

import pytest

from emulator import Cluster
from tests.system import soaking
from tests.system.hygiene import assert_clean, inside
from tests.system.leaks import Holdings, connections_of_the_dead, holdings

SEED = int(os.environ.get("MININETES_SEED", str(time.time_ns() % 1_000_000)))
SECONDS = float(os.environ.get("MININETES_SOAK", "35"))
RATE = float(os.environ.get("MININETES_SOAK_RATE", "1"))
"""Requests a second of each of eighty streams."""

MOST_FLOWS = 0.05
"""Flows depend a little on where pods are: those of the policy Local do."""
MOST_FILES = 25
MOST_MEGABYTES = {"engine": 100, "controller": 40, "ovs-vswitchd": 40}
"""The engine keeps what happened in the last five minutes, for watches that come back."""


@pytest.mark.timeout(SECONDS + 300)
def test_answers_agree_with_the_oracle_and_nothing_leaks() -> None:
    print(f"seed {SEED}")
    with Cluster.up("three-node", name=f"soak-{os.getpid()}") as cluster:
        inside(cluster, "ovs-appctl", "vlog/disable-rate-limit")
        done = cluster.apply(list(soaking.objects()))
        assert done.ready.ready, done.ready.missing
        # The first of everything makes caches and threads that stay.
        warm, chaos = soaking.play(cluster, SEED + 1, SECONDS / 8, RATE)
        chaos.restore()
        before = holdings(cluster)
        judgement, chaos = soaking.play(cluster, SEED, SECONDS * 7 / 8, RATE)
        chaos.restore()
        after = holdings(cluster)
        print(soaking.summary(judgement, chaos), before, after, sep="\n")
        assert not warm.disagreed + judgement.disagreed, "\n".join(
            (warm.disagreed + judgement.disagreed)[:20]
        )
        assert judgement.agreed["connected"] > SECONDS
        assert chaos.done.total() > SECONDS / 20
        # The audit takes none of the controller's own changes, and nothing learned, for anybody else's.
        assert cluster.drift()["repaired"] == []
        assert_nothing_leaked(before, after)
        assert connections_of_the_dead(cluster, addresses(cluster)) == []
        assert_clean(cluster)


def addresses(cluster: Cluster) -> set[str]:
    """The addresses of pods, and those by which nodes speak to pods."""
    found = {entry["ip"] for pod in cluster.get("Pod") for entry in pod["status"].get("podIPs") or ()}
    for index in (1, 2, 3):
        found |= {f"10.244.{index}.1", f"fd00:10:244:{index}::1"}
    return found


def assert_nothing_leaked(before: Holdings, after: Holdings) -> None:
    """Back to where it began, within what is said above."""
    assert abs(after.flows - before.flows) <= before.flows * MOST_FLOWS, (before.flows, after.flows)
    assert after.netns == before.netns
    assert after.processes <= before.processes + 2
    for name, files in after.files.items():
        assert files <= before.files[name] + MOST_FILES, (name, before.files[name], files)
    for name, megabytes in after.memory.items():
        assert megabytes <= before.memory[name] + MOST_MEGABYTES[name], (name, before.memory, after.memory)

"""Clusters from the command line: interrupted, started twice, dead, refused. Nothing stays behind."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emulator import Cluster
from tests.system.host import await_end, files, state
from tests.system.processes import end

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("MININETES_SEED", "11"))
INTERRUPTED, USAGE = 130, 2


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "emulator.cli", *arguments]


def mininetes(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What one call of the command line did."""
    done = subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def interrupt(home: Path, moment: float, *arguments: str) -> None:
    """Ctrl-C a command after a while, as a terminal does: the whole group of processes gets it."""
    before = state()
    print(f"seed {SEED}: SIGINT after {moment:.3f} s")
    process = subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    if not _ends_within(process.pid, moment):
        os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    # An interrupt in the middle of a text given to exec (a dataclass in the making) ends Python by the signal
    # although it was caught; a shell calls both 130.
    assert process.returncode in (INTERRUPTED, -signal.SIGINT), complaint
    assert "Traceback" not in complaint
    await_end(home)
    assert list(home.iterdir()) == []
    assert state() == before


def _ends_within(pid: int, seconds: float) -> bool:
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(fd)


@pytest.mark.parametrize("number", range(3))
def test_ctrl_c_during_up(clusters_home: Path, number: int) -> None:
    moment = random.Random(SEED + number).uniform(0.3 * number + 0.2, 0.3 * number + 0.5)
    interrupt(clusters_home, moment, "up", "leaf-spine", "-f", "scenarios/guestbook/manifests")


@pytest.mark.parametrize("number", range(2))
def test_ctrl_c_during_run(clusters_home: Path, tmp_path: Path, number: int) -> None:
    moment = random.Random(SEED + number).uniform(0.4 * number + 0.4, 0.4 * number + 0.8)
    interrupt(clusters_home, moment, "run", "scenarios/guestbook")


def test_up_down_and_up_again_after_a_crash(clusters_home: Path) -> None:
    """The logs of the crashed one are all that lies about, until the next one of its name is gone."""
    assert mininetes("up", "single-node", "--name", "mine").returncode == 0
    second = mininetes("up", "single-node", "--name", "mine")
    assert second.returncode == USAGE
    assert "'mine' is already there" in second.stderr
    assert "mininetes down --name mine" in second.stderr
    cluster = Cluster.connect("mine")
    assert cluster.wait_ready().ready, "the first one is unharmed"
    end(cluster.sandbox.pid)
    await_end(clusters_home)
    assert files(clusters_home) == []
    assert (clusters_home / "mine" / "var" / "log").is_dir()
    dead = mininetes("down", "--name", "mine")
    assert dead.returncode == USAGE
    assert "no cluster named 'mine' is running" in dead.stderr
    assert mininetes("down", "--all").returncode == 0
    assert mininetes("up", "single-node", "--name", "mine").returncode == 0
    assert mininetes("down", "--name", "mine").returncode == 0
    await_end(clusters_home)
    assert list(clusters_home.iterdir()) == []


SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: %s
  ports: [{port: 80}]
"""


@pytest.mark.parametrize(
    ("address", "complaint"),
    [("not-an-address", "service.yaml:5:"), ("192.0.2.1", "192.0.2.1")],
    ids=["by the file's check", "by the cluster"],
)
def test_a_refused_manifest_leaves_no_cluster(
    clusters_home: Path, tmp_path: Path, address: str, complaint: str
) -> None:
    manifest = tmp_path / "service.yaml"
    manifest.write_text(SERVICE % address)
    refused = mininetes("up", "single-node", "-f", str(manifest))
    assert refused.returncode == USAGE
    assert complaint in refused.stderr
    await_end(clusters_home)
    assert list(clusters_home.iterdir()) == []


def test_a_name_that_no_cluster_can_have(clusters_home: Path) -> None:
    refused = mininetes("up", "--name", "Not a name")
    assert refused.returncode == USAGE
    assert "cannot name a cluster" in refused.stderr
    assert list(clusters_home.iterdir()) == []

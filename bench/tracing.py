"""`python -m bench.tracing`: how long a trace over three bridges takes; exit 1 when it is over 150 ms."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time

from emulator import Cluster
from emulator.api.load import load

GOAL = 0.150
"""Seconds, for the whole answer of the engine, there and back."""
ROUNDS = 50


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        os.environ["MININETES_HOME"] = directory
        manifests = load(["scenarios/guestbook/manifests"]).objects
        with Cluster.up("three-node", manifests, name=f"tracing-{os.getpid()}") as cluster:
            assert cluster.wait_ready().ready
            taken = sorted(_once(cluster) for _ in range(ROUNDS))
    median = statistics.median(taken)
    print(
        f"trace over three bridges, there and back: {median * 1000:.1f} ms, at most {taken[-1] * 1000:.1f} ms"
    )
    return int(median > GOAL)


def _once(cluster: Cluster) -> float:
    started = time.perf_counter()
    found = cluster.trace("guestbook/toolbox", "svc/guestbook/front", "80/tcp")
    taken = time.perf_counter() - started
    assert found["outcome"] == "connected", found
    return taken


if __name__ == "__main__":
    sys.exit(main())

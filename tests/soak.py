"""`make soak`: chaos under traffic for SOAK_SECONDS (default 600), then kills for a quarter of that.

MININETES_SEED says what happens; without it every run is another one, and prints its seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SYSTEM = Path(__file__).parent / "system"
KILLS = ("test_sandbox_kill.py", "test_cluster_kill.py", "test_cluster_survival.py")


def main() -> int:
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("MININETES_SEED", time.time_ns() % 1_000_000))
    failed = pytest(seed, "test_soak.py", environment={"MININETES_SOAK": str(seconds)})
    end = time.monotonic() + seconds / 4
    while not failed and time.monotonic() < end:
        failed = pytest(seed, *KILLS, environment={"MININETES_KILLS": "20"})
        seed += 1
    return failed


def pytest(seed: int, *modules: str, environment: Mapping[str, str]) -> int:
    """Run these modules with a seed; returns the exit code."""
    print(f"-- seed {seed}", flush=True)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "--exitfirst",
        *(str(SYSTEM / name) for name in modules),
    ]
    own = {**environment, **os.environ, "MININETES_SEED": str(seed)}
    return subprocess.run(argv, env=own, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

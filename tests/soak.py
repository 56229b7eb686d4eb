"""`make soak`: random clusters, chaos under traffic for SOAK_SECONDS (default 600), then kills for a quarter.

MININETES_SEED says what happens; without it every run is another one, and prints its seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).parent
CLUSTERS = "2000"
"""Random clusters about which spec and flow tables are asked."""
KILLS = tuple(f"system/test_{name}.py" for name in ("sandbox_kill", "cluster_kill", "cluster_survival"))


def main() -> int:
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("MININETES_SEED", time.time_ns() % 1_000_000))
    random = {"MININETES_EXAMPLES": CLUSTERS, "MININETES_PROPERTY_SEED": str(seed)}
    failed = pytest(seed, "property", environment=random)
    failed = failed or pytest(seed, "system/test_soak.py", environment={"MININETES_SOAK": str(seconds)})
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
        *(str(TESTS / name) for name in modules),
    ]
    own = {**environment, **os.environ, "MININETES_SEED": str(seed)}
    return subprocess.run(argv, env=own, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

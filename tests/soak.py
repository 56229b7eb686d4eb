"""Sandboxes and clusters killed at random moments, with ever new seeds, for SOAK_SECONDS (default 600)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SYSTEM = Path(__file__).parent / "system"
TESTS = ("test_sandbox_kill.py", "test_cluster_kill.py", "test_cluster_survival.py")


def main() -> int:
    end = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("MININETES_SEED", "1"))
    while time.monotonic() < end:
        print(f"-- seed {seed}", flush=True)
        argv = [sys.executable, "-m", "pytest", "-q", "--exitfirst", *(str(SYSTEM / test) for test in TESTS)]
        done = subprocess.run(
            argv, env={"MININETES_KILLS": "20", **os.environ, "MININETES_SEED": str(seed)}, check=False
        )
        if done.returncode:
            return done.returncode
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

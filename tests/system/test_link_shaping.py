"""Links that a topology impairs: they are so as soon as the cluster is up, whatever the kernel has for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def delayed(tmp_path: Path) -> Path:
    text = (ROOT / "topologies" / "three-node.yaml").read_text()
    plain = "- {ends: [worker-1, fabric]}"
    assert plain in text
    path = tmp_path / "delayed.yaml"
    path.write_text(text.replace(plain, "- {ends: [worker-1, fabric], delay: 20ms}"))
    return path


@pytest.mark.usefixtures("clusters_home")
def test_a_delay_of_a_topology_is_real(delayed: Path) -> None:
    program = str(ROOT / "mininetes")
    up = subprocess.run([program, "up", str(delayed)], capture_output=True, text=True, check=False)
    try:
        assert up.returncode == 0, up.stderr
        times = {}
        for node in ("worker-1", "worker-2"):
            words = [program, "probe", "ext/client", f"node/{node}", "-o", "json"]
            said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
            assert said["outcome"] == "connected"
            times[node] = said["milliseconds"]["least"]
        assert times["worker-1"] >= 40, "there and back"
        assert times["worker-2"] < times["worker-1"]
    finally:
        subprocess.run([program, "down"], check=True, capture_output=True)

"""Links with a delay: real where the kernel can, refused up front with the reason where it cannot."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.sandbox.doctor import examine

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def delayed(tmp_path: Path) -> Path:
    text = (ROOT / "topologies" / "three-node.yaml").read_text()
    plain = "- {ends: [worker-1, fabric]}"
    assert plain in text
    path = tmp_path / "delayed.yaml"
    path.write_text(text.replace(plain, "- {ends: [worker-1, fabric], delay: 20ms}"))
    return path


def test_a_delay_is_real_or_refused_with_the_reason(delayed: Path, clusters_home: Path) -> None:
    has_netem = next(check.ok for check in examine() if check.name == "sch_netem")
    program = str(ROOT / "mininetes")
    up = subprocess.run([program, "up", str(delayed)], capture_output=True, text=True, check=False)
    if not has_netem:
        assert up.returncode == 3
        assert "node/worker-1 - router/fabric has a delay" in up.stderr
        assert "Traceback" not in up.stderr
        assert not list(clusters_home.glob("*.sock"))
        return
    try:
        assert up.returncode == 0, up.stderr
        words = [program, "probe", "ext/client", "node/worker-1", "-o", "json"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert '"connected"' in said
    finally:
        subprocess.run([program, "down"], check=True, capture_output=True)

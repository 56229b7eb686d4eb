"""The programs as text: what changes here changes on the switches.

Regenerate with `pytest tests/unit/controllers/test_golden.py --force-regen` and read the diff.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.tables import by_number

from .cluster import NAMES, state, wiring

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
ONE_OF_A_KIND = {
    "two-zone-vpc": ("n1", "n3", "private-a", "vpc", "nat", "igw", "lb"),
    "leaf-spine": ("n1", "leaf1", "spine1", "nat"),
    "three-node-ipv6": ("gateway", "internet"),
    "on-prem-bgp": ("n1", "nat"),
}
"""Of the large topologies, a bridge of each kind: the others differ in numbers only."""

PROGRAMS = [
    (topology, bridge)
    for topology in NAMES
    for bridge in ONE_OF_A_KIND.get(topology) or [bridge.name for bridge in wiring(topology).bridges]
]


@pytest.mark.parametrize(("topology", "bridge"), PROGRAMS)
def test_program_is_as_recorded(topology: str, bridge: str, file_regression: FileRegressionFixture) -> None:
    program = compile_cluster(state(topology))[bridge]
    file_regression.check(program.text(), fullpath=GOLDEN / topology / f"{bridge}.flows")


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="Open vSwitch is not installed")
@pytest.mark.parametrize("topology", NAMES)
def test_open_vswitch_reads_the_programs(topology: str, tmp_path: Path) -> None:
    flows = [flow for program in compile_cluster(state(topology)).values() for flow in program]
    file = tmp_path / "flows"
    file.write_text("".join(f"{flow.text(by_number)}\n" for flow in flows))
    read = subprocess.run(
        ["ovs-ofctl", "-O", "OpenFlow13", "parse-flows", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sum(line.startswith("OFPT_FLOW_MOD") for line in read.stdout.splitlines()) == len(flows)
    assert "WARN" not in read.stderr

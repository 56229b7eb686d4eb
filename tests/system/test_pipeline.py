"""Compiled programs on real switches: what they do, and what happens without their odd rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emulator.sandbox import Sandbox

LAB = Path(__file__).with_name("pipeline_lab.py")


def lab(sandbox: Sandbox, *words: str) -> Any:
    argv = sandbox.command(["python", str(LAB), *words])
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("topology", "pod", "server", "gateway"),
    [
        ("three-node", 62, 60, 63),
        ("three-node-routed", 62, 60, 63),
        ("leaf-spine", 59, 59, 63),
        ("two-zone-vpc", 62, 60, 63),
        ("single-node", 64, 60, 63),
    ],
)
def test_every_router_on_the_way_takes_one_from_the_ttl(
    sandbox: Sandbox, topology: str, pod: int, server: int, gateway: int
) -> None:
    seen = lab(sandbox, "pings", topology)
    expected = {"pod": pod, "server": server, "gateway": gateway}
    assert seen["ttl"] == {f"{name}/{family}": ttl for name, ttl in expected.items() for family in (4, 6)}
    assert not seen["exhausted"]


def test_an_unanswered_client_stays_masqueraded(sandbox: Sandbox) -> None:
    assert lab(sandbox, "retransmit")["sources"] == ["10.244.1.1"] * 3


def test_ablation_without_the_rule_for_retransmitted_first_packets(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "retransmit", "retransmitted-first-packet")
    assert seen["sources"] == ["10.244.1.1", "198.51.100.7", "198.51.100.7"]


def test_bridges_with_zones_of_their_own_understand_each_other(sandbox: Sandbox) -> None:
    assert lab(sandbox, "zones")["source"] == "10.244.1.4"


def test_ablation_with_a_shared_zone(sandbox: Sandbox) -> None:
    assert lab(sandbox, "zones", "n1", "n2")["source"] == ""


def test_a_walk_over_veth_pairs_has_enough_recirculations(sandbox: Sandbox) -> None:
    assert lab(sandbox, "patches") == {"source": "10.244.2.1", "exhausted": False}


def test_ablation_with_patch_ports(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "patches", "n1-up=fabric-1", "n2-up=fabric-2")
    assert seen == {"source": "", "exhausted": True}


def test_a_meter_keeps_the_controller_from_being_flooded(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "meters")
    assert seen["arrived"] > 500
    assert seen["dropped"] > seen["arrived"] / 2

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.api.load import load
from emulator.scenario.files import check
from emulator.scenario.parse import read_scenario

ROOT = Path(__file__).parents[3]
SCENARIOS = sorted((ROOT / "scenarios").rglob("scenario.yaml"))


def test_every_shipped_file_is_fine() -> None:
    assert check([str(ROOT / "scenarios"), str(ROOT / "topologies")]).problems == []


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.parent.name)
def test_every_scenario_teaches(file: Path) -> None:
    """A title for the report, a README of one screen that says how to run it, a topology that ships."""
    scenario = read_scenario(file)
    assert scenario.title.endswith(".")
    assert (ROOT / "topologies" / f"{scenario.topology}.yaml").exists()
    readme = (file.parent / "README.md").read_text(encoding="utf-8").splitlines()
    assert readme[0].startswith("# ")
    assert f"    mininetes run {file.parent.relative_to(ROOT / 'scenarios')}" in readme
    assert len(readme) <= 45
    assert all(len(line) <= 110 for line in readme)


def test_guestbook_is_the_demo_of_twelve_pods() -> None:
    objects = [located.object for located in load([ROOT / "scenarios/guestbook/manifests"]).objects]
    replicas = {
        "Deployment": lambda obj: obj["spec"].get("replicas", 1),
        "StatefulSet": lambda obj: obj["spec"]["replicas"],
    }
    counted = [replicas.get(obj["kind"], lambda _obj: 0)(obj) for obj in objects]
    pods = sum(counted) + sum(obj["kind"] == "Pod" for obj in objects)
    per_node = sum(obj["kind"] == "DaemonSet" for obj in objects)
    assert pods + 3 * per_node == 12

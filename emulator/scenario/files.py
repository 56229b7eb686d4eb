"""Checks files of every sort that users write: manifests, topologies, scenarios."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emulator.api.load import STDIN, SUFFIXES, Located, Notice, load
from emulator.api.problems import ManifestError, Problem
from emulator.cluster.plan import wire
from emulator.cluster.topology import TopologyError, parse_topology
from emulator.scenario.parse import read_scenario

_SCENARIO = re.compile(r"^kind:\s*[\"']?Scenario\b", re.MULTILINE)


@dataclass
class Checked:
    """What a check found."""

    files: int = 0
    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def summary(self) -> str:
        """`3 Deployment, 1 Scenario`."""
        return ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items())) or "nothing in them"


def check(paths: Sequence[str]) -> Checked:
    """Check all `paths`: files, folders with all below them, or `-` for stdin."""
    result = Checked()
    for path in _files(paths):
        result.files += 1
        try:
            if _is_scenario(path):
                _check_scenario(Path(path), result)
            else:
                _check_manifest(path, result)
        except ManifestError as wrong:
            result.problems += wrong.problems
    return result


def _check_scenario(file: Path, result: Checked) -> None:
    scenario = read_scenario(file)
    result.kinds["Scenario"] += 1
    if scenario.manifests:
        load(scenario.manifests)


def _check_manifest(path: str, result: Checked) -> None:
    manifest = load([path])
    result.notices += manifest.notices
    for located in (*manifest.objects, *manifest.others):
        result.kinds[located.object["kind"]] += 1
        if located.object["kind"] == "Topology":
            _check_topology(located)


def _check_topology(located: Located) -> None:
    try:
        wire(parse_topology(located.object))
    except TopologyError as wrong:
        raise ManifestError([located.problem(wrong.path, wrong.message, wrong.hint)]) from None


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            yield from (str(one) for one in sorted(Path(path).rglob("*")) if one.suffix in SUFFIXES)
        else:
            yield path


def _is_scenario(path: str) -> bool:
    if path == STDIN or not Path(path).is_file():
        return False
    return bool(_SCENARIO.search(Path(path).read_text(encoding="utf-8", errors="replace")))

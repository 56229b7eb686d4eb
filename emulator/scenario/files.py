"""Checks files of every sort that users write: manifests, topologies, scenarios."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.scenario.document import DocumentError
from emulator.scenario.parse import read_scenario

_SCENARIO = re.compile(r"^kind:\s*[\"']?Scenario\b", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml", ".json")

Load = Callable[[Sequence[str]], Any]
"""`emulator.api.load.load`."""


@dataclass
class Checked:
    """What a check found."""

    files: int = 0
    problems: list[Any] = field(default_factory=list)
    notices: list[Any] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def summary(self) -> str:
        """`3 Deployment, 1 Scenario`."""
        return ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items())) or "nothing in them"


def check(paths: Sequence[str], load: Load) -> Checked:
    """Check all `paths`: files, folders, or `-` for stdin. Raises OSError for what cannot be read."""
    result = Checked()
    for path in _files(paths):
        result.files += 1
        try:
            if path != "-" and _is_scenario(Path(path)):
                scenario = read_scenario(Path(path))
                result.kinds["Scenario"] += 1
                _check_manifests(scenario.manifests, load)
            else:
                manifest = load([path])
                result.notices += manifest.notices
                result.kinds.update(located.object["kind"] for located in manifest.objects)
        except Exception as wrong:
            problems = getattr(wrong, "problems", None)
            if problems is None and not isinstance(wrong, DocumentError):
                raise
            result.problems += problems or ()
    return result


def _check_manifests(files: Sequence[Path], load: Load) -> None:
    if files:
        load([str(file) for file in files])


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if path != "-" and Path(path).is_dir():
            yield from (str(one) for one in sorted(Path(path).rglob("*")) if one.suffix in _SUFFIXES)
        else:
            yield path


def _is_scenario(path: Path) -> bool:
    return bool(_SCENARIO.search(path.read_text(encoding="utf-8", errors="replace")))

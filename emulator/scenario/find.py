"""Which scenario files a word on the command line means."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

FILE = "scenario.yaml"


class NoSuchScenario(Exception):  # noqa: N818 - what users read
    """The word names no scenario; the message says what there is."""

    exit_code = 2


def find(words: Iterable[str], shipped: Path) -> list[Path]:
    """The scenario files meant by `words`: files, folders, or names under `shipped`.

    A folder stands for all scenarios below it. Raises NoSuchScenario.
    """
    found: dict[Path, None] = {}
    for word in words:
        found.update(dict.fromkeys(_meant(word, shipped)))
    return list(found)


def name_of(file: Path, shipped: Path) -> str:
    """What a scenario is called in reports: its path under `shipped`, else its folder's name."""
    folder = file.parent if file.name == FILE else file.with_suffix("")
    try:
        return str(folder.resolve().relative_to(shipped.resolve()))
    except ValueError:
        return folder.resolve().name


def _meant(word: str, shipped: Path) -> list[Path]:
    for candidate in (Path(word), shipped / word):
        if candidate.is_file():
            return [candidate]
        if (candidate / FILE).is_file():
            return [candidate / FILE]
        if candidate.is_dir() and (below := sorted(candidate.rglob(FILE))):
            return below
    names = [name_of(file, shipped) for file in sorted(shipped.rglob(FILE))]
    by_last = {name.rpartition("/")[2]: name for name in names}
    if word in by_last:
        return [shipped / by_last[word] / FILE]
    near = get_close_matches(word, [*names, *by_last], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}"
    raise NoSuchScenario(f"no scenario {word!r}: {hint}")

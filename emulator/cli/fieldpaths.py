"""kubectl's JSONPath templates and custom columns: `{.items[*].metadata.name}`, `NAME:.metadata.name`.

The dialect is client-go's `util/jsonpath`: text outside braces is printed as it is, `range` and `end`
repeat, what is missing prints nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Step = Callable[[list[Any]], list[Any]]

_BLOCK = re.compile(r'\{((?:"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[^{}"\'])*)\}')
_STEP = re.compile(
    r"""
    \.\.(?P<deep>[\w-]+|\*)
  | \.(?P<key>(?:[\w/-]|\\.)+|\*)
  | \[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
  | \[\s*(?P<all>\*)\s*\]
  | \[\?\(\s*@(?P<left>.*?)\s*(?:(?P<test>==|!=|<=|>=|<|>)\s*(?P<right>.*?)\s*)?\)\s*\]
  | \[\s*(?P<slice>-?\d*:-?\d*)\s*\]
  | \[\s*(?P<picks>-?\d+(?:\s*,\s*-?\d+)*)\s*\]
  | (?P<dot>\.)$
    """,
    re.VERBOSE,
)
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class FieldPathError(ValueError):
    """A template or path that cannot be understood."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from a value to those that it leads to."""

    steps: tuple[Step, ...]

    def find(self, value: Any) -> list[Any]:
        """Everything that the path leads to from `value`; what is missing is left out."""
        found = [value]
        for step in self.steps:
            found = step(found)
        return found


def path(text: str) -> Path:
    """Read `.status.addresses[?(@.type=="InternalIP")].address`. Raises FieldPathError."""
    rest = text.strip().removeprefix("$").removeprefix("@")
    if rest and rest[0] not in ".[":
        rest = f".{rest}"
    steps: list[Step] = []
    while rest:
        found = _STEP.match(rest)
        if not found:
            raise FieldPathError(
                f"{text!r}: cannot read it from {rest!r} on; a path is as .items[0].metadata"
            )
        steps += _step(found)
        rest = rest[found.end() :]
    return Path(tuple(steps))


def check(form: str, template: str) -> None:
    """Read a `jsonpath` template or `custom-columns`, before anything is asked. Raises FieldPathError."""
    _ = columns(template) if form == "custom-columns" else render(template, {})


def render(template: str, value: Any) -> str:
    """The template filled in with `value`. Raises FieldPathError."""
    if "{" not in template:
        template = f"{{{template}}}"
    return "".join(_filled(_parts(template), value))


def columns(spec: str) -> tuple[list[str], Callable[[Any], list[str]]]:
    """The header and the row maker of `NAME:.metadata.name,IP:.status.podIP`. Raises FieldPathError."""
    pairs = [part.partition(":") for part in re.split(r",(?=[^,:\[\]]+:)", spec)]
    if not all(colon and where for _, colon, where in pairs):
        raise FieldPathError(f"custom columns are written NAME:.metadata.name,IP:.status.podIP, not {spec!r}")
    paths = [path(where.strip("{}")) for _, _, where in pairs]

    def row(value: Any) -> list[str]:
        return [",".join(map(_text, one.find(value))) or "<none>" for one in paths]

    return [head for head, _, _ in pairs], row


def _step(found: re.Match[str]) -> Iterator[Step]:
    if found["deep"]:
        name = found["deep"]
        yield lambda values: [one for value in values for one in _deep(value, name)]
    elif found["key"] == "*" or found["all"]:
        yield lambda values: [one for value in values for one in _children(value)]
    elif found["key"] or found["quoted"] is not None:
        key = re.sub(r"\\(.)", r"\1", found["key"] or found["quoted"])
        yield lambda values: [value[key] for value in values if isinstance(value, dict) and key in value]
    elif found["left"] is not None:
        yield _filter(found["left"], found["test"], found["right"])
    elif found["slice"]:
        first, _, last = found["slice"].partition(":")
        cut = slice(int(first) if first else None, int(last) if last else None)
        yield lambda values: [one for value in values if isinstance(value, list) for one in value[cut]]
    elif found["picks"]:
        picks = [int(one) for one in found["picks"].split(",")]
        yield lambda values: [
            value[n]
            for value in values
            if isinstance(value, list)
            for n in picks
            if -len(value) <= n < len(value)
        ]


def _filter(left: str, test: str | None, right: str | None) -> Step:
    asked = path(left)
    wanted = _literal(right or "")

    def holds(value: Any) -> bool:
        found = asked.find(value)
        if test is None:
            return bool(found)
        try:
            return any(_TESTS[test](one, wanted) for one in found)
        except TypeError:
            return False

    return lambda values: [one for value in values for one in _children(value) if holds(one)]


def _literal(text: str) -> Any:
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _deep(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict) and name in value:
        yield value[name]
    if name == "*":
        yield from _children(value)
    for child in _children(value):
        yield from _deep(child, name)


def _parts(template: str) -> list[str | list[Any] | Path]:
    """Text, paths, and for `range` a list: the path, then the parts that are repeated."""
    open_lists: list[list[Any]] = [[]]
    at = 0
    for block in _BLOCK.finditer(template):
        open_lists[-1].append(template[at : block.start()])
        at = block.end()
        inside = block[1].strip()
        if inside == "end":
            if len(open_lists) == 1:
                raise FieldPathError("{end} without {range ...}")
            done = open_lists.pop()
            open_lists[-1].append(done)
        elif inside.startswith("range "):
            open_lists.append([path(inside.removeprefix("range "))])
        elif inside[:1] in ("'", '"'):
            open_lists[-1].append(_unescaped(inside[1:-1]))
        else:
            open_lists[-1].append(path(inside))
    if len(open_lists) > 1:
        raise FieldPathError("{range ...} without {end}")
    if "{" in template[at:]:
        raise FieldPathError(f"no closing brace behind {template[at:]!r}")
    return [*open_lists[0], template[at:]]


def _filled(parts: Sequence[str | list[Any] | Path], value: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Path):
            yield " ".join(map(_text, part.find(value)))
        else:
            for one in part[0].find(value):
                yield from _filled(part[1:], one)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text)

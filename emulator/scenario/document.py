"""A YAML document that remembers where everything stands, and reads as a model is built from it.

`Reader` hands out typed values; what is missing, misspelt or of the wrong type becomes a
`Problem` with file, line and column. All problems of a file are found in one reading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from emulator.api.objects import Path as FieldPath
from emulator.api.objects import render_path

Value = TypeVar("Value")
_KINDS = {str: "a text", int: "a number", bool: "true or false", dict: "a mapping", list: "a list"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    excerpt: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.message}"
        if self.excerpt:
            text += f"\n{self.excerpt}"
        return f"{text} {self.hint}" if self.hint and self.excerpt else text


class DocumentError(Exception):
    """The file cannot be used; `problems` says why."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(f"error: {problem}" for problem in problems))
        self.problems = problems


@dataclass
class Document:
    """One YAML document: its plain value and its text."""

    file: str
    value: Any
    """ruamel's mappings and lists, which know their lines."""
    lines: tuple[str, ...]
    problems: list[Problem] = field(default_factory=list)

    def complain(self, path: FieldPath, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Note a mistake at the field `path`."""
        line, column, width = self._locate(path, at_key=at_key)
        where = render_path(path)
        said = f"{where}: {message}" if where else message
        self.problems.append(
            Problem(self.file, line + 1, column + 1, said, hint, self._excerpt(line, column, width))
        )

    def _locate(self, path: FieldPath, *, at_key: bool) -> tuple[int, int, int]:
        value, position, width = self.value, (0, 0), 1
        for index, step in enumerate(path):
            last = index == len(path) - 1
            marks = getattr(value, "lc", None)
            try:
                if isinstance(step, str):
                    position = marks.key(step) if at_key or not last else marks.value(step)  # type: ignore[union-attr]
                else:
                    position = marks.item(step)  # type: ignore[union-attr]
                value = value[step]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
            width = (
                len(str(step)) if at_key else len(str(value)) if isinstance(value, str | int | float) else 1
            )
        return position[0], position[1], width

    def _excerpt(self, line: int, column: int, width: int) -> str:
        if line >= len(self.lines):
            return ""
        shown = [f"{number + 1:5d} | {self.lines[number]}" for number in range(max(0, line - 1), line + 1)]
        width = max(1, min(width, len(self.lines[line]) - column))
        return "\n".join([*shown, f"      | {' ' * column}{'^' * width}"])


def load_document(file: Path, shown_as: str = "") -> Document:
    """Read a file with exactly one YAML document. Raises DocumentError, OSError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    text = file.read_text(encoding="utf-8")
    name = shown_as or str(file)
    document = Document(name, None, tuple(text.splitlines()))
    try:
        document.value = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        excerpt = document._excerpt(min(line, max(0, len(document.lines) - 1)), column, 1)
        message = str(wrong.problem or "not YAML").splitlines()[0]
        raise DocumentError((Problem(name, line + 1, column + 1, message, "", excerpt),)) from None
    except YAMLError as wrong:
        raise DocumentError((Problem(name, 1, 1, str(wrong).splitlines()[0]),)) from None
    return document


class Reader:
    """Reads one mapping of a document; tells the document what is wrong with it.

    Every field must be taken; `done` complains about those that were not.
    """

    def __init__(self, document: Document, path: FieldPath = ()) -> None:
        self.document = document
        self.path = path
        value = _at(document.value, path)
        self.is_mapping = isinstance(value, dict)
        self._value: Mapping[str, Any] = value if isinstance(value, dict) else {}
        self._taken: set[str] = set()
        if not self.is_mapping:
            document.complain(path, f"must be {_KINDS[dict]}, is {_described(value)}")

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    @property
    def line(self) -> int:
        """The line that the mapping starts on, counted from 1."""
        return self.document._locate(self.path, at_key=False)[0] + 1

    def take(self, name: str, kind: type[Value], default: Value) -> Value:
        """The field `name`, which must be of `kind`; `default` when it is absent or wrong."""
        self._taken.add(name)
        if name not in self._value:
            return default
        value = self._value[name]
        fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        if not fits:
            self.complain(name, f"must be {_KINDS[kind]}, is {_described(value)}")
            return default
        return value  # type: ignore[no-any-return]

    def need(self, name: str, kind: type[Value], default: Value) -> Value:
        """As `take`, and it must be there."""
        if name not in self._value and self.is_mapping:
            self.document.complain(self.path, f"{name} is missing")
        return self.take(name, kind, default)

    def one_of(self, name: str, words: Collection[str], default: str) -> str:
        """A text that is one of `words`."""
        word = self.take(name, str, default)
        if word != default and word not in words:
            near = get_close_matches(word, words, n=1)
            hint = f'did you mean "{near[0]}"?' if near else ""
            self.complain(name, f"unknown word {word!r}, known are {', '.join(words)}", hint)
            return default
        return word

    def parsed(self, name: str, parse: Callable[[str], Value], text: str) -> Value | None:
        """`parse(text)`; its ValueError becomes a problem at the field `name`."""
        try:
            return parse(text)
        except ValueError as wrong:
            self.complain(name, str(wrong))
            return None

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; one text alone counts as a list of one."""
        self._taken.add(name)
        value = self._value.get(name, [])
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.complain(name, f"must be a text or a list of texts, is {_described(value)}")
            return ()
        return tuple(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """A mapping as plain JSON."""
        return dict(plain(self.take(name, dict, {})))

    def each(self, name: str) -> list[Reader]:
        """A list of mappings, a reader for each."""
        items = self.take(name, list, [])
        return [Reader(self.document, (*self.path, name, index)) for index in range(len(items))]

    def child(self, name: str) -> Reader:
        """A mapping, as a reader."""
        self._taken.add(name)
        return Reader(self.document, (*self.path, name))

    def raw(self, name: str) -> Any:
        """The field as plain JSON, whatever it is; None when absent."""
        self._taken.add(name)
        return plain(self._value.get(name))

    def complain(self, name: str, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Note a mistake at the field `name`."""
        self.document.complain((*self.path, name), message, hint, at_key=at_key)

    def done(self) -> None:
        """Complain about every field that nobody took, with the nearest right name."""
        for name in self._value:
            if name in self._taken:
                continue
            near = get_close_matches(str(name), self._taken, n=1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(sorted(self._taken))}"
            self.complain(str(name), "unknown field", hint, at_key=True)


def plain(value: Any) -> Any:
    """ruamel's value as plain JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _at(value: Any, path: FieldPath) -> Any:
    for step in path:
        value = value[step]
    return value


def _described(value: Any) -> str:
    if value is None:
        return "empty"
    return next(
        (text for kind, text in _KINDS.items() if type(value) is kind or isinstance(value, kind)), repr(value)
    )

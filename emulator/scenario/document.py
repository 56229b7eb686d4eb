"""Reading our own files: typed values out of a YAML document, every mistake with its place.

`Reader` hands out typed values; what is missing, misspelt or of the wrong type becomes a
`Problem` with file, line and column. All problems of a file are found in one reading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from emulator.api import documents
from emulator.api.documents import Position
from emulator.api.objects import Path as FieldPath
from emulator.api.objects import render_path
from emulator.api.problems import ManifestError, Problem, Source

Value = TypeVar("Value")
_KINDS = {bool: "true or false", str: "a text", int: "a number", dict: "a mapping", list: "a list"}


@dataclass
class Document:
    """One file with one YAML document, and what is wrong with it so far."""

    source: Source
    tree: documents.Document
    problems: list[Problem] = field(default_factory=list)

    @property
    def value(self) -> Any:
        """The document as JSON."""
        return self.tree.value

    def complain(self, path: FieldPath, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Note a mistake at the field `path`."""
        where = render_path(path)
        said = f"{where}: {message}" if where else message
        self.problems.append(self.source.problem(self.position(path, at_key=at_key), said, hint))

    def position(self, path: FieldPath, *, at_key: bool = False) -> Position:
        """Where `path` stands."""
        return self.tree.position(path, at_key=at_key)


def load_document(file: Path) -> Document:
    """Read a file with exactly one YAML document. Raises ManifestError, OSError."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ManifestError([Problem(str(file), 1, 1, "not UTF-8 text")]) from None
    source = Source.of(str(file), text)
    try:
        trees = list(documents.read_all(text))
    except documents.DocumentError as error:
        flaw = error.flaw
        raise ManifestError([source.problem(flaw.position, flaw.message, flaw.hint)]) from None
    trees = [tree for tree in trees if tree.value is not None]
    if len(trees) != 1:
        message = f"expected one document, found {len(trees)}" if trees else "the file is empty"
        raise ManifestError([source.problem(trees[1].position(()) if trees else Position(1, 1), message)])
    document = Document(source, trees[0])
    document.problems += [source.problem(flaw.position, flaw.message, flaw.hint) for flaw in trees[0].flaws]
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
        return self.document.position(self.path).line

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
        return dict(self.take(name, dict, {}))

    def each(self, name: str) -> list[Reader]:
        """A list of mappings, a reader for each."""
        items = self.take(name, list, [])
        return [Reader(self.document, (*self.path, name, index)) for index in range(len(items))]

    def child(self, name: str) -> Reader:
        """A mapping, as a reader."""
        self._taken.add(name)
        return Reader(self.document, (*self.path, name))

    def raw(self, name: str) -> Any:
        """The field, whatever it is; None when absent."""
        self._taken.add(name)
        return self._value.get(name)

    def complain(
        self, name: str, message: str, hint: str = "", *, within: FieldPath = (), at_key: bool = False
    ) -> None:
        """Note a mistake at the field `name`, or at a place `within` its value."""
        self.document.complain((*self.path, name, *within), message, hint, at_key=at_key)

    def done(self) -> None:
        """Complain about every field that nobody took, with the nearest right name."""
        for name in self._value:
            if name in self._taken:
                continue
            near = get_close_matches(str(name), self._taken, n=1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(sorted(self._taken))}"
            self.complain(str(name), "unknown field", hint, at_key=True)


def _at(value: Any, path: FieldPath) -> Any:
    for step in path:
        value = value[step]
    return value


def _described(value: Any) -> str:
    if value is None:
        return "empty"
    return next((text for kind, text in _KINDS.items() if isinstance(value, kind)), repr(value))

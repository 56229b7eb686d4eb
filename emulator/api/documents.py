"""YAML (and JSON) text as values that remember where they stand.

libyaml composes the nodes, which keeps a file of 500 objects under a second; what their scalars mean is
decided here (see `scalars`), because Kubernetes' YAML is neither of Python's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from emulator.api.objects import Path
from emulator.api.scalars import key_text, plain_value

_PLAIN = "plain"
_STRING = "tag:yaml.org,2002:str"
_TAGS = "tag:yaml.org,2002:"
_MERGE = "<<"
_DEEP = 10_000  # nested nodes; libyaml's composer recurses in C and would run out of stack somewhat later
_MOST_COPIES = 200_000  # values that aliases may add
_NESTING = re.compile(r"[\[{]|[-?] ")
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_UNPRINTABLE = re.compile(
    "[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufeff\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text; lines and columns count from 1."""

    line: int
    column: int
    width: int = 1
    """Characters on this line that belong to what stands here."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with the YAML itself."""

    position: Position
    message: str
    hint: str = ""


class DocumentError(Exception):
    """The text is not YAML, or not YAML that can stand for JSON."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"{flaw.position.line}:{flaw.position.column}: {flaw.message}")
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a text."""

    value: Any
    """As JSON: mappings with text keys, lists, scalars. None for an empty document."""
    flaws: tuple[Flaw, ...]
    """What is wrong but did not keep it from being read: duplicate keys, unknown tags."""
    root: Node | None

    def position(self, path: Path, *, at_key: bool = False) -> Position:
        """Where the value at `path` stands (or its key); the nearest place above it when there is none."""
        if self.root is None:
            return Position(1, 1)
        key: Node | None = None
        node: Node = self.root
        for part in path:
            step = _step(node, part)
            if step is None:
                return _position(key or node)
            key, node = step
        return _position(key if at_key and key is not None else node)

    def source_of(self, path: Path) -> str | None:
        """The unquoted scalar at `path` as it is written; None for anything else."""
        node: Node | None = self.root
        for part in path:
            step = _step(node, part) if node is not None else None
            node = step[1] if step else None
        plain = isinstance(node, ScalarNode) and node.tag == _PLAIN
        return str(node.value) if plain and node is not None else None


def read_all(text: str) -> Iterator[Document]:
    """The documents of a text, one after the other. Raises DocumentError where it stops being YAML."""
    _refuse_depth(text)
    loader = _Composer(_joined_surrogates(text))
    try:
        while loader.check_node():
            root = loader.get_node()
            builder = _Builder()
            value = builder.value(root)
            yield Document(value, tuple(builder.flaws), root)
    except yaml.MarkedYAMLError as error:
        raise DocumentError(_flaw(error, text)) from None
    except yaml.reader.ReaderError:
        raise DocumentError(_unreadable(text)) from None
    except RecursionError:
        raise DocumentError(Flaw(Position(1, 1), "nested too deeply")) from None
    finally:
        loader.dispose()


def read_one(text: str) -> Any:
    """The value of a text that is one document. Raises DocumentError, also for duplicate keys."""
    documents = list(read_all(text))
    for document in documents:
        if document.flaws:
            raise DocumentError(document.flaws[0])
    if len(documents) != 1:
        raise DocumentError(Flaw(Position(1, 1), f"expected one document, found {len(documents)}"))
    return documents[0].value


class _Resolver:
    """Leaves plain scalars undecided."""

    def descend_resolver(self, _parent: object, _index: object) -> None:
        """Nothing to resolve by place."""

    def ascend_resolver(self) -> None:
        """Nothing to resolve by place."""

    def resolve(self, kind: type, _value: object, implicit: Any) -> str:
        """The tag of a node that has none of its own."""
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _STRING
        return _TAGS + ("seq" if kind is SequenceNode else "map")


_STAGES: Any = (yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer)


class _PythonParser(*_STAGES):  # type: ignore[misc]
    """What `CParser` is, some ten times slower: for a PyYAML that was built without libyaml."""

    def __init__(self, text: str) -> None:
        reader, *others = _STAGES
        reader.__init__(self, text)
        for stage in others:
            stage.__init__(self)

    def dispose(self) -> None:
        """Nothing to give back."""


_Parser: Any = yaml.cyaml.CParser if yaml.__with_libyaml__ else _PythonParser


class _Composer(_Resolver, _Parser):  # type: ignore[misc]
    """Text to nodes."""


class _Builder:
    """Nodes to values. Aliases become copies, so that no two places of an object share a value."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []
        self._copies = 0
        self._seen: set[int] = set()
        self._open: set[int] = set()

    def value(self, node: Node) -> Any:
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        identity = id(node)
        if identity in self._open:
            raise DocumentError(Flaw(_position(node), "an anchor's value contains itself"))
        if identity in self._seen or self._copies:
            self._copies += 1
            if self._copies > _MOST_COPIES:
                raise DocumentError(Flaw(_position(node), "the document contains excessive aliasing"))
        was_copying, self._open = self._copies, self._open | {identity}
        built = (
            self._mapping(node)
            if isinstance(node, MappingNode)
            else [self.value(item) for item in node.value]
        )
        self._open = self._open - {identity}
        self._seen.add(identity)
        if not was_copying:
            self._copies = 0
        return built

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        result: dict[str, Any] = {}
        places: dict[str, Node] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise DocumentError(Flaw(_position(key_node), "a key must be text", _TEMPLATE))
            if _is_merge(key_node):
                self._merge(merged, value_node)
                continue
            key = _key(key_node)
            if key in places:
                first = _position(places[key])
                message = f'duplicate key "{key}": it stands on line {first.line} already'
                self.flaws.append(Flaw(_position(key_node), message))
            places[key] = key_node
            result[key] = self.value(value_node)
        return {**merged, **result} if merged else result

    def _merge(self, merged: dict[str, Any], node: Node) -> None:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self.flaws.append(Flaw(_position(source), "<< merges mappings only"))
                continue
            for key, value in self.value(source).items():
                merged.setdefault(key, value)

    def _scalar(self, node: ScalarNode) -> Any:
        tag, text = node.tag, node.value
        if tag == _PLAIN:
            try:
                return plain_value(text)
            except ValueError as error:
                self.flaws.append(Flaw(_position(node), str(error)))
                return text
        if tag in (_STRING, "!", f"{_TAGS}binary", f"{_TAGS}timestamp"):
            return text
        if tag.startswith(_TAGS):
            value = plain_value(text)
            return float(value) if tag.endswith(":float") and isinstance(value, int) else value
        self.flaws.append(Flaw(_position(node), f"unknown tag {tag}", "Kubernetes manifests have no tags"))
        return text


def _is_merge(node: ScalarNode) -> bool:
    return node.value == _MERGE and node.tag in (_PLAIN, f"{_TAGS}merge")


def _key(node: ScalarNode) -> str:
    text = str(node.value)
    if node.tag != _PLAIN:
        return text
    try:
        return key_text(text)
    except ValueError:
        return text


def _step(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    """The key (None in lists) and the value of one part of a path."""
    if isinstance(node, SequenceNode) and isinstance(part, int):
        return (None, node.value[part]) if part < len(node.value) else None
    if not isinstance(node, MappingNode):
        return None
    for key, value in reversed(node.value):
        if isinstance(key, ScalarNode) and _key(key) == part:
            return key, value
    for key, value in node.value:
        if isinstance(key, ScalarNode) and _is_merge(key):
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if found := _step(source, part):
                    return found
    return None


def _position(node: Node) -> Position:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Position(start.line + 1, start.column + 1, max(1, width))


def _refuse_depth(text: str) -> None:
    """Raises DocumentError for text that could overflow the stack of libyaml's composer."""
    if len(text) < _DEEP or sum(1 for _ in _NESTING.finditer(text)) < _DEEP:
        return
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEP:
                mark = event.start_mark
                raise DocumentError(Flaw(Position(mark.line + 1, mark.column + 1), "nested too deeply"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _joined_surrogates(text: str) -> str:
    """JSON writes characters beyond the first plane as two escapes, which YAML does not know."""
    if "\\u" not in text:
        return text
    return _SURROGATES.sub(lambda pair: _one_character(pair[1], pair[2]), text)


def _one_character(high: str, low: str) -> str:
    return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))


_TEMPLATE = "a template? render it first, as with: helm template"
_TABS = "YAML indents with spaces, not tabs"
_PLAINER = {
    "found a tab character that violates indentation": (
        "found a tab character that violates indentation",
        _TABS,
    ),
    "mapping values are not allowed in this context": (
        "a second ': ' in one value, or wrong indentation",
        "quote text that contains ': '",
    ),
    "did not find expected key": ("expected a key here: the indentation does not fit the lines above", ""),
    "did not find expected '-' indicator": ("expected another '- ' item, or less indentation", ""),
    "could not find expected ':'": ("expected ':' behind the key", ""),
    "did not find expected node content": ("expected a value here", ""),
    "found undefined alias": ("an alias (*name) without its anchor (&name)", ""),
    "found incompatible YAML document": ("a %YAML directive for another version of YAML", ""),
}


def _flaw(error: yaml.MarkedYAMLError, text: str) -> Flaw:
    mark, opened = error.problem_mark or error.context_mark, error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    problem = error.problem or "not YAML"
    message, hint = _PLAINER.get(problem, (problem, ""))
    at_end = not _rest(text, line, column)
    if opened and problem == "could not find expected ':'":
        line, column = opened.line, opened.column
    elif opened and (at_end or problem.startswith("did not find expected ',' or")):
        line, column = opened.line, opened.column
        message, hint = "opened here and never closed", ""
        if not _rest(text, line, column):
            line, column = _end(text)
            message = "the text ends where a value is expected"
    elif problem == "found character that cannot start any token":
        character = _rest(text, line, column)[:1]
        message = f"found {character!r}, which cannot start a value"
        hint = _TABS if character == "\t" else "quote it"
    return Flaw(Position(line + 1, column + 1), message, hint)


def _end(text: str) -> tuple[int, int]:
    """The line and column behind the last character that is not blank."""
    kept = text.rstrip()
    return kept.count("\n"), len(kept) - kept.rfind("\n") - 1


def _rest(text: str, line: int, column: int) -> str:
    """What follows a place, up to the end of its line; nothing where only blank lines follow."""
    rest = text.split("\n")[line:]
    return rest[0][column:] if rest and "".join(rest).strip() else ""


def _unreadable(text: str) -> Flaw:
    found = _UNPRINTABLE.search(text)
    if found is None:
        return Flaw(Position(1, 1), "unacceptable characters")
    before = text[: found.start()]
    line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    message = f"unacceptable character U+{ord(found[0]):04X}"
    return Flaw(Position(line + 1, column + 1), message, "is this a text file?")

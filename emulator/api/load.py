"""Manifests from files: read, checked, every mistake with file, line and column, nothing sent anywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from emulator.api.decode import nearest
from emulator.api.documents import Document, DocumentError, Position, read_all
from emulator.api.errors import ApiError
from emulator.api.findings import Finding, Reason, required
from emulator.api.objects import JsonObject, Key, Path, key_of, parse_path
from emulator.api.problems import ManifestError, Problem, Source
from emulator.api.recognise import Fate, recognise
from emulator.api.rules.metadata import name_missing
from emulator.api.schema import known_kinds
from emulator.api.validate import check

__all__ = ["Located", "Manifest", "ManifestError", "Notice", "Problem", "load", "load_document"]

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"
_BIGGEST = 64 * 1024 * 1024  # bytes of one file
_MIRROR, _MIRRORED = ("spec", "clusterIPs"), ("spec", "clusterIP")
"""The server speaks of the list, manifests mostly have the one address."""
_SERVER_SET = ("uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "managedFields")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


@dataclass(frozen=True, slots=True)
class Located:
    """An object, and where in which file it stands."""

    object: JsonObject
    source: Source = field(repr=False)
    document: Document = field(repr=False)
    base: Path = ()
    """The object's path inside its document: `("items", 3)` in a List."""

    @property
    def key(self) -> Key:
        """The object's key; no namespace where the manifest names none."""
        return key_of(self.object)

    @property
    def file(self) -> str:
        """The file, as the user named it."""
        return self.source.name

    @property
    def line(self) -> int:
        """The object's first line."""
        return self.position(()).line

    def position(self, path: Path, *, at_key: bool = False) -> Position:
        """Where the value at `path` stands, or the nearest place above it."""
        return self.document.position((*self.base, *path), at_key=at_key)

    def problem(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A mistake in this object, for a `ManifestError`."""
        return self.source.problem(self.position(path, at_key=at_key), f"{self._subject}{message}", hint)

    def refused(self, error: ApiError) -> ManifestError:
        """A refusal by the server as mistakes in the file, each at the field that it names."""
        causes = error.details.get("causes") or []
        if error.details.get("kind") == "namespaces" and error.code == 404:
            hint = f"make it first: kind: Namespace, metadata: {{name: {error.details['name']}}}"
            return ManifestError([self.problem(("metadata", "namespace"), error.message, hint)])
        if not causes:
            return ManifestError([self.problem((), error.message)])
        return ManifestError(
            [self._refused_field(cause.get("field", ""), cause["message"]) for cause in causes]
        )

    def _refused_field(self, field_path: str, message: str) -> Problem:
        path = parse_path(field_path)
        if path[:2] == _MIRROR and "clusterIPs" not in self.object["spec"]:
            path = _MIRRORED
        return self.problem(path, f"{field_path}: {message}")

    @property
    def _subject(self) -> str:
        """`Service shop/db: `, or what there is of it: the object may be anything."""
        metadata = self.object.get("metadata")
        names = [metadata.get(field) for field in ("namespace", "name")] if isinstance(metadata, dict) else []
        name = "/".join(part for part in names if isinstance(part, str) and part)
        kind = self.object.get("kind")
        words = [word for word in (kind, name) if isinstance(word, str) and word]
        return f"{' '.join(words)}: " if words else ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know and need not mend; one a kind."""

    kind: str
    message: str
    places: tuple[str, ...]
    """`file:line` of each object that it is about."""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was read."""

    objects: tuple[Located, ...] = ()
    """Objects for the store, in the order they are to be applied: Namespaces first, then as written."""
    others: tuple[Located, ...] = ()
    """Files of ours that describe no object of a running cluster: Topology, Scenario, Lab."""
    notices: tuple[Notice, ...] = ()
    files: int = 0


def load(
    paths: Sequence[str | FilePath], stdin: BinaryIO | None = None, *, namespace: str = "default"
) -> Manifest:
    """Read manifests from files, directories (their *.yaml, *.yml and *.json, by name) and `-` (standard
    input).

    `namespace` is the one that objects without one will get; it only serves to find two manifests of one
    object. Raises ManifestError with everything that is wrong.
    """
    loader = _Loader(namespace)
    for path in paths:
        loader.read(path, stdin)
    return loader.manifest()


def load_document(path: str | FilePath, kind: str) -> Located:
    """Read a file that is one document of one kind, as a Topology. Raises ManifestError."""
    loader = _Loader("default")
    loader.read(path, None)
    manifest = loader.manifest()
    found = [*manifest.others, *manifest.objects]
    wrong = [located for located in found if located.object["kind"] != kind]
    if wrong:
        message = f"expected a {kind}, found a {wrong[0].object['kind']}"
        raise ManifestError([wrong[0].problem(("kind",), message)])
    if len(found) != 1:
        raise ManifestError([Problem(str(path), 0, 0, f"expected one {kind}, found {len(found)} documents")])
    return found[0]


class _Loader:
    """Collects objects, problems and notices over all files."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._objects: list[Located] = []
        self._others: list[Located] = []
        self._ignored: dict[str, list[tuple[Located, str]]] = {}
        self._problems: list[Problem] = []
        self._places: dict[Key, Located] = {}
        self._sources: list[Source] = []
        self._read: set[FilePath] = set()

    def manifest(self) -> Manifest:
        if not self._problems and not (self._objects or self._others or self._ignored):
            self._problems = [
                source.problem(Position(1, 1), "no objects in it", "expected apiVersion, kind and metadata")
                for source in self._sources
            ]
        if self._problems:
            order = {source.name: index for index, source in enumerate(self._sources)}
            found = sorted(self._problems, key=lambda p: (order.get(p.file, -1), p.line, p.column))
            raise ManifestError(found)
        objects = sorted(self._objects, key=lambda located: located.object["kind"] != "Namespace")
        return Manifest(tuple(objects), tuple(self._others), tuple(self._notices()), len(self._sources))

    # Files

    def read(self, path: str | FilePath, stdin: BinaryIO | None) -> None:
        """Read one argument of the user's."""
        if str(path) == STDIN:
            self._bytes("<stdin>", (stdin or sys.stdin.buffer).read)
            return
        file = FilePath(path)
        try:
            if file.is_dir():
                self._directory(file)
            else:
                self._file(file)
        except OSError as error:
            self._problems.append(_unreadable(file, error))

    def _directory(self, directory: FilePath) -> None:
        files = sorted(entry for entry in directory.iterdir() if entry.suffix in SUFFIXES and entry.is_file())
        manifests = [file for file in files if file.name not in _KUSTOMIZATIONS]
        if not manifests:
            below = sorted({str(f.parent) for suffix in SUFFIXES for f in directory.rglob(f"*{suffix}")})
            hint = f"there are some in {', '.join(below[:3])}" if below else ""
            message = "no manifests in this directory (*.yaml, *.yml, *.json)"
            self._problems.append(Problem(str(directory), 0, 0, message, hint))
        for file in manifests:
            self._file(file)

    def _file(self, file: FilePath) -> None:
        if file.is_file() and file.resolve() in self._read:
            return  # named twice, or by itself and with its directory
        self._read.add(file.resolve())
        size = file.stat().st_size
        if size > _BIGGEST:
            message = f"{size / 2**20:.0f} MiB is too much for a manifest (at most {_BIGGEST // 2**20} MiB)"
            self._problems.append(Problem(str(file), 0, 0, message))
            return
        self._bytes(str(file), file.read_bytes)

    def _bytes(self, name: str, read: Callable[[], bytes]) -> None:
        data = read()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._problems.append(_undecodable(name, data, error))
            return
        source = Source.of(name, text)
        self._sources.append(source)
        try:
            for document in read_all(text):
                self._document(source, document)
        except DocumentError as error:
            flaw = error.flaw
            self._problems.append(source.problem(flaw.position, flaw.message, flaw.hint))

    # Documents

    def _document(self, source: Source, document: Document) -> None:
        self._problems += [source.problem(flaw.position, flaw.message, flaw.hint) for flaw in document.flaws]
        if document.value is None:
            return
        for located in _objects(source, document, document.value, (), {}):
            if isinstance(located.object, dict):
                self._object(located)
            else:
                message = (
                    f"expected an object with apiVersion, kind and metadata, got {_described(located.object)}"
                )
                self._problems.append(source.problem(located.position(()), message))

    def _object(self, located: Located) -> None:
        recognised = recognise(located.object)
        if isinstance(recognised, Finding):
            self._find(located, recognised)
        elif recognised.fate is Fate.IGNORED:
            self._ignored.setdefault(located.object["kind"], []).append((located, recognised.why))
        else:
            self._checked(located, recognised.fate)

    def _checked(self, located: Located, fate: Fate) -> None:
        located = Located(
            _without_server_fields(located.object), located.source, located.document, located.base
        )
        checked = check(located.object)
        for finding in checked.findings:
            self._find(located, finding)
        self._expect_name(located, fate)
        if checked.decoding:
            return
        located = Located(checked.obj, located.source, located.document, located.base)
        if fate is Fate.READ:
            self._others.append(located)
            return
        self._expect_unique(located)
        self._objects.append(located)

    def _expect_name(self, located: Located, fate: Fate) -> None:
        metadata = located.object.get("metadata")
        if metadata is None:
            self._find(located, required(("metadata",)))
        elif isinstance(metadata, dict) and fate is Fate.STORED:
            for finding in name_missing(located.object):
                self._find(located, finding)

    def _expect_unique(self, located: Located) -> None:
        key = located.key
        if not key.name:
            return
        settled = key if key.namespace else key._replace(namespace=self._namespace)
        first = self._places.setdefault(settled, located)
        if first is not located:
            message = f"is defined twice: the first is at {first.file}:{first.line}"
            self._problems.append(located.problem(("metadata", "name"), message))

    def _find(self, located: Located, finding: Finding) -> None:
        hint = finding.hint
        written = located.document.source_of((*located.base, *finding.path))
        if finding.reason is Reason.TYPE and hint.startswith("quote it") and written is not None:
            hint = f'quote it: "{written}"'
        message = finding.message if finding.reason is Reason.UNKNOWN else str(finding)
        self._problems.append(located.problem(finding.path, message, hint, at_key=finding.at_key))

    def _notices(self) -> Iterator[Notice]:
        for kind, ignored in self._ignored.items():
            located = [one for one, _ in ignored]
            yield _notice(kind, located, f"ignored: {kind} {_names(located)} ({ignored[0][1]})")


def _notice(kind: str, about: Sequence[Located], message: str) -> Notice:
    return Notice(kind, message, tuple(f"{located.file}:{located.line}" for located in about))


def _names(about: Sequence[Located]) -> str:
    names = [str(located.key.name or "(unnamed)") for located in about]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _objects(
    source: Source, document: Document, value: Any, base: Path, inherited: JsonObject
) -> Iterator[Located]:
    """The value, or the items of a `List` (also a typed one, whose items need not repeat their kind)."""
    if isinstance(value, dict):
        value = {**inherited, **value} if inherited else value
        kind = value.get("kind")
        if isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list):
            typed = kind.removesuffix("List")
            known = typed in known_kinds()
            inherited = {"apiVersion": value.get("apiVersion"), "kind": typed} if known else {}
            for index, item in enumerate(value["items"]):
                yield from _objects(source, document, item, (*base, "items", index), inherited)
            return
    yield Located(value, source, document, base)


def _without_server_fields(obj: JsonObject) -> JsonObject:
    """Without what `get -o yaml` shows and nobody may set: manifests are often made from it."""
    result = {field: value for field, value in obj.items() if field != "status" or obj["kind"] == "Node"}
    if isinstance(obj.get("metadata"), dict):
        result["metadata"] = {f: v for f, v in obj["metadata"].items() if f not in _SERVER_SET}
    return result


def _described(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else f"{value!r}" if len(str(value)) < 40 else "a text"


def _unreadable(file: FilePath, error: OSError) -> Problem:
    hint = ""
    if isinstance(error, FileNotFoundError):
        if "://" in str(file) or str(file).startswith(("http:/", "https:/")):
            return Problem(str(file), 0, 0, "manifests are read from files only", "download it first")
        beside = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        hint = nearest(file.name, beside)
    return Problem(str(file), 0, 0, (error.strerror or str(error)).lower(), hint)


def _undecodable(name: str, data: bytes, error: UnicodeDecodeError) -> Problem:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Problem(name, 1, 1, "this is UTF-16; manifests are UTF-8", "save it as UTF-8")
    before = data[: error.start]
    line, column = (
        before.count(b"\n") + 1,
        len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1,
    )
    return Problem(name, line, column, f"byte 0x{data[error.start]:02x} is not UTF-8", "save it as UTF-8")

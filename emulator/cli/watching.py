"""`get -w`: what there is, then a line for everything that happens, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import click

from emulator.api.kinds import Kind
from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.columns import of_kind
from emulator.cli.listing import Query
from emulator.cli.naming import kinds_of, qualified
from emulator.cli.tables import GAP
from emulator.cli.terminal import Terminal
from emulator.scenario.cluster import LiveCluster


def watch(cluster: LiveCluster, query: Query, output: str, terminal: Terminal, *, with_events: bool) -> None:
    """Print every object that `query` finds, and print it again whenever it changes."""
    kind, names = _asked(query)
    namespace = query.namespace if kind.namespaced else None
    found = [obj for obj in cluster.get(kind.kind, None, namespace, query.selector) if _meant(obj, names)]
    write = _writer(kind, query, output, terminal, found, with_events=with_events)
    for event in _events(cluster, kind, query, names):
        write(event)


def _asked(query: Query) -> tuple[Kind, frozenset[str]]:
    """The one kind, and the names of it that count; none means all. Raises a usage error."""
    named = query.named()
    kinds = tuple(dict.fromkeys(kind for kind, _ in named)) or kinds_of(query.words[0])
    if len(kinds) != 1:
        raise click.UsageError("only one kind can be watched at a time")
    return kinds[0], frozenset(name for _, name in named)


def _events(cluster: LiveCluster, kind: Kind, query: Query, names: frozenset[str]) -> Iterator[JsonObject]:
    namespace = query.namespace if kind.namespaced else None
    for name in names:
        cluster.get(kind.kind, name, namespace)  # what is not there is an error, not a long silence
    for event in cluster.watch(kind.kind, namespace, query.selector):
        if _meant(event["object"], names):
            yield event


def _meant(obj: JsonObject, names: frozenset[str]) -> bool:
    return not names or obj["metadata"]["name"] in names


def _writer(
    kind: Kind,
    query: Query,
    output: str,
    terminal: Terminal,
    found: Sequence[JsonObject],
    *,
    with_events: bool,
) -> Callable[[JsonObject], None]:
    def document(event: JsonObject) -> JsonObject:
        found: JsonObject = event if with_events else event["object"]
        return found

    match output:
        case "json":
            return lambda event: terminal.out(formats.to_json(document(event)))
        case "yaml":
            return lambda event: terminal.out("---\n" + formats.to_yaml(document(event)))
        case "name":
            return lambda event: terminal.out(qualified(kind, event["object"]["metadata"]["name"]))
    table = _LiveTable(kind, query, terminal, wide=output == "wide", with_events=with_events)
    table.make_room(found)
    return table.write


class _LiveTable:
    """A table that grows at its end: columns can only get wider."""

    def __init__(
        self, kind: Kind, query: Query, terminal: Terminal, *, wide: bool, with_events: bool
    ) -> None:
        self._columns = of_kind(kind.kind)
        self._wide = wide
        self._with_namespace = query.namespace is None and kind.namespaced
        self._with_events = with_events
        self._terminal = terminal
        self._header = ["EVENT"] if with_events else []
        self._header += ["NAMESPACE"] if self._with_namespace else []
        self._header += self._columns.header(wide=wide)
        self._widths = [len(cell) for cell in self._header]
        self._begun = False

    def make_room(self, objects: Sequence[JsonObject]) -> None:
        """Make the columns as wide as these objects need."""
        for obj in objects:
            self._grow(self._row({"type": "ADDED", "object": obj}))

    def write(self, event: JsonObject) -> None:
        """Print a row; the header goes before the first."""
        row = self._row(event)
        self._grow(row)
        if not self._begun:
            self._begun = True
            self._line(self._header)
        self._line(row)

    def _row(self, event: JsonObject) -> list[str]:
        obj = event["object"]
        extra = [event["type"]] if self._with_events else []
        extra += [obj["metadata"].get("namespace", "")] if self._with_namespace else []
        return [cell or "<none>" for cell in (*extra, *self._columns.row(obj, wide=self._wide))]

    def _grow(self, row: list[str]) -> None:
        self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]

    def _line(self, row: list[str]) -> None:
        cells = (cell.ljust(width) for cell, width in zip(row, self._widths, strict=True))
        self._terminal.out(GAP.join(cells).rstrip())

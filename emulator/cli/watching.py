"""`get -w`: what there is, then a line for everything that happens, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    write = _writer(kind, query, output, terminal, with_events=with_events)
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
        if not names or event["object"]["metadata"]["name"] in names:
            yield event


def _writer(
    kind: Kind, query: Query, output: str, terminal: Terminal, *, with_events: bool
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
    return _LiveTable(kind, query, terminal, wide=output == "wide", with_events=with_events).write


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
        self._widths: list[int] = []

    def write(self, event: JsonObject) -> None:
        obj = event["object"]
        extra = [event["type"]] if self._with_events else []
        extra += [obj["metadata"].get("namespace", "")] if self._with_namespace else []
        row = [cell or "<none>" for cell in (*extra, *self._columns.row(obj, wide=self._wide))]
        if not self._widths:
            header = ["EVENT"] if self._with_events else []
            header += ["NAMESPACE"] if self._with_namespace else []
            header += self._columns.header(wide=self._wide)
            self._widths = [len(cell) for cell in header]
            self._grow(row)
            self._line(header)
        self._grow(row)
        self._line(row)

    def _grow(self, row: list[str]) -> None:
        self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]

    def _line(self, row: list[str]) -> None:
        cells = (cell.ljust(width) for cell, width in zip(row, self._widths, strict=True))
        self._terminal.out(GAP.join(cells).rstrip())

"""`get`: fetch objects and print them as a table, JSON, YAML or names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from emulator.api.kinds import Kind
from emulator.api.objects import JsonObject
from emulator.cli import fieldpaths, formats
from emulator.cli.columns import of_kind
from emulator.cli.naming import kinds_of, named_objects, qualified
from emulator.cli.tables import render
from emulator.cli.terminal import Terminal
from emulator.scenario.cluster import LiveCluster


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for: `KIND`, `KIND NAME...` or `KIND/NAME...`."""

    words: tuple[str, ...]
    namespace: str | None
    """None: all namespaces."""
    selector: str | None = None

    def named(self) -> list[tuple[Kind, str]]:
        """The objects asked for by name; empty when whole kinds are meant."""
        if len(self.words) == 1 and "/" not in self.words[0]:
            return []
        if self.selector:
            raise click.UsageError("give names or a selector, not both")
        if self.namespace is None:
            raise click.UsageError("a name needs a namespace: -n instead of -A")
        return named_objects(self.words)


def show(
    cluster: LiveCluster, query: Query, output: str, terminal: Terminal, *, headers: bool = True
) -> None:
    """Print what `query` finds, in the form `output`."""
    form, _, template = output.partition("=")
    if template:
        fieldpaths.check(form, template)
    groups = list(fetch(cluster, query))
    objects = [obj for _, found in groups for obj in found]
    single = len(query.named()) == 1
    match form:
        case "jsonpath":
            text = fieldpaths.render(template, objects[0] if single else formats.list_of(objects))
            if text:
                terminal.out(text.removesuffix("\n"))
        case "custom-columns":
            heads, row = fieldpaths.columns(template)
            lines = render(heads, map(row, objects)).splitlines()
            terminal.out("\n".join(lines if headers else lines[1:]))
        case "json":
            terminal.out(formats.to_json(objects[0] if single else formats.list_of(objects)))
        case "yaml":
            terminal.out(formats.to_yaml(objects[0] if single else formats.list_of(objects)))
        case "name":
            for kind, found in groups:
                for obj in found:
                    terminal.out(qualified(kind, obj["metadata"]["name"]))
        case _:
            _tables(groups, query, terminal, wide=output == "wide", headers=headers)


def fetch(cluster: LiveCluster, query: Query) -> Iterator[tuple[Kind, list[JsonObject]]]:
    """What `query` finds, kind by kind. Raises click.UsageError and ApiError."""
    named = query.named()
    for kind in dict.fromkeys(kind for kind, _ in named):
        namespace = query.namespace if kind.namespaced else None
        yield kind, [cluster.get(kind.kind, name, namespace) for own, name in named if own == kind]
    if not named:
        for kind in kinds_of(query.words[0]):
            namespace = query.namespace if kind.namespaced else None
            found = cluster.get(kind.kind, None, namespace, query.selector)
            yield kind, sorted(found, key=_by_name)


def nothing_found(query: Query) -> str:
    """kubectl's words for a query that finds nothing."""
    namespaced = query.namespace and kinds_of(query.words[0])[0].namespaced
    return "No resources found" + (f" in {query.namespace} namespace." if namespaced else ".")


def _by_name(obj: JsonObject) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _tables(
    groups: Sequence[tuple[Kind, list[JsonObject]]],
    query: Query,
    terminal: Terminal,
    *,
    wide: bool,
    headers: bool,
) -> None:
    filled = [(kind, found) for kind, found in groups if found]
    if not filled:
        terminal.note(nothing_found(query))
        return
    prefixed = len(groups) > 1
    texts = [_table(kind, found, query, wide=wide, prefixed=prefixed) for kind, found in filled]
    if not headers:
        texts = [text.partition("\n")[2] for text in texts]
    terminal.out("\n\n".join(texts))


def _table(kind: Kind, found: list[JsonObject], query: Query, *, wide: bool, prefixed: bool) -> str:
    columns = of_kind(kind.kind)
    with_namespace = query.namespace is None and kind.namespaced
    header = columns.header(wide=wide)
    rows = [columns.row(obj, wide=wide) for obj in found]
    if prefixed and header[0] == "NAME":
        for row in rows:
            row[0] = qualified(kind, row[0])
    if with_namespace:
        header = ["NAMESPACE", *header]
        rows = [[obj["metadata"].get("namespace", ""), *row] for obj, row in zip(found, rows, strict=True)]
    return render(header, rows)

"""Faults in scenarios: `fault` and `clear`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.cluster.faults.catalogue import KINDS, kind_of_fault
from emulator.cluster.faults.kind import FaultKind, FaultMistake, Value, read_words
from emulator.scenario.cluster import LiveCluster
from emulator.scenario.document import Reader
from emulator.scenario.model import Clear, Inject

_ALL = "all"


def read_faults(reader: Reader) -> Iterator[Inject]:
    """`fault: {kind: node-down, node: worker-2}`, as on a command line `fault: node-down worker-2`, or a
    list of either."""
    value = reader.raw("fault")
    items = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        where = ("fault", index) if isinstance(value, list) else ("fault",)
        if isinstance(item, dict):
            found = _read(Reader(reader.document, (*reader.path, *where)))
        elif isinstance(item, str):
            found = _spoken(reader, item, where[1:])
        else:
            reader.complain("fault", 'must be a mapping with kind, or a text as "node-down worker-2"')
            continue
        if found is not None:
            yield found


def _read(item: Reader) -> Inject | None:
    name = item.need("kind", str, "")
    given = {field: item.raw(field) for field in item if field != "kind"}
    if not name:
        return None
    try:
        kind = kind_of_fault(name)
    except FaultMistake as mistake:
        item.complain("kind", str(mistake), mistake.hint)
        return None
    try:
        return Inject(name, kind.arguments(given))
    except FaultMistake as mistake:
        if mistake.field:
            unknown = mistake.field not in [parameter.name for parameter in kind.parameters]
            item.complain(mistake.field, str(mistake), mistake.hint, at_key=unknown)
        else:
            item.document.complain(item.path, str(mistake), mistake.hint)
        return None


def _spoken(reader: Reader, text: str, within: tuple[int | str, ...]) -> Inject | None:
    name, *words = text.split() or [""]
    try:
        kind: FaultKind = kind_of_fault(name)
        return Inject(name, kind.arguments(read_words(kind, words)))
    except FaultMistake as mistake:
        reader.complain("fault", str(mistake), mistake.hint, within=within)
        return None


def read_clear(reader: Reader) -> Clear:
    """`clear: node-down`, a list of kinds or names, or `clear: all`."""
    names = reader.texts("clear")
    if not names:
        reader.complain("clear", "says nothing to clear: write a fault's kind or name, or all")
    if _ALL in names:
        return Clear()
    kinds = tuple(kind.name for kind in KINDS)
    for name in names:
        # A name is a kind and a number: node-down-1.
        stem, _, number = name.rpartition("-")
        kind = stem if number.isdecimal() else name
        try:
            kind_of_fault(kind)
        except FaultMistake as mistake:
            reader.complain("clear", str(mistake), mistake.hint or f"known are {', '.join(kinds)}")
    return Clear(names)


def inject(cluster: LiveCluster, fault: str, arguments: Mapping[str, Value]) -> Iterator[str]:
    """Make a fault happen, and say what was done and by which seed."""
    done = cluster.inject(fault, **arguments)
    yield from done["did"]
    if "seed" in done["arguments"] and "seed" not in arguments:
        yield f"seed={done['arguments']['seed']}"


def clear(cluster: LiveCluster, names: tuple[str, ...], timeout: float) -> None:
    """Undo faults and, when none is left, wait until the cluster has settled, at most `timeout` seconds."""
    cluster.clear(*names)
    if not cluster.faults():
        cluster.wait_ready(timeout)

"""`matrix`: ask for all pairs, and draw the answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.exits import ExitCode
from emulator.cli.progress import progress
from emulator.cli.session import Session
from emulator.probes.swept import NOBODY_LISTENS

GROUPED_ABOVE = 20
"""Rows; of more than these, identical ones are drawn once."""
_SIGNS = {"connected": ".", "dropped": "X", "rejected": "R"}
_LEGEND = ". connected  X dropped  R rejected  ? error"
_INFRASTRUCTURE = "kube-system"


@dataclass(frozen=True, slots=True)
class Wish:
    """A matrix as the command line words it."""

    ports: tuple[str, ...]
    namespaces: tuple[str, ...]
    everywhere: bool
    nodes: bool
    external: bool
    traced: bool
    family: str | None
    timeout: float | None
    report: str | None
    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell."""

    port: str
    source: str
    target: str
    wire: str
    spec: str | None
    note: str = ""
    trace: str | None = None
    """What the flow tables say, where they were asked."""

    @property
    def is_fine(self) -> bool:
        """A probe that failed proves nothing, and without spec nothing is wrong that can be said."""
        return self.wire != "error" and not self.differs

    @property
    def differs(self) -> bool:
        """Whether the network did otherwise than the objects say; whether a program listens they do not."""
        let_pass = self.wire == "rejected" and self.note == NOBODY_LISTENS
        wire = "connected" if let_pass else self.wire
        return any(said not in (None, wire) for said in (self.spec, self.trace))

    @property
    def cell(self) -> str:
        """The sign, with ! where wire and spec differ."""
        return _SIGNS.get(self.wire, "?") + ("!" if self.differs else "")


def show(session: Session, wish: Wish) -> int:
    """Probe, print, and say by the exit code whether all is as it should be."""
    file = _file(wish.report)
    if wish.everywhere and wish.namespaces:
        raise click.UsageError("-A is about all namespaces and -n about some: use one of them")
    cluster = session.connect(wish.name)
    namespaces: Sequence[str] | None = wish.namespaces or None
    if namespaces is None and not wish.everywhere:
        names = (obj["metadata"]["namespace"] for obj in cluster.get("Pod"))
        namespaces = sorted(set(names) - {_INFRASTRUCTURE})
    with progress(session.terminal, "probing every pair"):
        report = cluster.matrix(
            wish.ports or ("80/tcp",),
            namespaces=namespaces,
            nodes=wish.nodes,
            external=wish.external,
            family=int(wish.family) if wish.family else None,
            timeout=wish.timeout,
            answers=("wire", "spec", "trace") if wish.traced else ("wire", "spec"),
        )
    found = list(pairs(report))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(junit(found, report["seconds"]), encoding="utf-8")
    match wish.output:
        case "json":
            session.terminal.out(formats.to_json(report))
        case "csv":
            session.terminal.out(as_csv(found))
        case _:
            session.terminal.out("\n".join(lines(report)))
    return ExitCode.AS_EXPECTED if all(pair.is_fine for pair in found) else ExitCode.NOT_AS_EXPECTED


def _file(report: str | None) -> Path | None:
    if report is None:
        return None
    form, _, file = report.partition("=")
    if form != "junit" or not file:
        raise click.UsageError(f"--report {report}: write junit=FILE")
    return Path(file)


def pairs(report: JsonObject) -> Iterator[Pair]:
    """The cells, port by port and row by row."""
    for port, one in report["ports"].items():
        for source, row in one["wire"].items():
            for target, wire in row.items():
                spec = one["spec"][source].get(target) if one["spec"] else None
                note = one.get("notes", {}).get(source, {}).get(target, "")
                trace = one.get("trace", {}).get(source, {}).get(target)
                yield Pair(port, source, target, wire, spec, note, trace)


def lines(report: JsonObject) -> Iterator[str]:
    """A table for each port, then what is wrong."""
    found = list(pairs(report))
    for port, one in report["ports"].items():
        has_spec = one["spec"] is not None
        title = f"{port}, wire against spec" if has_spec else f"{port}, wire"
        yield f"{title:<41} {_LEGEND}{'  ! differs' if has_spec else ''}"
        yield ""
        yield from grid([pair for pair in found if pair.port == port])
        yield ""
    yield _summary(found)
    for pair in found:
        if not pair.is_fine:
            yield _complaint(pair)


def grid(found: Sequence[Pair]) -> Iterator[str]:
    """Rows send, columns receive; columns stand under their namespaces."""
    targets = list(dict.fromkeys(pair.target for pair in found))
    rows: dict[str, list[str]] = {}
    for pair in found:
        rows.setdefault(pair.source, []).append(pair.cell)
    groups = grouped(rows) if len(rows) > GROUPED_ABOVE else [((source,), rows[source]) for source in rows]
    labels = [f"{of[0]} and {len(of) - 1} more" if len(of) > 1 else of[0] for of, _ in groups]
    first = max(map(len, labels)) + 2
    spaces, names = zip(*(target.split("/", 1) for target in targets), strict=True)
    widths = [max(len(name) + 2, 6) for name in names]
    starts = [at for at, space in enumerate(spaces) if not at or spaces[at - 1] != space]
    for begin, end in zip(starts, [*starts[1:], len(spaces)], strict=True):
        short = len(spaces[begin]) + 2 - sum(widths[begin:end])
        widths[end - 1] += max(0, short)
    head = [space if at in starts else "" for at, space in enumerate(spaces)]
    spans = [sum(widths[b:e]) for b, e in zip(starts, [*starts[1:], len(spaces)], strict=True)]
    heads = (f"{head[at]:<{span}}" for at, span in zip(starts, spans, strict=True))
    yield (" " * first + "".join(heads)).rstrip()
    yield (" " * first + _cells(names, widths)).rstrip()
    for label, (_, cells) in zip(labels, groups, strict=True):
        yield f"{label:<{first}}{_cells(cells, widths)}".rstrip()
    for sources, _ in groups:
        if len(sources) > 1:
            yield f"like {sources[0]}: {', '.join(sources[1:])}"


def grouped(rows: Mapping[str, list[str]]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Sources with identical rows together, in the order of the first of each."""
    found: dict[tuple[str, ...], list[str]] = {}
    for source, cells in rows.items():
        found.setdefault(tuple(cells), []).append(source)
    return [(tuple(sources), list(cells)) for cells, sources in found.items()]


def _cells(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{text:<{width}}" for text, width in zip(texts, widths, strict=True))


def _summary(found: Sequence[Pair]) -> str:
    failed = sum(pair.wire == "error" for pair in found)
    errors = f", {failed} could not be probed" if failed else ""
    if all(pair.spec is None for pair in found):
        connected = sum(pair.wire == "connected" for pair in found)
        return f"{connected} of {len(found)} connected{errors}"
    different = sum(pair.differs for pair in found)
    return f"{different or 'none'} of {len(found)} differs from spec{errors}"


def _complaint(pair: Pair) -> str:
    path = f"{pair.source} → {pair.target}:{pair.port}"
    if pair.wire == "error":
        return f"{path}    error: {pair.note}"
    return f"{path}    {_said(pair)}"


def _said(pair: Pair) -> str:
    trace = f", trace {pair.trace}" if pair.trace else ""
    return f"spec {pair.spec}{trace}, wire {pair.wire}"


def as_csv(found: Sequence[Pair]) -> str:
    """A line a cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    traced = any(pair.trace for pair in found)
    writer.writerow(["port", "from", "to", "wire", "spec", *(["trace"] if traced else [])])
    for pair in found:
        more = [pair.trace or ""] if traced else []
        writer.writerow([pair.port, pair.source, pair.target, pair.wire, pair.spec or "", *more])
    return stream.getvalue().rstrip("\n")


def junit(found: Sequence[Pair], seconds: float) -> str:
    """JUnit XML: a suite a port, a case a cell."""
    from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

    document = JUnitXml("mininetes matrix")
    for port in dict.fromkeys(pair.port for pair in found):
        suite = TestSuite(port)
        for pair in found:
            if pair.port != port:
                continue
            case = TestCase(f"{pair.source} → {pair.target}", classname=f"matrix.{port}")
            if pair.wire == "error":
                case.result = [Error(pair.note)]
            elif not pair.is_fine:
                case.result = [Failure(_said(pair))]
            suite.add_testcase(case)
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    document.time = seconds
    text = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode() if isinstance(text, bytes) else str(text)

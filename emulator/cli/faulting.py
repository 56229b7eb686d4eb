"""`fault`, for people."""

from __future__ import annotations

from collections.abc import Sequence

import click

from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.session import Session
from emulator.cli.tables import render
from emulator.cluster.faults.catalogue import KINDS, kind_of_fault
from emulator.cluster.faults.kind import FaultKind, read_words


def show(session: Session, name: str, words: Sequence[str], output: str) -> None:
    """What can fail, and what does now. A cluster that does not run suffers from nothing."""
    kinds = [kind_of_fault(word) for word in words] or list(KINDS)
    active = _active(session, name)
    if output == "json":
        body = {
            "apiVersion": "mininetes.io/v1",
            "kind": "FaultList",
            "items": active,
            "kinds": [_as_json(kind) for kind in kinds],
        }
        session.terminal.out(formats.to_json(body))
    elif words:
        session.terminal.out("\n\n".join(_explained(kind) for kind in kinds))
    else:
        session.terminal.out(render(["FAULT", "DOES"], [[kind.usage, kind.summary] for kind in KINDS]))
        if active:
            rows = [[one["name"], one["since"], "; ".join(one["did"])] for one in active]
            session.terminal.out("\n" + render(["ACTIVE", "SINCE", "DID"], rows))
        else:
            session.terminal.out("\nno fault is active")


def _active(session: Session, name: str) -> list[JsonObject]:
    from emulator.engine.results import ClusterNotFound

    try:
        return list(session.connect(name).faults())
    except ClusterNotFound:
        return []


def inject(session: Session, name: str, words: Sequence[str], seed: int | None, output: str) -> None:
    """Make a fault happen."""
    if not words:
        raise click.UsageError("which fault? list them with: mininetes fault list")
    kind = kind_of_fault(words[0])
    given: dict[str, object] = dict(read_words(kind, words[1:]))
    if seed is not None:
        given["seed"] = seed
    arguments = kind.arguments(given)
    fault = session.connect(name).inject(kind.name, **arguments)
    if output == "json":
        session.terminal.out(formats.to_json(fault))
        return
    for phrase in fault["did"]:
        session.terminal.out(f"{fault['name']}: {phrase}")
    if "seed" in fault["arguments"]:
        session.terminal.out(f"{fault['name']}: seed={fault['arguments']['seed']}")
    if kind.lasts:
        session.terminal.out(f"undo it with: mininetes fault clear {fault['name']}")


def clear(session: Session, name: str, words: Sequence[str], timeout: float, output: str) -> None:
    """Undo faults, and wait until the cluster has settled when none is left."""
    cluster = session.connect(name)
    cleared = cluster.clear(*words)
    if cleared and not cluster.faults():
        readiness = cluster.wait_ready(timeout)
        for missing in readiness.missing:
            session.terminal.warn(f"still missing: {missing}")
    if output == "json":
        session.terminal.out(
            formats.to_json({"apiVersion": "mininetes.io/v1", "kind": "FaultList", "items": list(cleared)})
        )
        return
    for fault in cleared:
        session.terminal.out(f"{fault['name']} cleared")
    if not cleared:
        session.terminal.out("no fault is active")


def _as_json(kind: FaultKind) -> JsonObject:
    return {
        "name": kind.name,
        "does": kind.summary,
        "teaches": kind.teaches,
        "lasts": kind.lasts,
        "arguments": [
            {"name": p.name, "help": p.help, "required": p.required, "default": p.default}
            for p in kind.parameters
        ],
    }


def _explained(kind: FaultKind) -> str:
    lines = [kind.usage, "", kind.summary, kind.teaches]
    if kind.parameters:
        lines += ["", render(["ARGUMENT", "MEANING"], [[p.name, p.help] for p in kind.parameters])]
    return "\n".join(lines)

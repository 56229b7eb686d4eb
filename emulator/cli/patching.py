"""`patch`: change fields of an object by a strategic merge, merge or JSON patch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from emulator.api.client import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from emulator.cli.changing import insist, remark
from emulator.cli.naming import one_object, qualified
from emulator.cli.progress import progress
from emulator.cli.session import Session

MEDIA_TYPES = {"strategic": STRATEGIC_PATCH, "merge": MERGE_PATCH, "json": JSON_PATCH}


def patch(
    session: Session, name: str, words: Sequence[str], text: str, how: str, *, namespace: str, timeout: float
) -> None:
    """Patch one object and wait until that is in force. Exits 1 when it is not at the deadline."""
    kind, target = one_object(words)
    where = namespace if kind.namespaced else None
    change = _read(text, how)
    cluster = session.connect(name)
    with progress(session.terminal, f"patching {target}"):
        before = cluster.get(kind.kind, target, where)["metadata"].get("resourceVersion")
        after = cluster.patch(kind.kind, target, where, change, media_type=MEDIA_TYPES[how])
        ready = cluster.wait_ready(timeout)
    same = after["metadata"].get("resourceVersion") == before
    session.terminal.out(f"{qualified(kind, target)} patched" + (" (no change)" if same else ""))
    for field in lost(change, after):
        session.terminal.warn(
            f"{field} is not there afterwards: no such field, or none that this object can have"
        )
    remark(session.terminal, ready)
    insist(session.terminal, ready, timeout)


def lost(change: Any, after: Any, field: str = "") -> Iterator[str]:
    """Fields that a patch sets and that the object lacks afterwards; of lists nothing is known."""
    if not isinstance(change, dict) or not isinstance(after, dict):
        return
    for key, value in change.items():
        path = f"{field}.{key}".removeprefix(".")
        if key in after:
            yield from lost(value, after[key], path)
        elif value and not key.startswith("$"):
            yield path


def _read(text: str, how: str) -> Any:
    """The patch, from JSON or YAML. Raises click.UsageError."""
    import yaml

    try:
        change = yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        raise click.UsageError(f"the patch is neither JSON nor YAML: {wrong}") from None
    wanted, meant = (list, "a list of operations") if how == "json" else (dict, "an object")
    if not isinstance(change, wanted):
        hint = "; --type json takes a list of operations" if isinstance(change, list) else ""
        raise click.UsageError(f"a {how} patch is {meant}, not {text!r}{hint}")
    return change

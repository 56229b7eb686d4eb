"""`apply`, `delete`, `scale`, `label`: change objects, wait until that is in force."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from emulator.cli.exits import ExitCode
from emulator.cli.naming import kinds_of, named_objects, one_object, qualified
from emulator.cli.progress import progress
from emulator.cli.session import Session
from emulator.cli.terminal import Terminal
from emulator.scenario import changes
from emulator.scenario.cluster import Applied, LiveCluster, Readiness

_MOST = 20
"""Lines of what is missing, or of what fails."""

_SHIPPED = Path(__file__).resolve().parents[2] / "scenarios"
_LABEL = re.compile(r"(?P<key>[^=\s]+?)(?:-|=(?P<value>\S*))")


_MEANT = {
    "Topology": "a cluster is started on it with: mininetes up FILE",
    "Scenario": "it is played with: mininetes run FILE",
}


def loaded(files: Sequence[str], terminal: Terminal) -> tuple[Any, ...]:
    """The objects in `files`; what is ignored in them is said on stderr. Raises ManifestError."""
    from emulator.api.load import load
    from emulator.api.problems import ManifestError

    if not files:
        raise click.UsageError("nothing to do: name manifests with -f FILE, -f DIR or -f -")
    manifest = load([_shipped(file) for file in files])
    strangers = [
        one.problem(("kind",), f"a {one.key.kind} is no manifest", hint=_MEANT.get(one.key.kind, ""))
        for one in manifest.others
    ]
    if strangers:
        raise ManifestError(strangers)
    for notice in manifest.notices:
        terminal.note(str(notice))
    return tuple(manifest.objects)


def _shipped(file: str) -> str:
    """The file of a manifest that comes with the project (`ingress-controller`), or `file` itself."""
    if re.fullmatch(r"[a-z0-9-]+", file) is None or os.path.exists(file):
        return file
    return next((str(one) for one in sorted(_SHIPPED.glob(f"*/{file}.yaml"))), file)


def apply(session: Session, name: str, files: Sequence[str], *, namespace: str, timeout: float) -> None:
    """Apply the manifests in `files`. Exits 1 when they are not in force at the deadline."""
    manifests = loaded(files, session.terminal)
    cluster = session.connect(name)
    with progress(session.terminal, "applying"):
        done = cluster.apply(manifests, namespace=namespace, timeout=timeout)
    _tell(session.terminal, done, timeout)


@dataclass(frozen=True, slots=True)
class Doomed:
    """What is to be deleted: what files hold, objects by name, or all of a kind that a selector matches."""

    words: Sequence[str]
    files: Sequence[str]
    namespace: str
    selector: str | None
    """None: objects are named. The empty one matches all."""

    def check(self) -> None:
        """Raises click.UsageError when it is not said what to delete, or said twice."""
        if bool(self.words) == bool(self.files):
            raise click.UsageError("say what to delete: either -f FILE or KIND NAME")
        if self.selector is not None and (len(self.words) != 1 or "/" in self.words[0]):
            raise click.UsageError("with -l or --all say one KIND, and no names or files")

    def told(self, terminal: Terminal) -> list[Any]:
        """What files hold and names say; of the latter as much as is needed to delete them."""
        if self.files:
            return list(loaded(self.files, terminal))
        if self.selector is None:
            return [kind.bare_object(self.namespace, one) for kind, one in named_objects(self.words)]
        return []

    def matching(self, cluster: LiveCluster) -> Iterator[Any]:
        """What the selector matches."""
        if self.selector is not None:
            for kind in kinds_of(self.words[0]):
                namespace = self.namespace if kind.namespaced else None
                yield from cluster.get(kind.kind, None, namespace, self.selector or None)


def delete(session: Session, name: str, doomed: Doomed, *, timeout: float, grace: int | None) -> None:
    """Delete objects and wait until they are gone; pods have `grace` seconds, None takes their own."""
    doomed.check()
    told = doomed.told(session.terminal)
    cluster = session.connect(name)
    objects = [*told, *doomed.matching(cluster)]
    if not objects:
        session.terminal.note("No resources found")
        return
    with progress(session.terminal, "deleting"):
        done = cluster.delete(objects, namespace=doomed.namespace, timeout=timeout, grace_seconds=grace)
    _tell(session.terminal, done, timeout)


def scale(
    session: Session, name: str, words: Sequence[str], replicas: int, *, namespace: str, timeout: float
) -> None:
    """Set the number of replicas of a workload."""
    kind, target = one_object(words)
    cluster = session.connect(name)
    with progress(session.terminal, f"scaling {target} to {replicas}"):
        changes.scale(cluster, kind.kind, target, namespace, replicas)
        ready = cluster.wait_ready(timeout)
    session.terminal.out(f"{qualified(kind, target)} scaled")
    insist(session.terminal, ready, timeout)


def label(session: Session, name: str, words: Sequence[str], *, namespace: str, timeout: float) -> None:
    """Set `KEY=VALUE` labels of an object, remove `KEY-` ones."""
    settings = [word for word in words if "=" in word or word.endswith("-")]
    kind, target = one_object([word for word in words if word not in settings])
    if not settings:
        raise click.UsageError("say which labels: KEY=VALUE sets one, KEY- removes one")
    labels: dict[str, str | None] = {}
    for setting in settings:
        found = _LABEL.fullmatch(setting)
        if not found:
            raise click.UsageError(f"{setting!r} is no label: KEY=VALUE sets one, KEY- removes one")
        labels[found["key"]] = found["value"]
    cluster = session.connect(name)
    with progress(session.terminal, f"labelling {target}"):
        changes.label(cluster, kind.kind, target, namespace if kind.namespaced else None, labels)
        ready = cluster.wait_ready(timeout)
    session.terminal.out(f"{qualified(kind, target)} labeled")
    insist(session.terminal, ready, timeout)


def insist(terminal: Terminal, ready: Readiness, timeout: float) -> None:
    """Name what fails for good, and what is missing at the deadline; then exit 1."""
    for failing in _first(ready.failing):
        terminal.warn(failing)
    if ready.ready:
        return
    click.echo(f"{terminal.style('not ready', 'bad')} after {timeout:g}s:", err=True)
    for missing in _first(ready.missing):
        click.echo(f"  {missing}", err=True)
    raise click.exceptions.Exit(ExitCode.NOT_AS_EXPECTED)


def remark(terminal: Terminal, ready: Readiness) -> None:
    """Say what is in force and does less than one may think, as an Ingress that nobody serves."""
    for line in _first(ready.remarks):
        terminal.warn(line)


def _first(phrases: Sequence[str]) -> Iterator[str]:
    """As many as fit a screen: a large cluster may miss hundreds."""
    yield from phrases[:_MOST]
    if len(phrases) > _MOST:
        yield f"and {len(phrases) - _MOST} more"


def _tell(terminal: Terminal, done: Applied, timeout: float) -> None:
    from emulator.api.kinds import kind_named

    for warning in done.warnings:
        terminal.warn(warning)
    for key, what in done.changed:
        terminal.out(f"{qualified(kind_named(key.kind), key.name)} {what}")
    remark(terminal, done.ready)
    insist(terminal, done.ready, timeout)

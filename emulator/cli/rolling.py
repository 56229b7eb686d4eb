"""`rollout`: restart, status, history, undo, pause, resume."""

from __future__ import annotations

from collections.abc import Callable

import click

from emulator.api.kinds import Kind
from emulator.cli.changing import insist
from emulator.cli.exits import ExitCode
from emulator.cli.naming import one_object, qualified
from emulator.cli.progress import progress
from emulator.cli.session import Session
from emulator.cli.tables import render
from emulator.scenario import changes
from emulator.scenario.cluster import LiveCluster


def rollout(
    session: Session,
    name: str,
    action: str,
    words: tuple[str, ...],
    *,
    revision: int,
    namespace: str,
    timeout: float,
) -> None:
    """Do what was asked for. `restart`, `undo` and `resume` wait until the new pods have taken over."""
    kind, target = one_object(words)
    if kind.kind not in changes.ROLLED_OUT:
        raise click.UsageError(f"{kind.plural} have no rollout; {', '.join(changes.ROLLED_OUT)} do")
    if action not in ("restart", "status") and kind.kind != "Deployment":
        raise click.UsageError(f"{kind.plural} keep no revisions here; deployments do")
    if revision and action not in ("history", "undo"):
        raise click.UsageError("--revision is for history and undo")
    cluster = session.connect(name)
    own = namespace if kind.namespaced else None
    if action == "history":
        _history(session, cluster, target, namespace, revision)
        return
    said = _begin(cluster, action, kind, target, own, revision)
    if said:
        session.terminal.out(f"{qualified(kind, target)} {said}")
    if action == "pause" or (said or "").startswith("skipped"):
        return
    _follow(session, cluster, kind, target, namespace, timeout, aloud=action == "status")


def _begin(
    cluster: LiveCluster, action: str, kind: Kind, target: str, namespace: str | None, revision: int
) -> str | None:
    """Change what is to be changed; returns what to say about it."""
    match action:
        case "restart":
            changes.restart(cluster, kind.kind, target, namespace)
            return "restarted"
        case "pause":
            changes.pause(cluster, target, namespace)
            return "paused"
        case "resume":
            changes.resume(cluster, target, namespace)
            return "resumed"
        case "undo":
            present = changes.undo(cluster, target, namespace, revision)
            if present is not None:
                return f"skipped rollback (current template already matches revision {present})"
            return "rolled back"
    return None


def _follow(
    session: Session,
    cluster: LiveCluster,
    kind: Kind,
    target: str,
    namespace: str,
    timeout: float,
    *,
    aloud: bool,
) -> None:
    """Wait for the end; `aloud` tells of each step on stdout, otherwise stderr shows the latest one."""
    terminal = session.terminal
    with progress(terminal, f"rolling out {target}") as shown:
        tell: Callable[[str], None] = terminal.out if aloud else shown
        try:
            changes.wait_rolled_out(cluster, kind.kind, target, namespace, timeout, tell)
        except TimeoutError:
            terminal.note(f"{qualified(kind, target)}: not rolled out after {timeout:g}s")
            raise click.exceptions.Exit(ExitCode.NOT_AS_EXPECTED) from None
        ready = cluster.wait_ready(timeout)
    insist(terminal, ready, timeout)


def _history(session: Session, cluster: LiveCluster, target: str, namespace: str, revision: int) -> None:
    from emulator.cli.formats import to_yaml
    from emulator.cluster.rollouts import revision_to_restore

    found = changes.history(cluster, target, namespace)
    terminal = session.terminal
    if revision:
        one = revision_to_restore(found, revision)
        terminal.out(f"deployment.apps/{target} with revision #{one.number}")
        terminal.out(to_yaml({"template": one.template}))
        return
    rows = [[str(one.number), one.cause] for one in found]
    terminal.out(f"deployment.apps/{target}")
    terminal.out(render(["REVISION", "CHANGE-CAUSE"], rows))

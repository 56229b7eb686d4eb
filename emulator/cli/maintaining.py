"""`cordon`, `uncordon`, `drain`: nodes that are to be left in peace."""

from __future__ import annotations

from collections.abc import Sequence

import click

from emulator.cli.changing import insist
from emulator.cli.progress import progress
from emulator.cli.session import Session
from emulator.cluster.drain import DrainOptions
from emulator.scenario import changes
from emulator.scenario.cluster import LiveCluster


def cordon(session: Session, name: str, nodes: Sequence[str]) -> None:
    """Keep new pods from these nodes."""
    cluster = session.connect(name)
    for node in map(_bare, nodes):
        _cordon(session, cluster, node)


def uncordon(session: Session, name: str, nodes: Sequence[str], *, timeout: float) -> None:
    """Let these nodes have pods again; pods that waited for that are waited for."""
    cluster = session.connect(name)
    for node in map(_bare, nodes):
        changed = changes.uncordon(cluster, node)
        session.terminal.out(f"node/{node} {'uncordoned' if changed else 'already uncordoned'}")
    insist(session.terminal, cluster.wait_ready(timeout), timeout)


def drain(
    session: Session,
    name: str,
    nodes: Sequence[str],
    options: DrainOptions,
    *,
    selector: str | None,
    grace: int | None,
    timeout: float,
) -> None:
    """Cordon these nodes and evict their pods; one that must not be drained stops there."""
    cluster, terminal = session.connect(name), session.terminal
    for node in map(_bare, nodes):
        _cordon(session, cluster, node)
        plan = changes.plan_of_drain(cluster, node, options, selector)
        if plan.warnings:
            terminal.warn("; ".join(plan.warnings))
        for pod in plan.evict:
            terminal.out(f"evicting pod {pod['metadata']['namespace']}/{pod['metadata']['name']}")
        with progress(terminal, f"draining {node}"):
            done = changes.evict(cluster, plan, timeout, grace)
        insist(terminal, done.ready, timeout)
        for key, _ in done.changed:
            terminal.out(f"pod/{key.name} evicted")
        terminal.out(f"node/{node} drained")


def _cordon(session: Session, cluster: LiveCluster, node: str) -> None:
    changed = changes.cordon(cluster, node)
    session.terminal.out(f"node/{node} {'cordoned' if changed else 'already cordoned'}")


def _bare(word: str) -> str:
    """`worker-2` of `worker-2` or `node/worker-2`. Raises a usage error."""
    kind, slash, name = word.rpartition("/")
    if slash and kind not in ("node", "nodes", "no"):
        raise click.UsageError(f"{word!r} is no node: name it worker-2, or node/worker-2")
    return name

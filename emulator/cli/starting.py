"""`up` and `down`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emulator.cli.changing import insist, loaded, remark
from emulator.cli.progress import progress
from emulator.cli.session import Session
from emulator.scenario.cluster import LiveCluster


def start(
    session: Session, topology: str, files: Sequence[str], *, timeout: float, options: Mapping[str, Any]
) -> None:
    """Start a cluster with the manifests in `files`, and sum it up in a line. Exits 1 when not ready."""
    manifests = loaded(files, session.terminal) if files else ()
    started = time.monotonic()
    with progress(session.terminal, f"starting {topology}"):
        cluster = session.start(topology, manifests, timeout=timeout, **options)
        try:
            ready = cluster.wait_ready(max(1.0, started + timeout - time.monotonic()))
        except BaseException:
            cluster.down()
            raise
        cluster.detach()
        seconds = time.monotonic() - started
        summary = _summary(cluster)
    for warning in cluster.warnings:
        session.terminal.warn(warning)
    remark(session.terminal, ready)
    insist(session.terminal, ready, timeout)
    session.terminal.out(f"{summary} ready in {seconds:.1f}s")


def stop(session: Session, name: str | None) -> None:
    """Stop the cluster called `name`, or all of this user's."""
    if name is None:
        names: Iterable[str] = _running()
    else:
        names = (name,)
    stopped = 0
    for one in names:
        with progress(session.terminal, f"stopping {one}"):
            session.connect(one).down()
        session.terminal.out(f"{one} stopped")
        stopped += 1
    if not stopped:
        session.terminal.note("No cluster is running.")


def _running() -> list[str]:
    from emulator.sandbox import all as running

    return [sandbox.name for sandbox in running()]


def _summary(cluster: LiveCluster) -> str:
    counts = (("node", "Node"), ("pod", "Pod"), ("service", "Service"))
    return ", ".join(_counted(len(cluster.get(kind)), noun) for noun, kind in counts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

"""`exec` and `logs`: what a pod's containers run and write."""

from __future__ import annotations

from collections.abc import Sequence

import click

from emulator.cli.session import Session
from emulator.scenario.pods import pod_named, site_named


def run_in_pod(
    session: Session,
    name: str,
    pod: str,
    argv: Sequence[str],
    *,
    namespace: str,
    container: str | None,
    tty: bool,
) -> int:
    """Run `argv` in a pod on this terminal; returns its exit code."""
    if not argv:
        raise click.UsageError("say what to run: mininetes exec POD -- CMD [ARG]...")
    cluster = session.connect(name)
    return cluster.attach(site_named(cluster, pod, namespace), argv, container, tty=tty)


def print_logs(
    session: Session,
    name: str,
    pod: str,
    *,
    namespace: str,
    container: str | None,
    previous: bool,
    follow: bool,
) -> None:
    """Print what a container wrote."""
    cluster = session.connect(name)
    target = pod_named(cluster, pod, namespace)
    for piece in cluster.logs(target, container, previous=previous, follow=follow):
        click.echo(piece, nl=False)

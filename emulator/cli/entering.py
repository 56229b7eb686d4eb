"""`exec` and `logs`: what a pod's containers run and write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from emulator.cli.session import Session
from emulator.scenario.cluster import LiveCluster
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


@dataclass(frozen=True, slots=True)
class Writers:
    """Whose words are meant: one pod, or all that a selector matches."""

    pod: str | None
    selector: str | None
    namespace: str

    def check(self) -> None:
        """Raises click.UsageError when it is not said whose, or said twice."""
        if bool(self.pod) == bool(self.selector):
            raise click.UsageError("say whose: either POD or -l LABELS")

    def found(self, cluster: LiveCluster) -> list[str]:
        """The pods, as `namespace/name`. Raises PlaceError and ApiError."""
        if self.pod:
            return [pod_named(cluster, self.pod, self.namespace)]
        pods = cluster.get("Pod", None, self.namespace, self.selector)
        return sorted(f"{self.namespace}/{pod['metadata']['name']}" for pod in pods)


def print_logs(
    session: Session, name: str, writers: Writers, *, container: str | None, previous: bool, follow: bool
) -> None:
    """Print what containers wrote, pod after pod."""
    writers.check()
    cluster = session.connect(name)
    pods = writers.found(cluster)
    if not pods:
        session.terminal.note(f"No resources found in {writers.namespace} namespace.")
    if follow and len(pods) > 1:
        raise click.UsageError(f"-f follows one pod, and {writers.selector} matches {len(pods)}")
    for pod in pods:
        for piece in cluster.logs(pod, container, previous=previous, follow=follow):
            click.echo(piece, nl=False)

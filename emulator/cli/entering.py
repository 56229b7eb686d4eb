"""`exec` and `logs`: what a pod's containers run and write."""

from __future__ import annotations

from collections.abc import Sequence

import click

from emulator.cli.session import Session
from emulator.scenario.cluster import LiveCluster
from emulator.verdict.places import WORKLOADS, PlaceKind, parse_place

_KINDS = {
    PlaceKind.DEPLOYMENT: "Deployment",
    PlaceKind.STATEFUL_SET: "StatefulSet",
    PlaceKind.DAEMON_SET: "DaemonSet",
}


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
    return cluster.attach(pod_named(cluster, pod, namespace), argv, container, tty=tty)


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


def pod_named(cluster: LiveCluster, text: str, namespace: str) -> str:
    """`namespace/name` of the pod that `text` means; of a workload, its first ready pod."""
    place = parse_place(text, namespace)
    if place.kind is PlaceKind.POD:
        return f"{place.namespace}/{place.name}"
    if place.kind not in WORKLOADS:
        raise click.UsageError(f"{text!r} is not a pod: write POD, NAMESPACE/POD or deploy/NAME")
    from emulator.cli.columns import selector_text
    from emulator.cli.digging import dig

    workload = cluster.get(_KINDS[place.kind], place.name, place.namespace)
    selector = selector_text(dig(workload, "spec", "selector"))
    pods = cluster.get("Pod", None, place.namespace, selector)
    if not pods:
        raise click.UsageError(f"{place} has no pod")
    ready = [pod for pod in pods if _is_ready(pod)]
    chosen = min(ready or pods, key=lambda pod: str(pod["metadata"]["name"]))
    return f"{place.namespace}/{chosen['metadata']['name']}"


def _is_ready(pod: dict[str, object]) -> bool:
    from emulator.cli.digging import dig

    conditions = dig(pod, "status", "conditions", default=[])
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)

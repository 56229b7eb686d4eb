"""What draining a node means: which of its pods are evicted, which stay, and what forbids it.

The rules and the words are those of `kubectl drain` (k8s.io/kubectl/pkg/drain).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from emulator.api.objects import JsonObject
from emulator.cluster.pods import is_finished
from emulator.cluster.snapshot import controller_of


@dataclass(frozen=True, slots=True)
class DrainOptions:
    """What may be done to pods that come back nowhere else."""

    ignore_daemonsets: bool = False
    """Leave daemons where they are; without it they forbid the drain."""
    force: bool = False
    """Evict pods that no controller will replace."""
    delete_emptydir_data: bool = False
    """Evict pods whose emptyDir volumes are lost with them."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """The pods to evict. With `errors` none may be; `warnings` are worth a line either way."""

    evict: tuple[JsonObject, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]


_DAEMONS = "DaemonSet-managed Pods"
_ALONE = "Pods that declare no controller"
_STORAGE = "Pods with local storage"


def plan_drain(
    pods: Iterable[JsonObject], daemon_sets: Collection[tuple[str, str]], options: DrainOptions
) -> DrainPlan:
    """Plan the drain of a node that has these pods. `daemon_sets`: (namespace, name) of those that exist."""
    evict: list[JsonObject] = []
    warned: dict[str, list[str]] = {}
    forbidden: dict[str, list[str]] = {}
    for pod in pods:
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if _is_daemon(pod, daemon_sets):
            place = warned if options.ignore_daemonsets else forbidden
            place.setdefault(_DAEMONS, []).append(name)
            continue
        evict.append(pod)
        for what, allowed in _losses(pod, options):
            (warned if allowed else forbidden).setdefault(what, []).append(name)
    return DrainPlan(
        tuple(evict),
        tuple(
            f"{'ignoring' if what == _DAEMONS else 'deleting'} {what}: {', '.join(names)}"
            for what, names in warned.items()
        ),
        tuple(
            f"cannot delete {what} (use {_FLAGS[what]}): {', '.join(names)}"
            for what, names in forbidden.items()
        ),
    )


_FLAGS = {
    _DAEMONS: "--ignore-daemonsets to ignore",
    _ALONE: "--force to override",
    _STORAGE: "--delete-emptydir-data to override",
}


def _is_daemon(pod: JsonObject, daemon_sets: Collection[tuple[str, str]]) -> bool:
    """Its DaemonSet exists and would put it back at once: daemons do not mind that a node is cordoned."""
    owner = controller_of(pod)
    if owner is None or owner["kind"] != "DaemonSet" or is_finished(pod):
        return False
    return (pod["metadata"]["namespace"], owner["name"]) in daemon_sets


def _losses(pod: JsonObject, options: DrainOptions) -> Iterable[tuple[str, bool]]:
    """What is lost with the pod, and whether that is allowed."""
    if is_finished(pod):
        return
    if any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ()):
        yield _STORAGE, options.delete_emptydir_data
    owner = controller_of(pod)
    if owner is None or owner["kind"] == "DaemonSet":
        yield _ALONE, options.force

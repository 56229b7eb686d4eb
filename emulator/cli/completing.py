"""What the shell may complete: asked of the running cluster, and silent when there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from emulator.api.kinds import KINDS, find_word

Complete = Callable[[click.Context, str], list[str]]


def _quietly(find: Callable[[click.Context, str], Iterable[str]]) -> Complete:
    """A completion that fails completes nothing: the user is in the middle of a line."""

    @wraps(find)
    def complete(context: click.Context, incomplete: str) -> list[str]:
        try:
            return sorted({word for word in find(context, incomplete) if word.startswith(incomplete)})
        except Exception:
            return []

    return complete


def _session(context: click.Context) -> Any:
    from emulator.cli.session import Session

    return context.find_object(Session) or Session()


def _names(context: click.Context, kind: str, namespace: str | None) -> list[tuple[str, str]]:
    cluster = _session(context).connect(context.params.get("name") or "default")
    found = cluster.get(kind, namespace=namespace)
    return [(one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in found]


@_quietly
def pods(context: click.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """Pods of the namespace, as `exec` and `logs` name them."""
    namespace = context.params.get("namespace") or "default"
    return [name for _, name in _names(context, "Pod", namespace)]


@_quietly
def places(context: click.Context, incomplete: str) -> Iterable[str]:
    """Everything that a probe can start from or go to."""
    found = [f"{namespace}/{name}" for namespace, name in _names(context, "Pod", None)]
    if incomplete.startswith("s"):
        found += [f"svc/{namespace}/{name}" for namespace, name in _names(context, "Service", None)]
    if incomplete.startswith("d"):
        found += [f"deploy/{namespace}/{name}" for namespace, name in _names(context, "Deployment", None)]
    if incomplete.startswith("n"):
        found += [f"node/{name}" for _, name in _names(context, "Node", None)]
    return [*found, "svc/", "deploy/", "node/", "ext/client", "ext/server"]


@_quietly
def nodes(context: click.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """Names of nodes."""
    return [name for _, name in _names(context, "Node", None)]


@_quietly
def kinds_and_names(context: click.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """Kinds first, then names of that kind."""
    words = context.params.get("words") or ()
    kind = find_word(words[0]) if words else None
    if kind is None:
        return ["all", *(kind.plural for kind in KINDS)]
    namespace = (context.params.get("namespace") or "default") if kind.namespaced else None
    return [name for _, name in _names(context, kind.kind, namespace)]


@_quietly
def topologies(context: click.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """The topologies that ship."""
    from emulator.cli.about import CHECKOUT

    return [file.stem for file in (CHECKOUT / "topologies").glob("*.yaml")]


@_quietly
def scenarios(context: click.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """Scenario names that ship, and paths."""
    from emulator.cli.about import CHECKOUT

    root = CHECKOUT / "scenarios"
    shipped = [str(file.parent.relative_to(root)) for file in root.rglob("scenario.yaml")]
    beside = Path(incomplete).parent if "/" in incomplete else Path()
    return [*shipped, *(str(entry) for entry in beside.glob("*") if entry.is_dir())]


@_quietly
def clusters(context: click.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    """Names of running clusters."""
    from emulator.sandbox import all as running

    return [sandbox.name for sandbox in running()]


@_quietly
def faults(context: click.Context, incomplete: str) -> Iterable[str]:
    """Kinds of faults, then their arguments; what is active, to clear it."""
    from emulator.cluster.faults.catalogue import KINDS, kind_of_fault

    words = context.params.get("words") or ()
    if context.params.get("action") == "clear":
        cluster = _session(context).connect(context.params.get("name") or "default")
        active = cluster.faults()
        return [word for fault in active for word in (fault["name"], fault["fault"])]
    if not words or context.params.get("action") == "list":
        return [kind.name for kind in KINDS]
    found: list[str] = []
    for index, parameter in enumerate(kind_of_fault(words[0]).parameters):
        prefix = f"{parameter.name}="
        values = _suggested(context, parameter.suggests)
        if not incomplete.startswith(prefix):
            found.append(prefix)
        else:
            found += [f"{prefix}{value}" for value in values]
        if index == len(words) - 1:
            found += values
    return found


def _suggested(context: click.Context, what: str) -> list[str]:
    if what == "nodes":
        return [name for _, name in _names(context, "Node", None)]
    if what == "routers":
        (topology,) = _session(context).connect(context.params.get("name") or "default").get("Topology")
        return [router["name"] for router in topology["spec"].get("routers") or ()]
    if what == "pods":
        return [f"{namespace}/{name}" for namespace, name in _names(context, "Pod", None)]
    return []

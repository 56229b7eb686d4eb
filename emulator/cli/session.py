"""What a command works with: the terminal it writes to and the cluster it talks to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulator.cli.terminal import Terminal

if TYPE_CHECKING:
    from emulator.scenario.cluster import LiveCluster


def _connect(name: str) -> LiveCluster:
    from emulator.engine.client import Cluster

    return Cluster.connect(name)


def _start(topology: str, manifests: Any, **options: Any) -> LiveCluster:
    from emulator.engine.client import Cluster

    return Cluster.up(topology, manifests, **options)


@dataclass
class Session:
    """One run of the command line. Tests put clusters of their own behind `connect` and `start`."""

    connect: Callable[[str], LiveCluster] = _connect
    """The running cluster of that name; raises ClusterNotFound."""
    start: Callable[..., LiveCluster] = _start
    """A new cluster: `Cluster.up`."""
    terminal: Terminal = field(default_factory=Terminal)

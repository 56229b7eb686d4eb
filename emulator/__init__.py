"""The Kubernetes network model on one Linux machine: real packets, no Kubernetes.

`from emulator import Cluster` gives the verbs of the command line to any Python process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.engine.client import Cluster as Cluster

__all__ = ["Cluster"]


def __getattr__(name: str) -> object:
    """Import `Cluster` only when somebody asks: the command line starts without it."""
    if name == "Cluster":
        from emulator.engine.client import Cluster

        return Cluster
    raise AttributeError(f"module 'emulator' has no attribute {name!r}")

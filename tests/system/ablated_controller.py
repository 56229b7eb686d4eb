"""The cluster's controller, but that it leaves out what the label of a namespace says.

`python -m controllers.runtime tests.system.ablated_controller`: everything else it does as the shipped one,
its audit included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.cluster_controller import ClusterController
from controllers.pipeline.compile import compile_cluster
from controllers.pipeline.flow import FlowProgram
from controllers.pipeline.impaired import ImpairedCompiler
from emulator.cluster.model import ClusterState
from emulator.cluster.snapshot import Snapshot
from tests.ablation import without
from tests.system.ablations import LABEL, LEFT_OUT, NAMESPACE, ZONES, one_zone


class AblatedCompiler(ImpairedCompiler):
    """Compiles without one thing."""

    def compile(self, snapshot: Snapshot, state: ClusterState) -> Mapping[str, FlowProgram]:
        """The program of every bridge; the result depends on the snapshot alone."""
        left_out = state.namespaces.get(NAMESPACE, {}).get(LABEL)
        if left_out is None:
            return super().compile(snapshot, state)
        if left_out == ZONES:
            return compile_cluster(one_zone(state))
        with without(LEFT_OUT[left_out]):
            return compile_cluster(state)


class AblatedController(ClusterController):
    """Watch, compile less, diff, bundle, barrier, acknowledge."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._compiler = AblatedCompiler()

"""Faults of the processes that a cluster is made of."""

from __future__ import annotations

from emulator.cluster.faults.kind import FaultKind

PROCESSES: tuple[FaultKind, ...] = (
    FaultKind(
        "controller-killed",
        "Kill the OpenFlow controller; it is started again at once.",
        "The switches go on forwarding by the flows that they have: who decides is not who forwards. "
        "No connection is lost.",
        lasts=False,
    ),
    FaultKind(
        "controller-down",
        "Kill the OpenFlow controller and keep it down.",
        "What runs goes on running, and nothing new takes effect: Services, policies and pods that change "
        "meanwhile do so for the API only. Flows that somebody deletes stay deleted.",
    ),
    FaultKind(
        "switch-killed",
        "Kill Open vSwitch, which forwards for all nodes; it is started again at once.",
        "Connections between pods survive; those through a Service or NAT do not, because the switch alone "
        "knew how they are translated.",
        lasts=False,
    ),
)
